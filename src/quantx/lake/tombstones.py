"""The objects of tombstones in the lake: each is created once, and what follows is an object beside it.

    meta/tombstones/<id>.json          what was deleted
    meta/tombstones/<id>.pending.json  raw objects that can't be removed yet, and why
    meta/tombstones/<id>.done.json     nothing is left to remove
    meta/tombstones/<id>.lifted.json   the data may be fetched again

Reading them is one request where there are none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from quantx.core.tombstones import Deleted, Tombstone
from quantx.errors import ConfigError, DamagedObject
from quantx.lake.store import LakeLocation

TOMBSTONES = "meta/tombstones"
_DONE, _LIFTED, _PENDING = "done", "lifted", "pending"


def read_tombstones(location: LakeLocation) -> list[Tombstone]:
    """Return all tombstones of a lake, the oldest first; DamagedObject for one that can't be read."""
    names = {path.removeprefix(f"{TOMBSTONES}/").removesuffix(".json") for path in location.paths(TOMBSTONES)}
    found = []
    for name in sorted(names):
        if "." in name:
            continue
        path = f"{TOMBSTONES}/{name}.json"
        try:
            facts = json.loads(location.get(path))
            stone = Tombstone.from_json(facts, lifted=f"{name}.{_LIFTED}" in names, done=f"{name}.{_DONE}" in names)
        except (ValueError, KeyError, TypeError):
            raise DamagedObject(
                f"the tombstone {location.address(path)} can't be read; restore it from a backup: it says what was"
                " deleted"
            ) from None
        found.append(stone)
    return found


def deleted_of(location: LakeLocation) -> Deleted:
    """Return the tombstones of a lake that are in force."""
    return Deleted.of(read_tombstones(location))


def find_tombstone(location: LakeLocation, stone_id: str) -> Tombstone:
    """Return a tombstone by its id; ConfigError where there is none."""
    stones = {stone.id: stone for stone in read_tombstones(location)}
    if stone_id not in stones:
        known = ", ".join(stones) or "none yet"
        raise ConfigError(f"there is no tombstone {stone_id!a}; there is {known} (`quantx delete --list`)")
    return stones[stone_id]


def write_tombstone(location: LakeLocation, stone: Tombstone) -> None:
    """Create a tombstone."""
    location.put_new(f"{TOMBSTONES}/{stone.id}.json", json.dumps(stone.as_json(), indent=2).encode())


def lift_tombstone(location: LakeLocation, stone: Tombstone, *, by: str, reason: str, at: datetime) -> None:
    """Record that the data of a tombstone may be fetched again."""
    record = {"by": by, "reason": reason, "at": at.isoformat()}
    location.put_new(_path(stone, _LIFTED), json.dumps(record).encode())


def note_pending(location: LakeLocation, stone: Tombstone, left: Mapping[str, Any]) -> None:
    """Record what can't be removed yet: facts by raw object."""
    location.put(_path(stone, _PENDING), json.dumps(left, default=str).encode())


def pending_of(location: LakeLocation, stone: Tombstone) -> dict[str, Any]:
    """Return what could not be removed yet: facts by raw object; empty where nothing is recorded."""
    try:
        found: dict[str, Any] = json.loads(location.get(_path(stone, _PENDING)))
    except (DamagedObject, ValueError):
        return {}
    return found


def note_done(location: LakeLocation, stone: Tombstone, facts: Mapping[str, Any]) -> None:
    """Record that nothing is left to remove."""
    location.put(_path(stone, _DONE), json.dumps(facts, default=str).encode())
    location.delete([_path(stone, _PENDING)])


def reopen(location: LakeLocation, stone: Tombstone) -> None:
    """Forget that nothing is left: replies of the deleted data have landed since."""
    location.delete([_path(stone, _DONE)])


def is_pending(location: LakeLocation, stones: list[Tombstone]) -> set[str]:
    """Return the raw objects that tombstones wait to remove: they belong to no backup."""
    return {path for stone in stones if not stone.done for path in pending_of(location, stone)}


def _path(stone: Tombstone, what: str) -> str:
    return f"{TOMBSTONES}/{stone.id}.{what}.json"
