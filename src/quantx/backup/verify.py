"""Verify a backup: its objects are read back, and compared with the SHA-256 under which they are stored."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from quantx.backup.manifest import Manifest, ObjectCopy
from quantx.backup.store import BackupStore, object_path
from quantx.errors import DamagedObject

_THREADS = 8


@dataclass(frozen=True, kw_only=True)
class BackupCheck:
    """The result of a verification."""

    id: str
    objects: int  # of the backup
    read: int  # of these, read back
    read_bytes: int
    damaged: Mapping[str, str]  # what is damaged, by the object's path in the place of backups


def verify_backup(
    store: BackupStore,
    manifest: Manifest,
    share: float = 1.0,
    *,
    chance: random.Random | None = None,
    on_object: Callable[[int, int], None] = lambda done, total: None,
) -> BackupCheck:
    """Compare a random share of a backup's objects with their SHA-256, and the sizes of all; return what is damaged."""
    copies = {copy.sha256: copy for copy in manifest.copies()}
    sizes = store.sizes()
    damaged = {
        object_path(digest): "is missing" if digest not in sizes else f"has {sizes[digest]:,} bytes, not {copy.size:,}"
        for digest, copy in sorted(copies.items())
        if sizes.get(digest) != copy.size
    }
    present = [copy for digest, copy in sorted(copies.items()) if object_path(digest) not in damaged]
    chosen = present
    if share < 1:
        chosen = (chance or random.Random()).sample(present, min(len(present), max(1, round(len(present) * share))))

    def problem(copy: ObjectCopy) -> str | None:
        try:
            store.get(copy)
        except DamagedObject:
            return "does not match its SHA-256"
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        for number, (copy, what) in enumerate(zip(chosen, pool.map(problem, chosen), strict=True), 1):
            if what is not None:
                damaged[object_path(copy.sha256)] = what
            on_object(number, len(chosen))
    return BackupCheck(
        id=manifest.id,
        objects=len(copies),
        read=len(chosen),
        read_bytes=sum(copy.size for copy in chosen),
        damaged=damaged,
    )
