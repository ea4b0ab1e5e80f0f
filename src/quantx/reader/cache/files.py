"""The decoded files of a lake: found in memory, read from the folder of copies, or decoded again."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass

import polars as pl

from quantx.core.table import Table
from quantx.lake.files import TableFiles
from quantx.lake.store import LakeLocation
from quantx.lake.table_version import LiveFile
from quantx.reader.cache.assemble import ChosenFile
from quantx.reader.cache.background import BackgroundCopies
from quantx.reader.cache.blocks import DamagedCopy, WholeColumns
from quantx.reader.cache.copies import DecodedFile, encode, open_copy, open_copy_file
from quantx.reader.cache.folder import CacheFolder

_SMALL, _FEW_ROWS = 2_000_000, 200_000  # bytes and rows: the file is decoded in a few ms
_IN_MEMORY = 128_000_000  # bytes of decoded small files that stay in memory
_WHOLE = 256_000_000  # bytes of columns that queries of all symbols on some days needed
_MOST_OPEN = 256  # files; a process may have 1,024 on most systems
_log = logging.getLogger("quantx.cache")


@dataclass(frozen=True, slots=True)
class _Key:
    table: str
    path: str
    size: int


class DecodedFiles:
    """The decoded files of one lake; threads may share it. `folder` None: only small files are kept, in memory."""

    def __init__(self, location: LakeLocation, folder: CacheFolder | None = None) -> None:
        self._location = location
        self.folder = folder
        self.small = _SMALL  # bytes of a file, up to which it is decoded when it is needed
        self._lock = threading.Lock()
        self._opened: OrderedDict[_Key, DecodedFile] = OrderedDict()
        self._whole = WholeColumns(_WHOLE)
        self._small: OrderedDict[_Key, tuple[DecodedFile, int]] = OrderedDict()
        self._damaged: set[_Key] = set()  # whose copy can't be used, also where it can't be removed
        self._warned = False
        self.background = BackgroundCopies(self.build)

    def find(self, table: Table, live: LiveFile) -> ChosenFile | None:
        """Return a file decoded; None if it is large and has no copy."""
        key = _Key(table.name, live.path, live.size)
        with self._lock:
            decoded = self._opened.get(key)
            if decoded is None and (held := self._small.get(key)) is not None:
                self._small.move_to_end(key)
                decoded = held[0]
        if decoded is None:
            decoded = self._open(table, live, key)
        if decoded is None and self.is_small(live):
            decoded = self._decode_small(table, live, key)
        if decoded is None and self.folder is not None:
            self.background.note_read(table, live)
        return None if decoded is None else ChosenFile(live, decoded)

    def is_small(self, live: LiveFile) -> bool:
        """Return whether a file is decoded when it is needed, and needs no copy; equal values make many rows small."""
        return live.size <= self.small and live.rows <= _FEW_ROWS

    def forget(self, table: Table, live: LiveFile) -> None:
        """Remove the copy of a file, which is damaged."""
        key = _Key(table.name, live.path, live.size)
        with self._lock:
            self._opened.pop(key, None)
            self._small.pop(key, None)
            self._damaged.add(key)
        if self.folder is not None:
            self.folder.remove(self.folder.path_of(table.name, live))
            self.background.note_loss(table, live)

    def build(self, table: Table, live: LiveFile) -> int | None:
        """Write the copy of a file into the folder; return its bytes, None if there is no room or no folder.

        Raises LakeError if the file is missing, or does not match its size or its digest.
        """
        folder = self.folder
        if folder is None:
            return None
        try:
            if self._warned or not folder.make_room(live.size):  # a copy is larger than its file
                return None
            body = self._encoded(table, live)
            if not folder.store(folder.path_of(table.name, live), body):
                return None
        except OSError as error:
            self._warn(error)
            return None
        with self._lock:
            self._damaged.discard(_Key(table.name, live.path, live.size))
        return len(body)

    def has_copy(self, table: Table, live: LiveFile) -> bool:
        """Return whether the folder has a whole copy of a file."""
        key = _Key(table.name, live.path, live.size)
        return key in self._opened or self._open(table, live, key) is not None

    def _open(self, table: Table, live: LiveFile, key: _Key) -> DecodedFile | None:
        if self.folder is None or key in self._damaged:
            return None
        path = self.folder.path_of(table.name, live)
        try:
            file = self.folder.open(path)
            if file is None:
                return None
            decoded = open_copy_file(file, table, live, self._whole)
        except DamagedCopy:
            self.forget(table, live)
            return None
        except OSError as error:
            self._warn(error)
            return None
        with self._lock:
            while len(self._opened) >= _MOST_OPEN:
                self._opened.popitem(last=False)
            return self._opened.setdefault(key, decoded)

    def _decode_small(self, table: Table, live: LiveFile, key: _Key) -> DecodedFile:
        body = self._encoded(table, live)
        decoded = open_copy(body, table, live, self._whole)
        if self.folder is not None and not self._location.url.startswith("file://"):
            try:
                self.folder.store(self.folder.path_of(table.name, live), body)  # spares a request of other processes
            except OSError as error:
                self._warn(error)
        with self._lock:
            self._small[key] = decoded, len(body)
            while len(self._small) > 1 and sum(size for _, size in self._small.values()) > _IN_MEMORY:
                self._small.popitem(last=False)
        return decoded

    def _encoded(self, table: Table, live: LiveFile) -> bytes:
        files = TableFiles(self._location, table.path, table)
        rows = files.decoded(live.path, live.size)
        stored = [pl.col(c).cast(t) for c, t in table.schema.items() if c in rows.columns and c not in table.partitions]
        return encode(rows.select(stored), table, live)

    def _warn(self, error: OSError) -> None:
        """Log once that the folder can't be used; queries read the lake then."""
        if not self._warned and self.folder is not None:
            self._warned = True
            _log.warning(
                "the cache folder %s is not usable: %s; queries read the lake", self.folder.root, error.strerror
            )
