"""The folder of decoded copies on this machine, which processes share.

A copy appears whole or not at all: it is written under another name first, and renamed. It is never changed. Any file
of the folder may be deleted at any time: a process that has it open keeps it, and others read the lake.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantx.lake.digests import sha256
from quantx.lake.store import normalized_url
from quantx.lake.table_version import LiveFile
from quantx.reader.cache.blocks import OpenFile
from quantx.settings import Settings

_SUFFIX = ".rows"
_UNFINISHED = ".part"
_URL = "lake"  # a text file with the URL
_ABANDONED = 3600  # seconds after which an unfinished copy belongs to no process
_RECENT = 600  # seconds: a copy that was used since is not removed for another one
_NOTED = 300  # seconds between two records of the use of a copy
_SPARE = 512_000_000  # bytes that stay free on the disk


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """A copy in the folder."""

    path: Path
    lake: str  # the name of the lake's folder
    table: str
    size: int
    used: float  # seconds since 1970


class CacheFolder:
    """The copies of one lake's files; the copies of all lakes together take at most `most` bytes."""

    def __init__(self, root: Path, lake_url: str, most: int) -> None:
        self.root = root
        self.most = most
        self.lake = sha256(lake_url.encode())[:16]
        self._url = lake_url
        self._noted: dict[Path, float] = {}

    def path_of(self, table: str, live: LiveFile) -> Path:
        """Return the path of a file's copy: the file's path, which has its digest, and its size name it."""
        name = sha256(f"{live.path}\n{live.size}".encode())[:32]
        return self.root / self.lake / table / f"{name}{_SUFFIX}"

    def open(self, path: Path) -> OpenFile | None:
        """Open a copy; None if there is none. OSError if it can't be read."""
        try:
            file = OpenFile(path)
        except FileNotFoundError:
            return None
        self.note_use(path)
        return file

    def note_use(self, path: Path) -> None:
        """Record that a copy was used, by which the least recently used one is removed first."""
        now = time.time()
        if now - self._noted.get(path, 0) < _NOTED:
            return
        self._noted[path] = now
        with contextlib.suppress(OSError):  # a folder without the right to write
            os.utime(path, ns=(int(now * 1e9), path.stat().st_mtime_ns))

    def store(self, path: Path, body: bytes) -> bool:
        """Write a copy; return False if there is no room for it. OSError if the folder can't be written."""
        path.parent.mkdir(parents=True, exist_ok=True)
        named = self.root / self.lake / _URL
        if not named.exists():
            named.write_text(self._url, "utf-8")
        if not self.make_room(len(body)):
            return False
        unfinished = path.with_name(f".{path.stem}.{os.getpid()}.{time.monotonic_ns()}{_UNFINISHED}")
        try:
            with unfinished.open("xb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.chmod(0o444)
            unfinished.replace(path)
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
        return True

    def remove(self, path: Path) -> None:
        """Remove a copy, if it can be removed."""
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def copies(self) -> list[StoredCopy]:
        """Return the copies of all lakes, the least recently used one first."""
        found = []
        for path, facts in self._entries():
            if path.suffix == _SUFFIX:
                used = max(facts.st_atime, facts.st_mtime)
                found.append(StoredCopy(path, path.parts[-3], path.parts[-2], facts.st_size, used))
        return sorted(found, key=lambda copy: copy.used)

    def url_of(self, lake: str) -> str | None:
        """Return the URL of the lake with a folder; None where it is not noted."""
        try:
            return (self.root / lake / _URL).read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def clear(self, *, everything: bool = False) -> list[StoredCopy]:
        """Remove the copies of this lake (`everything`: of all lakes); return them. OSError if one can't be removed."""
        removed = [copy for copy in self.copies() if everything or copy.lake == self.lake]
        for copy in removed:
            copy.path.unlink(missing_ok=True)
        return removed

    def make_room(self, size: int) -> bool:
        """Remove abandoned files, and copies that were not used for a while; return whether there is room.

        OSError if the folder can't be written.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        now = time.time()
        for path, facts in self._entries():
            if path.suffix == _UNFINISHED and now - facts.st_mtime > _ABANDONED:
                self.remove(path)
        copies = self.copies()
        excess = sum(copy.size for copy in copies) + size - self.most
        for copy in copies:
            if excess <= 0 or now - copy.used < _RECENT:
                break
            self.remove(copy.path)
            excess -= copy.size
        return excess <= 0 and shutil.disk_usage(self.root).free > size + _SPARE

    def _entries(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self.root.glob("*/*/*"):
            with contextlib.suppress(OSError):  # removed by another process
                yield path, path.stat()


def cache_folder(settings: Settings, lake_url: str) -> CacheFolder | None:
    """Return the folder of copies as the settings have it; None if the cache is off."""
    if not settings.cache_size or lake_url.startswith("memory://"):
        return None
    return _folder(settings, lake_url)


def folder_of_settings(settings: Settings) -> CacheFolder:
    """Return the folder of copies of the lake of the settings, even if the cache is off; the lake is not opened."""
    return _folder(settings, normalized_url(settings.lake_url))


def _folder(settings: Settings, lake_url: str) -> CacheFolder:
    return CacheFolder(settings.cache_folder(), lake_url, int(settings.cache_size))
