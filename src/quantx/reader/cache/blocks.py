"""Bytes in blocks of 4 KB with checksums: every block of a file is compared as it is read, into memory of its own.

A file is read, not mapped: a process that reads a mapped file beyond its end is ended, and mapped bytes may change
after their comparison.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections import OrderedDict
from collections.abc import Hashable
from pathlib import Path
from typing import Protocol
from zlib import crc32

_SHIFT = 12
_SIZE = 1 << _SHIFT
_PREAD = getattr(os, "pread", None)  # Windows has none


class DamagedCopy(Exception):
    """A decoded copy of a file does not match its checksums; the file itself is read instead."""


def checksums(body: bytes | bytearray | memoryview) -> bytes:
    """Return the checksums of the blocks of some bytes, four bytes each."""
    view = memoryview(body)
    return array("I", (crc32(view[at : at + _SIZE]) for at in range(0, len(view), _SIZE))).tobytes()


class Blocks(Protocol):
    """The bytes of the columns of a copy."""

    def read(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to `end`; DamagedCopy if a block does not match its checksum."""
        ...


class HeldBlocks:
    """The same in memory."""

    def __init__(self, body: memoryview) -> None:
        self._body = body

    def read(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to `end`."""
        return self._body[start:end]


class OpenFile:
    """A file that stays open, also where it is deleted, until the last reader has gone."""

    def __init__(self, path: Path) -> None:
        """Open a file for reading; OSError if it can't be opened."""
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def size(self) -> int:
        """Return the bytes of the file."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Return some bytes, or fewer at the end; DamagedCopy if they can't be read."""
        try:
            if _PREAD is not None:
                body: bytes = _PREAD(self._descriptor, length, offset)
                return body
            with self._lock:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                return os.read(self._descriptor, length)
        except OSError:
            raise DamagedCopy from None


class FileBlocks:
    """The bytes of a file from `offset`."""

    def __init__(self, file: OpenFile, offset: int, length: int, sums: bytes) -> None:
        self._file = file
        self._offset = offset
        self._length = length
        self._sums = memoryview(sums).cast("I")

    def read(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to `end`; DamagedCopy if a block does not match its checksum."""
        if start >= end:
            return memoryview(b"")
        first, last = start >> _SHIFT, end - 1 >> _SHIFT
        low, high = first << _SHIFT, min((last + 1) << _SHIFT, self._length)
        body = self._file.read(self._offset + low, high - low)
        if len(body) != high - low:
            raise DamagedCopy
        if first == last:
            if crc32(body) != self._sums[first]:
                raise DamagedCopy
            return memoryview(body)[start - low : end - low]
        view = memoryview(body)
        for at, number in zip(range(0, high - low, _SIZE), range(first, last + 1), strict=True):
            if crc32(view[at : at + _SIZE]) != self._sums[number]:
                raise DamagedCopy
        return view[start - low : end - low]


class WholeColumns:
    """Columns that queries needed as a whole, checked, up to a number of bytes; the least recently used go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: OrderedDict[Hashable, memoryview] = OrderedDict()

    def get(self, key: Hashable) -> memoryview | None:
        """Return a column; None if it is not here."""
        return self._held.get(key)

    def keep(self, key: Hashable, column: memoryview) -> None:
        """Keep a column, instead of others."""
        with self._lock:
            known = key in self._held
            self._held[key] = column
            self._held.move_to_end(key)
            if known:
                return
            while len(self._held) > 1 and sum(len(each) for each in self._held.values()) > self._most:
                self._held.popitem(last=False)
