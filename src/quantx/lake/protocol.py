"""The port of a curated table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from quantx.core.tables import Table


@dataclass(frozen=True)
class CommitContext:
    """The origin of a commit, recorded in the log. A `round_id` is committed once."""

    round_id: int
    run_ids: Sequence[str] = ()
    raw_objects: Sequence[str] = ()


class CuratedTable(Protocol):
    """A table with versions: each commit creates one atomically, and readers of an older version keep its rows.

    Every method raises LakeError if the store can't be reached. The outcome of a commit is then unknown.
    """

    @property
    def table(self) -> Table:
        """Return the declaration of the table."""
        ...

    @property
    def url(self) -> str:
        """Return the address of the table."""
        ...

    def version(self) -> int | None:
        """Return the newest version; None if the table does not exist."""
        ...

    def committed_round(self) -> int:
        """Return the last committed round, 0 before the first."""
        ...

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily."""
        ...

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`)."""
        ...

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run a query on `scan` and return its result.

        `in_pieces` limits the memory: use it for a result that is much smaller than the input. Its order is undefined.
        """
        ...

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None if the table does not exist."""
        ...

    def commit(
        self,
        context: CommitContext,
        new: pl.DataFrame,
        changed: pl.DataFrame | None = None,
        gone: pl.DataFrame | None = None,
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit.

        Return False, without a commit, if there is nothing to change or the round (or a later one) is already
        committed.
        """
        ...

    def fold(self, context: CommitContext, most_files: int, tail: int = 0) -> int:
        """Rewrite partitions with many files as few files, with the same rows; return the number of partitions."""
        ...

    def untidy_months(self, closed_through: int, most_files: int) -> list[int]:
        """Return the months (as in 202410) that `compact` would rewrite, for a table with a partition per month."""
        ...

    def compact(self, context: CommitContext, month: int, closed_through: int, most_files: int) -> int:
        """Compact a month's files: by symbol up to the month `closed_through`, in later months per session.

        The rows stay the same. Return the number of replaced files. Partitions with up to `most_files` files stay as
        they are.
        """
        ...


Tables = Mapping[str, CuratedTable]  # by name
