"""Read an object by ranges as a file: for archives, of which only some parts are needed."""

from __future__ import annotations

import io
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from typing_extensions import override

from quantx.lake.store import LakeLocation

_RANGE = 4_000_000  # bytes per request


def open_object(location: LakeLocation, path: str, size: int) -> BufferedReader:
    """Open an object of `size` bytes as a file that can seek; a read raises as `LakeLocation.get`."""
    return BufferedReader(_Ranges(location, path, size), _RANGE)


def copy_object(location: LakeLocation, path: str, size: int, to: Path) -> None:
    """Copy an object to this machine, range by range."""
    with open_object(location, path, size) as source, to.open("wb") as target:
        while part := source.read(_RANGE):
            target.write(part)


class _Ranges(RawIOBase):
    """An object; each read is a request."""

    def __init__(self, location: LakeLocation, path: str, size: int) -> None:
        self._location = location
        self._path = path
        self._size = size
        self._place = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._place

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence])
        return self._place

    @override
    def readinto(self, buffer: Any) -> int:
        end = min(self._place + len(buffer), self._size)
        if end <= self._place:
            return 0
        found = self._location.get_range(self._path, self._place, end)
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)
