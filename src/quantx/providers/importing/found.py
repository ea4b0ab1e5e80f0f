"""The files of an import: those of folders, and the members of archives; their bytes, unpacked."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import struct
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from quantx.errors import ConfigError
from quantx.providers.reply_values import WrongForm

LARGEST = 2 * 2**30  # bytes of one file, unpacked
_PIECE = 2**24
_ANY_RATIO, _MOST_RATIO = 2**26, 200  # bytes that may be packed as small as they are; above: times the packed size
_TABLES = (".csv", ".txt", ".tsv", ".parquet", ".xlsx", ".xls", ".xlsm", ".ods")
_PACKED = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_OTHER_PACKERS = (".zst", ".7z", ".rar", ".tar", ".tgz", ".lz4", ".br", ".z")
_IGNORED = ("thumbs.db", "desktop.ini")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
_OPEN_ARCHIVES = 8


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file, or a member of an archive."""

    path: Path
    member: str | None = None

    @property
    def address(self) -> str:
        """Return the path, and the member after an exclamation mark."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    @property
    def inner(self) -> str:
        """Return the path that names the content: that of the member, or of the file."""
        return self.member if self.member is not None else str(self.path)

    @property
    def name_in_place(self) -> str:
        """Return the file name with all endings."""
        return self.inner.replace("\\", "/").rpartition("/")[2]

    @property
    def name(self) -> str:
        """Return the content's file name without the ending of a packer, as in AAPL.csv."""
        name = self.name_in_place
        return name.rpartition(".")[0] if ending_of(name) in _PACKED else name


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that is not read, and why."""

    address: str
    why: str
    is_failure: bool = True  # False: it is no table, as a README beside the files


def find_files(paths: Sequence[Path]) -> Iterator[FoundFile | LeftOut]:
    """Yield the files of paths in order, folders with all that is below; ConfigError for a path that is not there."""
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no file or folder {path}")
    for path in paths:
        yield from _below(path.absolute())


def _below(path: Path) -> Iterator[FoundFile | LeftOut]:
    if path.is_dir():
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
        for name in names:
            yield from _below(path / name)
    elif path.suffix.lower() == ".zip":
        yield from _members(path)
    elif _is_table(path.name):
        yield FoundFile(path)
    elif (packer := _other_packer(path.name)) is not None:
        yield LeftOut(str(path), f"files packed as {packer} are not read; unpack it")
    elif path.name.lower() not in _IGNORED:
        yield LeftOut(str(path), f"{path.suffix or 'a name without an ending'} is no table", is_failure=False)


def _members(path: Path) -> Iterator[FoundFile | LeftOut]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
    except _BROKEN:
        yield LeftOut(str(path), "it is no whole ZIP archive: it is cut off or damaged; get it again")
        return
    locked = {info.filename for info in infos if info.flag_bits & 1}
    names = sorted(info.filename for info in infos if not info.is_dir())
    for name in names:
        base = name.rpartition("/")[2]
        if base.startswith(".") or "__MACOSX" in name:
            continue
        if names.count(name) > 1 if len(names) < 1000 else False:
            yield LeftOut(f"{path}!{name}", "the archive has this name twice: which is right is unknown")
        elif name in locked:
            yield LeftOut(f"{path}!{name}", "it is encrypted; unpack it with its password, and import the file")
        elif _is_table(base):
            yield FoundFile(path, name)
        elif (packer := _other_packer(base)) is not None:
            yield LeftOut(f"{path}!{name}", f"files packed as {packer} are not read; unpack it")
        elif base.lower().endswith(".zip"):
            yield LeftOut(f"{path}!{name}", "an archive in an archive is not read; unpack the outer one")
        else:
            yield LeftOut(f"{path}!{name}", "it is no table", is_failure=False)


def _is_table(name: str) -> bool:
    ending = ending_of(name)
    return ending_of(name[: -len(ending)]) in _TABLES if ending in _PACKED else ending in _TABLES


def _other_packer(name: str) -> str | None:
    """Return the ending of a packer that is not read, as of prices.csv.zst or all.tar.gz; None for other names."""
    endings = [part.lower() for part in PurePosixPath(name).suffixes[-2:]]
    return next((ending for ending in endings if ending in _OTHER_PACKERS), None)


def ending_of(name: str) -> str:
    """Return the ending of a file name with its dot, in small letters; "" where there is none."""
    return PurePosixPath(name).suffix.lower()


class FileReader:
    """Reads found files; keeps a few archives open. Its threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._archives: OrderedDict[Path, zipfile.ZipFile] = OrderedDict()

    def read(self, file: FoundFile) -> bytes:
        """Return the unpacked bytes; WrongForm where they can't be read."""
        try:
            with self._opened(file) as stream, _unpacked(stream, ending_of(file.name_in_place)) as content:
                body = _content_of(content, self._size_of(file))
        except WrongForm:
            raise
        except KeyError:
            raise WrongForm("the archive does not have this member any more") from None
        except FileNotFoundError:
            raise WrongForm("the file is not there any more") from None
        except PermissionError:
            raise WrongForm("the file may not be read") from None
        except _BROKEN:
            raise WrongForm("it can't be unpacked or read: it is cut off or damaged; get it again") from None
        if not body.strip():
            raise WrongForm("it is empty")
        return body

    def _size_of(self, file: FoundFile) -> int:
        """Return the bytes of a file where it lies: packed, if it is."""
        if file.member is None:
            return file.path.stat().st_size
        return self._archive(file.path).getinfo(file.member).compress_size

    def _opened(self, file: FoundFile) -> IO[Any]:
        return file.path.open("rb") if file.member is None else self._archive(file.path).open(file.member)

    def _archive(self, path: Path) -> zipfile.ZipFile:
        with self._lock:
            archive = self._archives.pop(path, None) or zipfile.ZipFile(path)
            self._archives[path] = archive
            # A thread may still read from the one that goes: its last reader closes it.
            while len(self._archives) > _OPEN_ARCHIVES:
                self._archives.popitem(last=False)
            return archive

    def close(self) -> None:
        """Close the archives."""
        with self._lock:
            for archive in self._archives.values():
                archive.close()
            self._archives.clear()


def _content_of(stream: IO[bytes], packed_size: int) -> bytes:
    """Return the bytes of a stream; WrongForm where they are too many for a table that takes `packed_size` bytes."""
    pieces, size = list[bytes](), 0
    while piece := stream.read(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST:
            raise WrongForm(f"it is larger than {LARGEST / 2**30:.0f} GiB; split it")
        if size > _ANY_RATIO and size > _MOST_RATIO * packed_size:
            raise WrongForm(f"it unpacks to more than {_MOST_RATIO} times its size, which no table does; get it again")
    return b"".join(pieces)


@contextmanager
def _unpacked(stream: IO[bytes], ending: str) -> Iterator[IO[bytes]]:
    """Unpack a stream by the ending of its name; one without a packer's ending is as it is."""
    packed = _PACKED.get(ending)
    if packed is None:
        yield stream
    else:
        with packed(stream) as content:  # type: ignore[operator]
            yield content


def digest(body: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(body).hexdigest()
