"""Tombstones beside backups: a backup from before a deletion has the deleted data, which no restore must bring back.

tombstones/<id>.json    as in the lake; created once
"""

from __future__ import annotations

import json

from quantx.backup.store import BackupStore
from quantx.core.tombstones import Tombstone
from quantx.errors import DamagedObject
from quantx.lake.store import LakeLocation
from quantx.lake.tombstones import TOMBSTONES, read_tombstones

_FOLDER = "tombstones"
_LIFTED = ".lifted.json"


def keep_tombstone(store: BackupStore, stone: Tombstone) -> None:
    """Create the copy of a tombstone beside the backups."""
    store.location.create(f"{_FOLDER}/{stone.id}.json", json.dumps(stone.as_json(), indent=2).encode())


def keep_tombstones(store: BackupStore, location: LakeLocation) -> None:
    """Copy the tombstones of a lake, and their liftings, beside its backups."""
    for stone in read_tombstones(location):
        keep_tombstone(store, stone)
        if stone.lifted:
            name = f"{stone.id}{_LIFTED}"
            store.location.create(f"{_FOLDER}/{name}", location.get(f"{TOMBSTONES}/{name}"))


def bring_tombstones(store: BackupStore, location: LakeLocation) -> int:
    """Copy the tombstones beside the backups into a restored lake; return how many it did not have.

    What an older backup brings back is not deleted there: these tombstones are not done.
    """
    there, new = set(location.paths(TOMBSTONES)), 0
    for path in sorted(store.location.paths(_FOLDER)):
        target = f"{TOMBSTONES}/{path.rpartition('/')[2]}"
        if target in there:
            continue
        try:
            location.create(target, store.location.get(path))
        except DamagedObject:  # deleted since it was listed
            continue
        new += not path.endswith(_LIFTED)
    return new
