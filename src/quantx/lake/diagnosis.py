"""The reason why a table can't be read, found in the objects themselves and not in the text of a library's error.

A damaged or missing object is a DamagedObject, for which nothing waits; everything else is a LakeError: an outage.
"""

from __future__ import annotations

import json

from quantx.core.table import Table
from quantx.errors import DamagedObject, LakeError
from quantx.lake.digests import sha256
from quantx.lake.files import REPAIR, damaged_file, decode, named_digest, statistics_of
from quantx.lake.replay import DataFile, TableLog, checkpoint_path, hinted_version, read_log
from quantx.lake.store import LakeLocation

_MOST_BYTES = 2_000_000_000  # of data files that are read to find a damaged one


def version_without_hint(location: LakeLocation, path: str) -> int | None:
    """Return a version that delta-rs can open although the table's hint names a checkpoint that does not exist.

    None where the hint is not the reason. delta-rs ignores a hint that can't be read, but not one that is wrong. It
    ignores a hint about a later version than the one to open.
    """
    hinted = hinted_version(location, path)
    sizes = location.sizes(f"{path}/_delta_log")
    if hinted == 0 or sizes.get(checkpoint_path(path, hinted)):
        return None
    versions = [int(name) for each in sizes if (name := each.rpartition("/")[2].removesuffix(".json")).isdigit()]
    return min(max(versions, default=0), hinted - 1)


def log_failure(location: LakeLocation, path: str, name: str) -> LakeError:
    """Return the error to raise where the log of a table can't be read."""
    try:
        log = read_log(location, path)
    except DamagedObject as error:  # an object that was listed and is gone
        return LakeError(f"the table {name} changed while its log was read: {error}; try again")
    except LakeError as error:
        return error
    for damage in log.damages if log else ():
        if damage.needed and damage.part != "hint":
            return DamagedObject(f"the log of the table {name} is damaged: {damage.path} {damage.what}; {REPAIR}")
    return LakeError(f"the log of the table {location.table_url(path)} could not be read; try again")


def read_failure(location: LakeLocation, path: str, table: Table) -> LakeError:
    """Return the error to raise where the rows of a table can't be read: it names the damaged file."""
    try:
        log = read_log(location, path)
        if log is None or not log.whole:
            return log_failure(location, path, table.name)
        files = log.state.live_files()
        sizes = location.sizes(path)
        left = _MOST_BYTES
        for file in sorted(files, key=lambda each: sizes.get(f"{path}/{each.path}") == each.size):
            problem, _ = file_damage(location, path, table, file)
            if problem is not None:
                return damaged_file(table, f"{path}/{file.path}", problem)
            left -= file.size
            if left <= 0:
                break
    except LakeError as error:
        return error
    return LakeError(f"the table {table.name} could not be read; try again, and if it fails again, run `quantx verify`")


def data_files(location: LakeLocation, path: str, log: TableLog) -> list[DataFile]:
    """Return the live data files of a table, and the replaced ones that have not been deleted yet, by path.

    Replaced files of earlier programs are left out: nothing proves them.
    """
    files = {file.path: file for file in log.state.live_files()}
    for stored, size in location.sizes(path).items():
        name = stored.removeprefix(f"{path}/")
        if name not in files and not name.startswith("_delta_log/") and (digest := named_digest(name)) is not None:
            files[name] = DataFile(name, size, {}, {}, digest, live=False)
    return [files[name] for name in sorted(files)]


def file_damage(location: LakeLocation, path: str, table: Table, file: DataFile) -> tuple[str | None, bool]:
    """Return what is damaged in a data file (None: nothing), and whether a digest proves it.

    Earlier programs recorded no digest: their files are decoded, and compared with the statistics in the log.
    """
    try:
        body = location.get(f"{path}/{file.path}")
    except DamagedObject:
        return "is missing", True
    if len(body) != file.size:
        return f"has {len(body):,} bytes, not {file.size:,}", True
    if file.sha256 is not None:
        return (None if sha256(body).startswith(file.sha256) else "does not match its SHA-256"), True
    return _decoded_damage(body, table, file), False


def _decoded_damage(body: bytes, table: Table, file: DataFile) -> str | None:
    try:
        rows = decode(body)
    except DamagedObject as error:
        return str(error)
    columns = [c for c in table.schema if c not in table.partitions]
    if not set(rows.columns) <= set(columns):
        return "has other columns than the table"
    found, logged = json.loads(statistics_of(rows)), file.statistics
    if logged and found["numRecords"] != logged.get("numRecords"):
        return f"has {rows.height:,} rows, not {logged.get('numRecords'):,}"
    parts = ("minValues", "maxValues", "nullCount")
    if any(found[p].get(c) != v for p in parts for c, v in logged.get(p, {}).items()):
        return "does not match its statistics in the log"
    return None
