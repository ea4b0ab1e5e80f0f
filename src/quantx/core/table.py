"""The declaration of a curated table: columns, partitions, key and the tolerance of equal values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

# Prices arrive as 32-bit floats (seven digits) and pass through a multiplication and a division. Below this relative
# difference two prices are equal.
PRICE_TOLERANCE = 1e-6
# The step of an adjusted close is a quotient of four such figures, and later dividends change all of them.
STEP_TOLERANCE = 1e-5

DAYS = ("date", "ex_date", "filed")  # the columns with the day of a row; a table has one of them at most


@dataclass(frozen=True)
class Table:
    """One curated Delta table."""

    name: str
    schema: Mapping[str, pl.DataType | type[pl.DataType]]  # in the order of the columns
    _: KW_ONLY
    partitions: tuple[str, ...]  # partition columns
    key: tuple[str, ...]  # columns that identify a current row
    sort: tuple[str, ...]  # order of the rows within a file
    values: tuple[str, ...] = ()  # a difference in one of these is a revision
    relative_tolerance: Mapping[str, float] = field(default_factory=dict)
    rows_per_file: int | None = None  # target; more rows of one partition become several files, split by symbol
    null_is_unknown: bool = True  # a null in an incoming row keeps the stored value; if false, null is a value
    zone: str = "curated"  # the folder of the lake that has it; "" for the lake itself

    @cached_property
    def revisions(self) -> Table:
        """Return the table of the replaced rows of this table."""
        return Table(
            f"{self.name}_revisions",
            {**self.schema, "known_to": INSTANT},
            partitions=tuple(p for p in self.partitions if p not in ("year", "month")),
            key=(*self.key, "known_from"),
            sort=self.sort,
            zone=self.zone,
        )

    @property
    def path(self) -> str:
        """Return the path of the table in the lake.

        >>> Table("bars_1d", {}, partitions=(), key=(), sort=()).path
        'curated/bars_1d'
        """
        return f"{self.zone}/{self.name}".lstrip("/")

    @property
    def day(self) -> str | None:
        """Return the column with the day of the rows; None where they have none."""
        return next((column for column in DAYS if column in self.schema), None)

    @cached_property
    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=dict(self.schema))

    def empty(self) -> pl.DataFrame:
        """Return an empty frame with the columns of this table."""
        return self._empty.clone()
