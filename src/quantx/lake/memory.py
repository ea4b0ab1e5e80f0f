"""A curated table in memory, for tests and the simulator: the same contract; it keeps all versions."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import polars as pl

from quantx.core.tables import Table
from quantx.errors import LakeError

if TYPE_CHECKING:
    from quantx.lake.protocol import CommitContext

_ATTEMPTS = 5


class MemoryTable:
    """A CuratedTable that lives as long as the object. It has no files, and therefore nothing to fold."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.url = f"memory://{table.name}"
        self.versions: list[pl.DataFrame] = []
        self._empty = table.empty()
        self._rounds = [0]  # the committed rounds, in order
        self._lock = threading.Lock()

    def version(self) -> int | None:
        """Return the newest version, None while the table does not exist."""
        return len(self.versions) - 1 if self.versions else None

    def committed_round(self) -> int:
        """Return the last round that was committed, 0 before the first."""
        return self._rounds[-1]

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily."""
        return self.read().lazy()

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`)."""
        rows = self.versions[-1] if self.versions else self._empty
        return rows if where is None else rows.filter(where)

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run what was made of `scan`."""
        return rows.collect()

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None while the table does not exist."""
        version = self.version()
        if version is None:
            return None
        rows = self.read()
        return {
            "table": self.table.name,
            "url": self.url,
            "version": version,
            "rows": rows.height,
            "files": 0,
            "megabytes": round(rows.estimated_size() / 1e6, 3),
        }

    def commit(
        self,
        context: CommitContext,
        new: pl.DataFrame,
        changed: pl.DataFrame | None = None,
        gone: pl.DataFrame | None = None,
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit."""
        changed = self._empty if changed is None else changed
        gone = self._empty if gone is None else gone
        if new.is_empty() and changed.is_empty() and gone.is_empty():
            return False
        for frame in (new, changed, gone):
            if dict(frame.schema) != dict(self.table.schema):
                raise LakeError(f"rows for {self.table.name} have the columns {frame.schema}, not {self.table.schema}")
        for _ in range(_ATTEMPTS):
            before, rows = len(self.versions), self.read()
            if self.committed_round() >= context.round_id:
                return False
            if self._replace(before, self._merged(rows, new, changed, gone), context.round_id):
                return True
        raise LakeError(f"another process is changing the table {self.url}")

    def forget_versions(self) -> None:
        """Keep only the newest version, to save memory where older ones are not read."""
        with self._lock:
            self.versions = self.versions[-1:]

    def fold(self, context: CommitContext, most_files: int, tail: int = 0) -> int:
        """Do nothing: there are no files."""
        return 0

    def untidy_months(self, closed_through: int, most_files: int) -> list[int]:
        """Return none: there are no files."""
        return []

    def compact(self, context: CommitContext, month: int, closed_through: int, most_files: int) -> int:
        """Do nothing: there are no files."""
        return 0

    def _merged(self, rows: pl.DataFrame, new: pl.DataFrame, changed: pl.DataFrame, gone: pl.DataFrame) -> pl.DataFrame:
        key = list(self.table.key)
        for touched in (changed, gone):
            if touched.height:
                rows = rows.join(touched, on=key, how="anti", nulls_equal=True)
        return pl.concat([rows, new, changed])

    def _replace(self, before: int, rows: pl.DataFrame, round_id: int) -> bool:
        """Make `rows` the next version, unless another commit was made since there were `before` versions."""
        with self._lock:
            if len(self.versions) != before:
                return False
            if not self.versions:
                self.versions.append(self._empty)  # version 0 is the empty table
            self.versions.append(rows)
            self._rounds.append(round_id)
            return True
