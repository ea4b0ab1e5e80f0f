"""Which rows of a table a query needs, in the parts by which files and offsets are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import reduce
from operator import and_

import polars as pl

from quantx.core.tables import Table


@dataclass(frozen=True)
class Selection:
    """Rows by stored symbol, vendor and day (both ends inclusive); None: all. `where` is a further condition."""

    symbols: tuple[str, ...] | None = None
    source: str | None = None
    first: date | None = None
    last: date | None = None
    where: pl.Expr | None = None

    @staticmethod
    def of(symbols: Sequence[str] | None = None, source: str | None = None) -> Selection:
        """Return the selection of some stored symbols of a vendor."""
        return Selection(None if symbols is None else tuple(symbols), source)

    def between(self, first: date | None, last: date | None) -> Selection:
        """Return the same selection, of the days from `first` to `last` only."""
        return replace(self, first=first, last=last)

    def filtered(self, where: pl.Expr) -> Selection:
        """Return the same selection under one more condition."""
        return replace(self, where=where if self.where is None else self.where & where)

    def condition(self, table: Table) -> pl.Expr:
        """Return the selection as a filter of the table's rows, with a filter of its partitions."""
        conditions = self.conditions(table)
        return reduce(and_, conditions) if conditions else pl.lit(True)

    def conditions(self, table: Table) -> list[pl.Expr]:
        """Return the parts of `condition`, none of them a constant: Polars 1.33 fails on constants over partitions."""
        wanted = []
        if self.symbols is not None:
            wanted.append(pl.col("symbol").is_in(list(self.symbols)))
        if self.source is not None:
            wanted.append(pl.col("source") == self.source)
        if self.first is not None:
            wanted.append(pl.col(day_of(table)) >= self.first)
        if self.last is not None:
            wanted.append(pl.col(day_of(table)) <= self.last)
        for column, number in (("year", year_number), ("month", month_number)):
            if column in table.partitions and "date" in table.schema:
                wanted += [] if self.first is None else [pl.col(column) >= number(self.first)]
                wanted += [] if self.last is None else [pl.col(column) <= number(self.last)]
        return wanted if self.where is None else [*wanted, self.where]


def day_of(table: Table) -> str:
    """Return the column with the day of a table's rows."""
    return "date" if "date" in table.schema else "ex_date"


def year_number(day: date) -> int:
    """Return the year of a day, as partitions have it."""
    return day.year


def month_number(day: date) -> int:
    """Return the month of a day, as in 202410."""
    return day.year * 100 + day.month
