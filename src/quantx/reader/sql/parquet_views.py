"""The SELECT of a table's Parquet files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb

from quantx.core.table import Table
from quantx.errors import LakeError
from quantx.reader.sql.catalog import empty, name, nulls, sql_type, text
from quantx.reader.sql.files import PinnedFiles

_DAMAGED = "a file of the lake is missing or damaged; `quantx verify` names it, --repair mends it"


class ParquetViews:
    """SELECTs of files. Each file is looked into once, for its columns: a file never changes."""

    def __init__(self) -> None:
        self._columns: dict[str, frozenset[str]] = {}

    def select(self, connection: duckdb.DuckDBPyConnection, table: Table, files: PinnedFiles | None) -> str:
        """Return the SELECT of a version's rows; columns that an older file lacks are null."""
        if files is None or not files.paths:
            return empty(table)
        self._look_into(connection, files.paths)
        groups: dict[frozenset[str], list[str]] = {}
        for path in files.paths:
            groups.setdefault(self._columns[path], []).append(path)
        return " UNION ALL ".join(_of_group(table, present, paths) for present, paths in groups.items())

    def _look_into(self, connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
        unknown = [path for path in paths if path not in self._columns]
        if not unknown:
            return
        listed = ", ".join(map(text, unknown))
        try:
            rows = connection.execute(
                f"SELECT file_name, list(name) FROM parquet_schema([{listed}])"
                " WHERE coalesce(num_children, 0) = 0 GROUP BY file_name"
            ).fetchall()
        except duckdb.Error:
            raise LakeError(_DAMAGED) from None
        self._columns.update((path, frozenset(names)) for path, names in rows)


def _of_group(table: Table, present: frozenset[str], paths: Sequence[str]) -> str:
    hive: Mapping[str, str] = {p: sql_type(table.schema[p]) for p in table.partitions}
    types = ", ".join(f"{text(p)}: {kind}" for p, kind in hive.items())
    options = f"hive_partitioning = true, hive_types = {{{types}}}" if hive else "hive_partitioning = false"
    shown = ", ".join(name(c) if c in present or c in hive else nulls(table, [c]) for c in table.schema)
    return f"SELECT {shown} FROM read_parquet([{', '.join(map(text, paths))}], {options})"
