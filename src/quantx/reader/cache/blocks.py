"""Bytes in blocks of 8 KB; a block is compared with its checksum before its first use."""

from __future__ import annotations

from array import array
from pathlib import Path
from zlib import crc32

_SHIFT = 13
_SIZE = 1 << _SHIFT


class DamagedCopy(Exception):
    """A decoded copy of a file does not match its checksums; the file itself is read instead."""


def checksums(body: bytes | bytearray | memoryview) -> bytes:
    """Return the checksums of the blocks of some bytes, four bytes each."""
    view = memoryview(body)
    return array("I", (crc32(view[at : at + _SIZE]) for at in range(0, len(view), _SIZE))).tobytes()


class Blocks:
    """The bytes of a copy; `path` names its file, which must stay as it was when it was opened."""

    def __init__(self, body: memoryview, sums: memoryview, path: Path | None = None) -> None:
        self._body = body
        self._sums = sums.cast("I")
        self._proven = bytearray(len(self._sums))
        self._path = path
        self.damaged = False
        self._opened = None if path is None else _identity(path)

    def confirm(self) -> None:
        """Raise DamagedCopy if the file was changed: reading bytes beyond its end would end the process."""
        if self._path is None:
            return
        now, opened = _identity(self._path), self._opened
        # A file that was deleted, or replaced by another one, stays readable.
        if now is not None and opened is not None and now[0] == opened[0] and now != opened:
            raise self._damage()

    def read(self, start: int, end: int) -> memoryview:
        """Return the bytes from `start` to `end`; DamagedCopy if a block does not match its checksum."""
        first, last = start >> _SHIFT, (end - 1 >> _SHIFT) + 1
        proven = self._proven
        if proven.find(0, first, last) >= 0:
            for number in range(first, last):
                if not proven[number]:
                    at = number << _SHIFT
                    if crc32(self._body[at : at + _SIZE]) != self._sums[number]:
                        raise self._damage()
                    proven[number] = 1
        return self._body[start:end]

    def _damage(self) -> DamagedCopy:
        self.damaged = True
        return DamagedCopy(str(self._path))


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with a file's bytes; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
