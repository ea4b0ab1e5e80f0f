"""What a curated table promises, wherever it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from quantx.core.tables import Table


@dataclass(frozen=True)
class CommitContext:
    """Why a commit is made: it is done once per `round_id`, and its origin is kept in the log."""

    round_id: int
    run_ids: Sequence[str] = ()
    raw_objects: Sequence[str] = ()


class CuratedTable(Protocol):
    """A table with versions: each commit makes a new one as a whole, and readers of an older one see its rows still.

    Every method raises LakeError where the store can't be reached; then a commit may have been made or not.
    """

    @property
    def table(self) -> Table:
        """Return what the table is declared to be."""
        ...

    @property
    def url(self) -> str:
        """Return the address of the table."""
        ...

    def version(self) -> int | None:
        """Return the newest version, None while the table does not exist."""
        ...

    def committed_round(self) -> int:
        """Return the last round that was committed, 0 before the first."""
        ...

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily."""
        ...

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`)."""
        ...

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run what was made of `scan`.

        With `in_pieces` not all that is read is in memory at once: for a result that is much smaller; its order is open.
        """
        ...

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None while the table does not exist."""
        ...

    def commit(
        self,
        context: CommitContext,
        new: pl.DataFrame,
        changed: pl.DataFrame | None = None,
        gone: pl.DataFrame | None = None,
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit.

        Return False, without a commit, where there is nothing to do or the round (or a later one) was committed before.
        """
        ...

    def fold(self, context: CommitContext, most_files: int, tail: int = 0) -> int:
        """Make few files of many; the rows stay the same. Return how many partitions were rewritten."""
        ...

    def untidy_months(self, closed_through: int, most_files: int) -> list[int]:
        """Return the months (as in 202410) of a table with a folder per month that `compact` would rewrite."""
        ...

    def compact(self, context: CommitContext, month: int, closed_through: int, most_files: int) -> int:
        """Put a month's files in order: by symbol if it is not after `closed_through`, else the files of each session.

        The rows stay the same. Return how many files were replaced; with `most_files` above one, what has few is left.
        """
        ...


Tables = Mapping[str, CuratedTable]  # by name
