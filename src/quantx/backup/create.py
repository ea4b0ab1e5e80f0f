"""Create a backup: the state's snapshot, then the objects of the lake that are new, then the manifest.

An object that an earlier backup has, by path, size and e-tag, is not read again; one whose bytes are stored is not
stored again. A backup that was killed is continued by the next one: what it had copied is noted in portions.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.rows import DictRow

from quantx.backup.cut import consistent_cut, live_files, log_version
from quantx.backup.manifest import Manifest, ObjectCopy, StateCopy
from quantx.backup.places import PLACES, note_place
from quantx.backup.state_copy import copy_state
from quantx.backup.store import BackupStore
from quantx.backup.tombstones import keep_tombstones
from quantx.errors import Busy, ConfigError, DamagedObject, LakeError
from quantx.lake.digests import sha256
from quantx.lake.epochs import STATE_ID
from quantx.lake.files import named_digest
from quantx.lake.raw import raw_damage
from quantx.lake.replay import HINT
from quantx.lake.store import LakeLocation, ListedObject
from quantx.lake.tombstones import is_pending, read_tombstones
from quantx.pipeline.runtime.lake_ids import LAKE_ID
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.state.postgres import PostgresState

OnStep = Callable[[str, int, int | None], None]  # phase, finished objects, of how many
_THREADS = 8
_PORTION = 200  # objects that are copied between two notes
RESTORED = "meta/restored.json"  # the backup from which a lake was restored
# Of the lake that was copied, not of the one that is restored: its owner, its roles, its origin, its backups, and a
# state on machines that do not outlive a run.
_LEFT_OUT = (LAKE_ID, STATE_ID, RESTORED, "meta/epochs/", "state/", f"{PLACES}/")


@dataclass(frozen=True, kw_only=True)
class BackupResult:
    """A finished backup."""

    manifest: Manifest
    copied: int  # objects that were stored now
    copied_bytes: int
    damaged: Mapping[str, str] = field(default_factory=dict)  # what is damaged in the lake, by path
    replaced: int = 0  # of these: objects whose intact copy of an earlier backup is kept


def create_backup(
    location: LakeLocation,
    state: PostgresState,
    store: BackupStore,
    *,
    settings: Mapping[str, str | None],
    files: Mapping[str, str],
    program: str,
    portion: int = _PORTION,
    on_step: OnStep = lambda phase, done, total: None,
) -> BackupResult:
    """Copy lake and state into a new backup, as they are at one instant, and return it.

    What is copied is noted after every `portion` objects. Raises Busy where another backup of this state is under way,
    ConfigError where lake and state do not belong together, LakeError where the files of a table are unknown.
    """
    if f"{store.url}/".startswith(f"{location.url}/"):
        raise ConfigError(f"{store.url} is in the lake {location.url}; choose a place outside for backups")
    state_id = confirm_lake(location, state)
    with state.exclusive("backup") as hold:
        if hold is None:
            raise Busy("another backup of this state is under way; wait for its end")
        lake_id = location.get(LAKE_ID).decode()
        copier = _Copier(location, store, backup_id(state.now()))
        on_step("cut", 0, None)
        with consistent_cut(location, state.database) as (connection, versions):
            on_step("state", 0, None)
            rows = copier.copy_state(connection)
        objects = copier.copy_lake(versions, portion, on_step)
        copier.confirm_copies(rows, objects)
        manifest = Manifest(
            id=copier.id,
            program=program,
            lake_url=location.url,
            lake_id=lake_id,
            state_id=state_id,
            versions=versions,
            objects=objects,
            state=rows,
            settings=settings,
            files=files,
            damaged=sorted(copier.damaged),
        )
        on_step("manifest", 0, None)
        keep_tombstones(store, location)
        store.add(manifest)
    with contextlib.suppress(LakeError):  # without the right to write there: then a deletion does not name the backups
        note_place(location, store.url)
    return BackupResult(
        manifest=manifest,
        copied=copier.copied,
        copied_bytes=copier.copied_bytes,
        damaged=copier.damaged,
        replaced=copier.replaced,
    )


def backup_id(at: datetime) -> str:
    """Return the id of a backup of an instant in UTC; ids are ordered as their instants."""
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z"


class _Copier:
    """Copies objects into a store, and counts what is new there."""

    def __init__(self, location: LakeLocation, store: BackupStore, copied_as: str) -> None:
        self.id = copied_as
        self.copied = self.copied_bytes = self.replaced = 0
        self.damaged: dict[str, str] = {}
        self._location = location
        self._store = store
        self._stored = store.sizes()
        newest = store.newest()
        self._earlier = dict(newest.objects) if newest is not None else {}
        self._known = self._earlier | store.noted()

    def copy_state(self, connection: psycopg.Connection[DictRow]) -> StateCopy:
        """Copy the state of a snapshot."""
        return copy_state(connection, self._put)

    def copy_lake(self, versions: Mapping[str, int], portion: int, on_step: OnStep) -> dict[str, ObjectCopy]:
        """Copy the objects that belong to these versions of the tables, and all others; return them by path."""
        found = self._location.objects("")
        for path in is_pending(self._location, read_tombstones(self._location)):
            found.pop(path, None)  # deleted for good, and kept by a retention policy only
        live = {path for table, version in versions.items() for path in live_files(self._location, table, version)}
        if missing := sorted(live - found.keys()):
            raise DamagedObject(f"{missing[0]} is missing in {self._location.url}; `quantx verify --repair` repairs it")
        wanted = sorted(path for path in found if _belongs(path, versions, live))
        copies: dict[str, ObjectCopy] = {}
        on_step("objects", 0, len(wanted))
        with ThreadPoolExecutor(_THREADS) as pool:
            for number, start in enumerate(range(0, len(wanted), portion)):
                paths, before = wanted[start : start + portion], self.copied
                done = pool.map(lambda path: self._copy(path, found[path], versions, path in live), paths)
                for path, copy in zip(paths, done, strict=True):
                    if copy is not None:
                        copies[path] = copy
                    on_step("objects", len(copies), len(wanted))
                if self.copied > before and len(wanted) > portion:
                    self._store.note(self.id, number, {path: copies[path] for path in paths if path in copies})
        return copies

    def confirm_copies(self, state: StateCopy, objects: Mapping[str, ObjectCopy]) -> None:
        """Raise LakeError unless all copies are stored.

        The database may have been stopped meanwhile, so that the lock on backups was lost to another one, which deletes
        objects without a backup.
        """
        stored = self._store.sizes()
        parts = (part for table in state.tables.values() for part in table.parts)
        if any(stored.get(copy.sha256) != copy.size for copy in (*objects.values(), *parts)):
            raise LakeError(f"objects of this backup were deleted in {self._store.url} meanwhile; run it again")

    def _copy(self, path: str, listed: ListedObject, versions: Mapping[str, int], needed: bool) -> ObjectCopy | None:
        """Copy one object; None where it does not belong to the backup, or a report was deleted meanwhile."""
        known = self._known.get(path)
        same = known is not None and listed.e_tag is not None and known.e_tag == listed.e_tag
        if known is not None and same and known.size == listed.size == self._stored.get(known.sha256):
            return known
        try:
            body = self._location.get(path)
        except DamagedObject:
            if needed or path.startswith("raw/") or log_version(path):
                raise LakeError(f"{self._location.url}/{path} was deleted during the backup; run it again") from None
            return None
        if path.endswith(f"/_delta_log/{HINT}") and not _hints_at(body, versions[path.rpartition("/_delta_log/")[0]]):
            return None
        copy = self._put(body)
        what = _damage(path, copy, body) if needed or path.startswith("raw/") else None
        if what is not None:
            self.damaged[path] = what
            intact = self._earlier.get(path)
            if intact is not None and intact.sha256 != copy.sha256 and intact.sha256 in self._stored:
                self.replaced += 1
                return intact
        return ObjectCopy(copy.size, copy.sha256, listed.e_tag)

    def _put(self, body: bytes) -> ObjectCopy:
        copy = ObjectCopy(len(body), sha256(body))
        if self._stored.get(copy.sha256) != copy.size:
            self._store.put(body)
            self._stored[copy.sha256] = copy.size
            self.copied += 1
            self.copied_bytes += copy.size
        return copy


def _belongs(path: str, versions: Mapping[str, int], live: set[str]) -> bool:
    """Return whether an object belongs to a backup with these versions of the tables and these live files."""
    if path.startswith(_LEFT_OUT):
        return False
    if (entry := log_version(path)) is not None:
        return entry[1] <= versions.get(entry[0], -1)
    table = next(_tables_above(path, versions), None)
    if table is None:
        return "/_delta_log/" not in path
    return path in live or path == f"{table}/_delta_log/{HINT}"


def _tables_above(path: str, versions: Mapping[str, int]) -> Iterator[str]:
    parts = path.split("/")
    return (folder for n in range(1, len(parts)) if (folder := "/".join(parts[:n])) in versions)


def _hints_at(body: bytes, version: int) -> bool:
    """Return whether the hint of a log names a checkpoint up to a version."""
    try:
        return int(json.loads(body)["version"]) <= version
    except (ValueError, KeyError, TypeError):
        return False


def _damage(path: str, copy: ObjectCopy, body: bytes) -> str | None:
    """Return what is damaged in a raw object or a data file, by its own digest; None: nothing."""
    if path.startswith("raw/"):
        return raw_damage(path, body)[0] if path.endswith(".parquet") else None
    digest = named_digest(path)
    return None if digest is None or copy.sha256.startswith(digest) else "does not match its SHA-256"
