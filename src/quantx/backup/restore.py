"""Restore a backup into an empty lake and an empty database: objects, then the state, then the lake's ids.

Tombstones from after the backup are brought along: what they name is deleted again by `apply_tombstones`.

The restored lake gets a new id, which the restored state records in the same transaction as its rows. So these two
belong together, and the state and the lake from before are refused beside them: neither can write into the other by
accident. The state keeps its own id: its rounds go on where they ended (see `quantx.backup.cut`).

Until the end the lake's id says that a restore is under way, and of which backup: no command writes there, and the same
command finishes a restore that was killed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ulid import ULID

from quantx.backup.create import RESTORED, OnStep
from quantx.backup.manifest import Manifest
from quantx.backup.places import note_place
from quantx.backup.state_copy import restore_state
from quantx.backup.store import BackupStore
from quantx.backup.tombstones import bring_tombstones
from quantx.errors import ConfigError
from quantx.lake.epochs import STATE_ID
from quantx.lake.store import LakeLocation
from quantx.pipeline.runtime.lake_ids import LAKE_ID, RESTORING, id_at
from quantx.state.database import Database

_THREADS = 8
_IDS = (LAKE_ID, STATE_ID, "meta/epochs/")


@dataclass(frozen=True)
class RestoreResult:
    """A finished restore."""

    id: str
    lake_id: str
    objects: int
    bytes: int
    rows: int  # of the state


def restore_backup(
    store: BackupStore,
    manifest: Manifest,
    location: LakeLocation,
    open_database: Callable[[], Database],
    on_step: OnStep = lambda phase, done, total: None,
) -> RestoreResult:
    """Restore a backup into an empty lake and an empty database, and return what was restored.

    `open_database` opens the database without its schema. Raises ConfigError where one of them is not empty,
    DamagedObject where an object of the backup is damaged; nothing that exists is replaced.
    """
    on_step("begin", 0, None)
    lake_id = _begin(location, manifest)
    _copy_objects(store, manifest, location, on_step)
    on_step("state", 0, None)
    database = open_database()
    try:
        restore_state(database, manifest.state, store.get, lake_id)
    finally:
        database.close()
    on_step("finish", 0, None)
    origin = {"backup": manifest.id, "from": store.url, "lake_url": manifest.lake_url, "lake_id": manifest.lake_id}
    location.put(RESTORED, json.dumps(origin).encode())
    location.put(STATE_ID, manifest.state_id.encode())
    bring_tombstones(store, location)
    note_place(location, store.url)
    on_step("open", 0, None)
    location.put(LAKE_ID, lake_id.encode())
    return RestoreResult(
        id=manifest.id,
        lake_id=lake_id,
        objects=len(manifest.objects),
        bytes=sum(copy.size for copy in manifest.objects.values()),
        rows=sum(table.rows for table in manifest.state.tables.values()),
    )


def _begin(location: LakeLocation, manifest: Manifest) -> str:
    """Mark the lake as being restored; return its new id, or that of an unfinished restore of the same backup.

    A lake that a command has opened and not yet used has ids and nothing else: it is as good as empty.
    """
    mark = f"{RESTORING}{manifest.id}:"
    found = id_at(location, LAKE_ID) or ""
    if found.startswith(mark):
        return found.removeprefix(mark)
    if found.startswith(RESTORING):
        other = found.removeprefix(RESTORING).partition(":")[0]
        raise ConfigError(
            f"the restore of another backup into {location.url} is not finished; finish it with --backup {other}, or"
            " empty the place"
        )
    there = next((path for path in location.paths("") if not path.startswith(_IDS)), None)
    if there is not None:
        setting = "QUANTX_RAW_URL" if location.raw is not location and there.startswith("raw/") else "QUANTX_LAKE_URL"
        raise ConfigError(f"{location.address(there)} exists; restore into an empty place: set {setting}")
    lake_id = str(ULID())
    location.put(LAKE_ID, f"{mark}{lake_id}".encode())
    return lake_id


def _copy_objects(store: BackupStore, manifest: Manifest, location: LakeLocation, on_step: OnStep) -> None:
    """Copy the objects that are not there yet; logs last, so that no reader sees a table without its files."""
    there = location.sizes("")
    paths = sorted(manifest.objects, key=lambda path: ("/_delta_log/" in path, path))
    waiting = [path for path in paths if there.get(path) != manifest.objects[path].size]
    done = len(paths) - len(waiting)

    def copy(path: str) -> None:
        location.put_new(path, store.get(manifest.objects[path]))

    on_step("objects", done, len(paths))
    with ThreadPoolExecutor(_THREADS) as pool:
        for is_log in (False, True):
            portion = [path for path in waiting if ("/_delta_log/" in path) is is_log]
            for _ in pool.map(copy, portion):
                done += 1
                on_step("objects", done, len(paths))
