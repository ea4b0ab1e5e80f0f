"""A small DuckDB file of views of a lake, for other tools: DBeaver, Excel by ODBC, R."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import polars as pl

from quantx.core.tables import TABLES
from quantx.errors import ConfigError, LakeError
from quantx.lake.table_reader import TableReader
from quantx.reader.sql.catalog import VIEWS, Preference, SourcesOf, name, needed, orders, text
from quantx.reader.sql.engine import Computed
from quantx.reader.sql.files import PinnedFiles, is_local, pinned_files
from quantx.reader.sql.parquet_views import ParquetViews

_READABLE_BY = "v1.0.0"  # the oldest DuckDB that opens the file


def write_views(
    path: Path, url: str, tables: Mapping[str, TableReader], *, sources_of: SourcesOf, computed: Computed
) -> None:
    """Write the views of the tables' newest versions to a file, or replace it at once.

    Raises ConfigError for a lake that is not a local folder, and if the file can't be written or is something else.
    """
    if not is_local(url):
        raise ConfigError(f"a file of views needs a lake in a local folder, and {url} is none; use `quantx sql` there")
    _check(path)
    stored, _ = needed([*TABLES, *VIEWS])
    pinned = {table: pinned_files(tables[table]) for table in stored}
    bars = pinned["bars_1d"]
    frames = computed(None if bars is None else bars.first_year)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            new = Path(folder) / "new.duckdb"
            _write(new, pinned, frames, sources_of)
            new.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from None


def _check(path: Path) -> None:
    """Raise ConfigError for an existing file that is not one of views: a user's own tables stay."""
    if not path.exists():
        return
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            own = connection.execute("SELECT count(*) FROM duckdb_views() WHERE view_name = 'bars_1d'").fetchone()
    except duckdb.Error:
        own = None
    if own != (1,):
        raise ConfigError(f"{path} is not a file of views of a lake; choose another name, or remove it")


def _write(
    path: Path, pinned: Mapping[str, PinnedFiles | None], frames: Mapping[str, pl.DataFrame], sources_of: SourcesOf
) -> None:
    views = ParquetViews()
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"ATTACH {text(str(path))} AS views (STORAGE_VERSION {text(_READABLE_BY)})")
            connection.execute("USE views")
            for table, files in pinned.items():
                select = views.select(connection, TABLES[table], files)
                connection.execute(f"CREATE VIEW {name(table)} AS {select}")
            for table, frame in frames.items():
                rows = path.with_name(f"{table}.parquet")
                frame.write_parquet(rows)
                connection.execute(f"CREATE TABLE {name(table)} AS SELECT * FROM read_parquet({text(str(rows))})")
            for view in VIEWS.values():
                files = pinned[view.reads[0]]
                preference = Preference(() if files is None else files.sources, orders(view.timeframe, sources_of))
                what, select = view.definition(preference)
                connection.execute(f"CREATE {what} AS {select}")
            connection.execute("USE memory")
            connection.execute("DETACH views")
    except duckdb.Error as error:
        raise LakeError(f"the file of views can't be written: {str(error).splitlines()[0]}") from None
