"""The places of backups that are known to a lake, and what of deleted data they still have.

A backup notes its place in the lake. Nothing in a backup is changed: an older one keeps the deleted data until it is
deleted itself. A tombstone is copied beside the backups, so that a restore of an older one applies it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from quantx.backup.tombstones import keep_tombstone
from quantx.core.deleted_rows import touched_tables
from quantx.core.tables import TABLES
from quantx.core.tombstones import Tombstone
from quantx.errors import DamagedObject, QuantxError
from quantx.lake.digests import sha256
from quantx.lake.store import LakeLocation
from quantx.settings import Settings, without_secrets

PLACES = "meta/backup-places"


@dataclass(frozen=True)
class BackupNote:
    """A place of backups: the backups in it that may have deleted data, or why it can't be opened."""

    url: str
    backups: Sequence[str] = ()
    objects: int = 0  # of the vendor: raw objects and data files, in the newest of them
    problem: str | None = None


def note_place(location: LakeLocation, url: str) -> None:
    """Note in the lake where its backups lie."""
    shown = without_secrets(url)
    location.put(f"{PLACES}/{sha256(shown.encode())[:16]}.json", json.dumps({"url": shown}).encode())


def known_places(location: LakeLocation) -> list[str]:
    """Return the places of a lake's backups."""
    urls = []
    for path in sorted(location.paths(PLACES)):
        try:
            urls.append(str(json.loads(location.get(path))["url"]))
        except (DamagedObject, ValueError, KeyError, TypeError):
            continue
    return urls


def backups_with(location: LakeLocation, stone: Tombstone, settings: Settings) -> list[BackupNote]:
    """Return the known places of backups with what they may still have of the deleted data."""
    from quantx.backup.store import open_backups

    notes = []
    for url in known_places(location):
        try:
            store = open_backups(url, settings, create=False)
            manifests = [(each, store.manifest(each)) for each in store.manifests()]
        except QuantxError as error:
            notes.append(BackupNote(url, problem=str(error)))
            continue
        found = {each: count for each, m in manifests if (count := _objects_of(stone, m.objects))}
        notes.append(BackupNote(url, tuple(found), max(found.values(), default=0)))
    return notes


def leave_tombstone(location: LakeLocation, stone: Tombstone, settings: Settings) -> None:
    """Copy a tombstone beside the backups in all known places that can be opened."""
    from quantx.backup.store import open_backups

    for url in known_places(location):
        with contextlib.suppress(QuantxError):  # `backups_with` has the reason
            keep_tombstone(open_backups(url, settings, create=False), stone)


def _objects_of(stone: Tombstone, paths: Collection[str]) -> int:
    """Return the number of objects of a backup that may have deleted rows: it is older than the tombstone."""
    if any(f"tombstones/{stone.id}.done" in path for path in paths):
        return 0
    folders = tuple(f"{TABLES[name].path}/" for name in touched_tables(stone))
    own = f"source={stone.source}/"
    return sum(own in path and path.startswith(("raw/", *folders)) for path in paths)
