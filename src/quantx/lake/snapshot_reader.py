"""A table as a snapshot has it: read from the list of its files, without the table's log."""

from __future__ import annotations

import polars as pl
from deltalake import DeltaTable

from quantx.core.table import Table
from quantx.lake.store import LakeLocation
from quantx.lake.table_reader import TableReader
from quantx.lake.table_version import TableVersion, day_of


class SnapshotReader(TableReader):
    """A handle for reading one table at the version of a snapshot; None: the table did not exist."""

    def __init__(self, location: LakeLocation, table: Table, version: TableVersion | None) -> None:
        super().__init__(location, table)
        self._fixed = version

    def refresh(self) -> DeltaTable | None:
        """Return None: no log is read."""
        return None

    def newest(self) -> DeltaTable | None:
        """Return None: no log is read."""
        return None

    def current(self) -> TableVersion | None:
        """Return the files of the version; None if the table did not exist."""
        return self._fixed

    def held(self) -> TableVersion | None:
        """Return the same."""
        return self._fixed

    def version(self) -> int | None:
        """Return the version; None if the table did not exist."""
        return None if self._fixed is None else self._fixed.number

    def scan(self) -> pl.LazyFrame:
        """Return the rows, lazily; filters skip row groups of files."""
        if self._fixed is None or not self._fixed.files:
            return self.table.empty().lazy()
        return pl.concat(self.scans(self._fixed.files)).select(list(self.table.schema))

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None if the table did not exist."""
        if self._fixed is None:
            return None
        return {
            "table": self.table.name,
            "url": self.url,
            "version": self._fixed.number,
            "rows": sum(file.rows for file in self._fixed.files),
            "files": len(self._fixed.files),
            "megabytes": round(sum(file.size for file in self._fixed.files) / 1e6, 3),
        }

    def files(self) -> pl.DataFrame:
        """Return path, num_records and size_bytes of each file, its partition.*, and the bounds of symbol and day."""
        day = day_of(self.table)
        columns = {
            "path": pl.String,
            "num_records": pl.Int64,
            "size_bytes": pl.Int64,
            **{f"partition.{p}": self.table.schema[p] for p in self.table.partitions},
            **{f"{bound}.symbol": pl.String for bound in ("min", "max")},
            **{f"{bound}.{day}": pl.Date for bound in ("min", "max")},
        }
        rows = [
            (f.path, f.rows, f.size, *f.partition.values(), f.first_symbol, f.last_symbol, f.first_day, f.last_day)
            for f in (() if self._fixed is None else self._fixed.files)
        ]
        return pl.DataFrame(rows, schema=columns, orient="row")
