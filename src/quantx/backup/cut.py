"""The instant of a backup: versions of all tables and a snapshot of the state that belong together.

The versions of all tables are listed, the snapshot of the state is taken, and the versions are listed again. Versions
only grow: where both lists are equal, every table had its version at the moment of the snapshot. So the copy is what a
power failure at that moment would have left, and the work goes on from it as after a power failure:

* What the state calls done is in the tables: a round is committed before the state records it.
* A round under way is in the state with its replies, and perhaps in some tables. It is repeated under the same number,
  and tables that have it stay unchanged.
* Every raw object that the state or a table names is there: it was stored before both, it is never deleted, and raw
  objects are listed after the snapshot.

Where a table changed in between, all of it is repeated.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import polars as pl
import psycopg
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from psycopg.rows import DictRow

from quantx.errors import LakeError
from quantx.lake.diagnosis import log_failure
from quantx.lake.store import LakeLocation
from quantx.state.database import Database

_ZONES = ("curated", "quarantine", "features")  # the folders that have tables
_LOG = re.compile(r"(.+)/_delta_log/(\d{20})\.(?:json|checkpoint\.parquet)")
_ATTEMPTS = 200
_PAUSE = 0.3  # seconds


@contextmanager
def consistent_cut(
    location: LakeLocation,
    database: Database,
    *,
    attempts: int = _ATTEMPTS,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[tuple[psycopg.Connection[DictRow], dict[str, int]]]:
    """Yield a connection with a snapshot of the state, and the versions of all tables at its moment, by path.

    Raises LakeError where tables change all the time.
    """
    for _ in range(attempts):
        before = table_versions(location)
        with database.snapshot() as connection:
            if table_versions(location) == before:
                yield connection, before
                return
        pause(_PAUSE)
    raise LakeError(f"the tables of {location.url} change all the time; run the backup again when fewer workers run")


def table_versions(location: LakeLocation) -> dict[str, int]:
    """Return the newest version of each table by its path."""
    versions: dict[str, int] = {}
    for zone in _ZONES:
        for path in location.paths(zone):
            if (match := _LOG.fullmatch(path)) is not None:
                versions[match[1]] = max(int(match[2]), versions.get(match[1], 0))
    return versions


def log_version(path: str) -> tuple[str, int] | None:
    """Return table and version of an entry or checkpoint of a log; None for any other path.

    >>> log_version("curated/bars_1d/_delta_log/00000000000000000007.json")
    ('curated/bars_1d', 7)
    """
    match = _LOG.fullmatch(path)
    return None if match is None else (match[1], int(match[2]))


def live_files(location: LakeLocation, table: str, version: int) -> list[str]:
    """Return the paths of the data files that a version of the table at a path has; LakeError with what is damaged."""
    try:
        delta = DeltaTable(location.table_url(table), version=version, storage_options=location.delta_options)
        files = pl.DataFrame(delta.get_add_actions(flatten=True))
    except (DeltaError, OSError) as error:
        raise log_failure(location, table, table.rpartition("/")[2]) from error
    return [f"{table}/{path}" for path in files["path"]] if files.height else []
