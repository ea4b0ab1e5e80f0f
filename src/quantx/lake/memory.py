"""A curated table in memory, for tests and the simulator: the same contract; it keeps all versions."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from typing import Any

import polars as pl

from quantx.core.table import Table
from quantx.errors import CommitConflict, LakeError
from quantx.lake.protocol import UNREAD, CommitContext, Erased, app_of


class MemoryTable:
    """A CuratedTable that lives as long as the object. It has no files, and therefore nothing to fold."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.url = f"memory://{table.name}"
        self.versions: list[pl.DataFrame] = []
        self._empty = table.empty()
        self._rounds = defaultdict[str, int](int)  # the last committed round of each application
        self._lock = threading.Lock()

    def version(self) -> int | None:
        """Return the newest version, None while the table does not exist."""
        return len(self.versions) - 1 if self.versions else None

    def committed_round(self, state_id: str | None = None) -> int:
        """Return the last committed round of a state, 0 before the first; rounds without a state count as its own."""
        return max(self._rounds[app] for app in (app_of(state_id), app_of(None)))

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily."""
        return self.read().lazy()

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`)."""
        rows = self.versions[-1] if self.versions else self._empty
        return rows if where is None or rows.is_empty() else rows.filter(where)

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run what was made of `scan`."""
        return rows.collect()

    def parts(self) -> dict[tuple[Any, ...], list[str]]:
        """Return a name of the rows of each partition, in place of files: other rows have another one."""
        digests = self.read().with_columns(pl.struct(pl.all()).hash().alias("__digest"))
        named = digests.group_by(self.table.partitions or pl.lit(0)).agg(pl.col("__digest").bitwise_xor())
        return {tuple(part): [str(digest)] for *part, digest in named.iter_rows()}

    def files(self) -> pl.DataFrame:
        """Return an empty frame: there are no files."""
        return pl.DataFrame()

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
        *,
        read_at: int | None = UNREAD,
    ) -> bool:
        """Add `new` rows, replace the rows with the keys of `changed`, and remove those of `gone`, in one commit."""
        changed = self._empty if changed is None else changed
        gone = self._empty if gone is None else gone
        if new.is_empty() and changed.is_empty() and gone.is_empty():
            return False
        for frame in (new, changed, gone):
            if dict(frame.schema) != dict(self.table.schema):
                raise LakeError(f"rows for {self.table.name} have the columns {frame.schema}, not {self.table.schema}")
        before, rows = len(self.versions), self.read()
        if not self._is_at(read_at):
            raise CommitConflict(f"another process has changed the table {self.url}")
        if context.round_id is not None and self.committed_round(context.state_id) >= context.round_id:
            return False
        context.confirm()
        self._replace(before, self._merged(rows, new, changed, gone), context)
        return True

    def erase(self, context: CommitContext, where: pl.Expr, source: str | None) -> Erased:
        """Erase the rows of `where` for good, from all versions."""
        if not self.versions:
            return Erased()
        rows = self.read()
        rest = rows.filter(~where)
        if rest.height < rows.height:
            self._replace(len(self.versions), rest, context)
        with self._lock:
            self.versions = [version.filter(~where) for version in self.versions]
        return Erased(rows.height - rest.height)

    def seal(self, context: CommitContext) -> None:
        """Commit a version with the same rows, if there is one."""
        while self.versions:
            with contextlib.suppress(CommitConflict):
                self._replace(len(self.versions), self.versions[-1], context)
                break

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

    def _is_at(self, read_at: int | None) -> bool:
        return read_at in (UNREAD, self.version())

    def _replace(self, before: int, rows: pl.DataFrame, context: CommitContext) -> None:
        """Make `rows` the next version; CommitConflict if there are more than `before` versions by now."""
        with self._lock:
            if len(self.versions) != before:
                raise CommitConflict(f"another process has changed the table {self.url}")
            if not self.versions:
                self.versions.append(self._empty)  # version 0 is the empty table
            self.versions.append(rows)
            if context.round_id is not None:
                self._rounds[context.app] = context.round_id
