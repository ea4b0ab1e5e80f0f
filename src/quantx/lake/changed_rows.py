"""The rows in which two versions of a table differ, from the files that the commits between them added and removed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote

import polars as pl

from quantx.errors import LakeError
from quantx.lake.log import entry_path
from quantx.lake.store import LakeLocation
from quantx.lake.table_reader import TableReader
from quantx.lake.table_version import LiveFile, TableVersion

_CONNECTIONS = 8
_MOST_ENTRIES = 2_000  # more are slower than to compare everything


def changed_rows(
    location: LakeLocation,
    reader: TableReader,
    since: int | None,
    now: TableVersion | None,
    columns: Sequence[str],
) -> pl.DataFrame | None:
    """Return the rows that only one of two versions of a table has, in some columns, each once.

    `since` is the earlier version; None: the table did not exist. Returns None where the log or a replaced file is gone
    by now: then any row may have changed.
    """
    if now is None:
        return None if since is not None else reader.table.empty().select(columns)
    if since == now.number:
        return reader.table.empty().select(columns)
    try:
        added, removed = _files_between(location, reader, since, now)
        came, went = (
            reader.read_files(files, pl.lit(True), columns) if files else reader.table.empty().select(columns)
            for files in (added, removed)
        )
    except (LakeError, KeyError, ValueError):
        return None
    if went.is_empty():
        return came
    only = [a.join(b, on=list(columns), how="anti", nulls_equal=True) for a, b in ((came, went), (went, came))]
    return pl.concat(only)


def _files_between(
    location: LakeLocation, reader: TableReader, since: int | None, now: TableVersion
) -> tuple[list[LiveFile], list[LiveFile]]:
    """Return the files of the later version that the earlier one lacks, and those that only the earlier one has."""
    if since is None:
        return list(now.files), []
    if now.number < since or now.number - since > _MOST_ENTRIES:
        raise ValueError(f"{now.number - since} entries")
    paths = [f"{reader.table.path}/{entry_path(n)}" for n in range(since + 1, now.number + 1)]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        entries = list(pool.map(location.get, paths))
    added: set[str] = set()
    removed: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for line in entry.splitlines():
            action = json.loads(line)
            if add := action.get("add"):
                added.add(unquote(add["path"]))
            elif remove := action.get("remove"):
                path = unquote(remove["path"])
                if path in added:
                    added.discard(path)
                else:
                    removed[path] = remove
    live = [file for file in now.files if file.path in added]
    return live, [_file(reader, path, remove) for path, remove in removed.items()]


def _file(reader: TableReader, path: str, remove: dict[str, Any]) -> LiveFile:
    """Return a removed file, without its statistics."""
    values, schema = remove["partitionValues"], reader.table.schema
    partition = {
        name: values[name] if schema[name] == pl.String else int(values[name]) for name in reader.table.partitions
    }
    return LiveFile(path, remove["size"], 0, partition, None, None, None, None)
