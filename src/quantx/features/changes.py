"""The changes of a build to a feature table, collected over chunks of securities."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from quantx.core.merge import merge
from quantx.core.table import INSTANT, Table
from quantx.lake.file_changes import AddedFile


class TableChanges:
    """New, changed and removed rows of a table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._new: list[pl.DataFrame] = [table.empty()]
        self._changed: list[pl.DataFrame] = [table.empty()]
        self._gone: list[pl.DataFrame] = [table.empty()]
        self._superseded: list[pl.DataFrame] = [table.revisions.empty()]
        self.files: list[AddedFile] = []  # of new rows that are written already
        self.added = 0  # new rows, also those in files

    def add(self, stored: pl.DataFrame, rows: pl.DataFrame, now: datetime) -> None:
        """Compare rows with the stored ones that they replace; a stored row without a new one is removed."""
        merged = merge(stored, rows, self._table)
        gone = stored.join(rows, on=list(self._table.key), how="anti")
        self._new.append(merged.new)
        self._changed.append(merged.changed)
        self._gone.append(gone)
        self._superseded += [merged.superseded, gone.with_columns(pl.lit(now, INSTANT).alias("known_to"))]
        self.added += merged.new.height

    @property
    def nothing(self) -> bool:
        """Return whether no row has changed."""
        return not self.files and all(each.is_empty() for each in (*self._new, *self._changed, *self._gone))

    @property
    def new_bytes(self) -> int:
        """Return the size of the new rows in memory."""
        return sum(int(each.estimated_size()) for each in self._new)

    def take_new(self) -> pl.DataFrame:
        """Return the new rows, and forget them: they are in files now."""
        rows = pl.concat(self._new)
        self._new = [self._table.empty()]
        return rows

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return the new, the changed and the removed rows."""
        return pl.concat(self._new), pl.concat(self._changed), pl.concat(self._gone)

    def superseded(self) -> pl.DataFrame:
        """Return the replaced and the removed rows with the end of their time."""
        return pl.concat(self._superseded)
