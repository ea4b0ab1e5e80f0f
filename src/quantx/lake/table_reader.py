"""The reading half of a Delta table: its newest version, its files, and its rows as frames."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from quantx.core.table import Table
from quantx.lake.diagnosis import log_failure, read_failure, version_without_hint
from quantx.lake.log import entry_path
from quantx.lake.one_state import TablesState, state_of
from quantx.lake.store import LakeLocation
from quantx.lake.table_version import LiveFile, TableVersion, version_of

_NEVER = float("-inf")
_TRUSTED = 900  # seconds for which the next log entry alone shows whether a version is the newest: old entries go away


class TableReader:
    """A handle for reading one table, at its newest version."""

    def __init__(self, location: LakeLocation, table: Table) -> None:
        self.table = table
        self._location = location
        self._path = table.path
        self._delta: DeltaTable | None = None
        self._opened_with: dict[str, str] = {}  # options of the handle, with a token that expires
        self._refreshed = _NEVER  # when the log was listed last
        self._version: TableVersion | None = None
        self._pinned = False
        self._looked_up_in: TablesState | None = None  # the state for which the handle is the newest version

    @property
    def url(self) -> str:
        """Return the address of the table for any Delta reader."""
        return self._location.table_url(self._path)

    def refresh(self) -> DeltaTable | None:
        """Update the handle to the newest version; return None if the table does not exist.

        A pinned table keeps its version.
        """
        if self._pinned:
            return self._held()
        options = self._location.delta_options
        try:
            if self._delta is None or options != self._opened_with:
                self._delta, self._opened_with, self._version = self._open(options), options, None
            else:
                self._delta.update_incremental()
        except TableNotFoundError:
            self._delta, self._opened_with, self._refreshed = None, options, time.monotonic()
            return None
        except (DeltaError, OSError) as error:
            self._delta = None
            self._forget()  # the next call opens the table again
            raise log_failure(self._location, self._path, self.table.name) from error
        self._refreshed = time.monotonic()
        return self._delta

    def newest(self) -> DeltaTable | None:
        """Return the handle at the newest version as `refresh` does, by one request where nothing has changed.

        Within `one_state` the version is looked up once, and again after a commit of this handle.
        """
        state = state_of(self.table.name)
        if state is None or self._pinned:
            return self._look_up()
        is_open = self._delta is not None
        if self._looked_up_in is not state or (is_open and self._location.delta_options != self._opened_with):
            if is_open or state.has_table(self._location, self._path):
                self._look_up()
            self._looked_up_in = state
        return self._delta

    def _look_up(self) -> DeltaTable | None:
        delta = self._delta
        checked = time.monotonic() - self._refreshed < _TRUSTED
        if self._pinned or not checked or self._location.delta_options != self._opened_with:
            return self.refresh()
        return self.refresh() if self._location.has(self._entry_after(delta)) else delta

    def _forget(self) -> None:
        """Forget that the handle is at the newest version."""
        self._looked_up_in, self._refreshed = None, _NEVER

    def pin(self) -> None:
        """Keep the newest version for all further reads."""
        self.newest()
        self._pinned = True

    def unpin(self) -> None:
        """Read the newest version again."""
        self._pinned = False

    def current(self) -> TableVersion | None:
        """Return the files of the newest version; None if the table does not exist."""
        return self._files_at(self.newest())

    def held(self) -> TableVersion | None:
        """Return the files of the version of the last read, without a request; None if there was none."""
        return self._files_at(self._delta)

    def _files_at(self, delta: DeltaTable | None) -> TableVersion | None:
        if delta is None:
            return None
        if self._version is None or self._version.number != delta.version():
            self._version = version_of(delta, self.table)
        return self._version

    def _held(self) -> DeltaTable | None:
        """Return the handle of a pinned table, with current credentials."""
        options = self._location.delta_options
        if self._delta is not None and options != self._opened_with:
            version = self._delta.version()
            try:
                self._delta = DeltaTable(self.url, storage_options=options, version=version)
            except (DeltaError, OSError) as error:
                raise log_failure(self._location, self._path, self.table.name) from error
            self._opened_with = options
        return self._delta

    def _entry_after(self, delta: DeltaTable | None) -> str:
        return f"{self._path}/{entry_path(0 if delta is None else delta.version() + 1)}"

    def _open(self, options: dict[str, str]) -> DeltaTable:
        try:
            return DeltaTable(self.url, storage_options=options)
        except TableNotFoundError:  # most tables of most lakes: two requests each that find no damage
            raise
        except (DeltaError, OSError):
            version = version_without_hint(self._location, self._path)
            if version is None:
                raise
            delta = DeltaTable(self.url, storage_options=options, version=version)
            delta.update_incremental()
            return delta

    def version(self) -> int | None:
        """Return the newest version; None if the table does not exist."""
        delta = self.newest()
        return None if delta is None else delta.version()

    def scan(self) -> pl.LazyFrame:
        """Return the current rows, lazily; filters on partitions, symbol and date skip files.

        Collect it soon: with an Azure identity the frame holds a token that expires.
        """
        delta = self.newest()
        if delta is None:
            return self.table.empty().lazy()
        try:
            rows = pl.scan_delta(self._measured(delta), storage_options=self._location.delta_options or None)
        except (DeltaError, OSError, pl.exceptions.PolarsError) as error:
            raise read_failure(self._location, self._path, self.table) from error
        # Columns that were declared after the table was created are null.
        missing = [pl.lit(None, dtype=self.table.schema[c]).alias(c) for c in self._missing_columns(delta)]
        return rows.with_columns(missing).select(list(self.table.schema))

    def _measured(self, delta: DeltaTable) -> DeltaTable:
        """Return a handle for Polars, which in a folder reads the sizes of files there, and not in the log.

        Polars 1.43 ends its threads where a file is shorter than in the log, with a page of text on stderr each.
        """
        if not self._location.url.startswith("file://"):
            return delta
        measured = copy.copy(delta)
        inner: Any = _WithoutSizes(delta._table)  # noqa: SLF001 – Polars takes the sizes from there
        measured._table = inner  # noqa: SLF001
        return measured

    def read(self, where: pl.Expr | None = None) -> pl.DataFrame:
        """Return the current rows (those of `where`); LakeError if a file is missing or damaged."""
        return self.collect(self.scan() if where is None else self.scan().filter(where))

    def collect(self, rows: pl.LazyFrame, *, in_pieces: bool = False) -> pl.DataFrame:
        """Run a query on `scan` and return its result; LakeError if a file is missing or damaged."""
        try:
            return rows.collect(engine="streaming" if in_pieces else "in-memory")
        except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
            raise read_failure(self._location, self._path, self.table) from error

    def read_files(self, files: Sequence[LiveFile], where: pl.Expr, columns: Sequence[str]) -> pl.DataFrame:
        """Return the rows of `where` in some files, in some columns; LakeError if a file is missing or damaged.

        `where` has no partition columns.
        """
        parts = [rows.select(columns) for rows in self.scans(files, where)]
        return self.collect(parts[0] if len(parts) == 1 else pl.concat(parts))

    def scans(self, files: Sequence[LiveFile], where: pl.Expr | None = None) -> list[pl.LazyFrame]:
        """Return the rows of `where` in some files lazily, a frame for each partition; as `read_files`."""
        groups: dict[tuple[Any, ...], list[str]] = {}
        for file in files:
            groups.setdefault(tuple(file.partition.items()), []).append(f"{self.url}/{file.path}")
        stored = {c: t for c, t in self.table.schema.items() if c not in self.table.partitions}
        return [
            pl.scan_parquet(
                paths,
                schema=stored,
                glob=False,
                hive_partitioning=False,
                missing_columns="insert",
                storage_options=self._location.delta_options or None,
            )
            .filter(pl.lit(True) if where is None else where)
            .with_columns([pl.lit(value, dtype=self.table.schema[name]).alias(name) for name, value in partition])
            for partition, paths in groups.items()
        ]

    def parts(self) -> dict[tuple[Any, ...], list[str]]:
        """Return the paths of the data files by the values of their partition."""
        version = self.current()
        parts: dict[tuple[Any, ...], list[str]] = {}
        for file in () if version is None else version.files:
            parts.setdefault(tuple(file.partition.values()), []).append(file.path)
        return parts

    def facts(self) -> dict[str, str | int | float] | None:
        """Return version, rows, files and megabytes; None if the table does not exist."""
        delta = self.newest()
        if delta is None:
            return None
        files = self._files(delta)
        rows, size = (int(files[c].sum()) if files.height else 0 for c in ("num_records", "size_bytes"))
        return {
            "table": self.table.name,
            "url": self.url,
            "version": delta.version(),
            "rows": rows,
            "files": files.height,
            "megabytes": round(size / 1e6, 3),
        }

    def files(self) -> pl.DataFrame:
        """Return path, num_records and size_bytes of each current file, and its partition.*, min.* and max.*.

        It reads the log only. Values that a file's writer did not record are null, or have no column.
        """
        delta = self.newest()
        return pl.DataFrame() if delta is None else self._files(delta)

    def _missing_columns(self, delta: DeltaTable) -> list[str]:
        """Return the columns that were declared after the table was created."""
        present = {field.name for field in delta.schema().fields}
        return [c for c in self.table.schema if c not in present]

    def _files(self, delta: DeltaTable) -> pl.DataFrame:
        files = pl.DataFrame(delta.get_add_actions(flatten=True))
        return files if files.height else files.with_columns(pl.lit("").alias("path")).clear()


class _WithoutSizes:
    """The inner handle of delta-rs, without the sizes of files."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def get_add_file_sizes(self) -> dict[str, int]:
        return {}
