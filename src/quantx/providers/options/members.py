"""The members of a zip, a folder or a file, listed safely: what may be read, and what is refused with its reason.

Nothing is written to disk by the name of a member. Names that leave the archive are refused all the same: they are the
mark of an archive that was made to harm, and names are stored.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from lzma import LZMAError
from pathlib import Path
from typing import IO

from quantx.core.foreign_errors import file_fact
from quantx.errors import MalformedPayload
from quantx.providers.options.lean_names import is_lean_name

_ZIP_HEADS = (b"PK\x03\x04", b"PK\x05\x06")
# 50 MB of zeros are 49 KB in a zip. Texts of prices shrink to a tenth, and DBN is mostly compressed before.
_LARGEST_RATIO = 200
_SMALL = 64 << 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
# What zipfile and its decompressors raise on damaged bytes.
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    struct.error,
    UnicodeDecodeError,
    EOFError,
    NotImplementedError,
    OverflowError,
)
_ENCRYPTED = 0x1
_UNPRINTABLE = "its name has characters that can't be printed"
_LINK = 0o120000
_FILE_TYPE = 0o170000


@dataclass(frozen=True)
class SkippedName:
    """A member that is not read. A `refused` one is a failure of the import; the others only describe the archive."""

    name: str
    reason: str
    refused: bool = False


@dataclass(frozen=True)
class FileVersion:
    """A file on this machine, as it is at a moment."""

    path: Path
    facts: tuple[int, int, int]  # bytes, the time of the last change, and the number of the file

    @classmethod
    def of(cls, path: Path) -> FileVersion:
        """Return the version that is there now."""
        facts = path.stat()
        return cls(path, (facts.st_size, facts.st_mtime_ns, facts.st_ino))

    def is_current(self) -> bool:
        """Return whether the file has not changed since."""
        return self.path.is_file() and FileVersion.of(self.path) == self


@dataclass(frozen=True)
class Entry:
    """A readable member: its size, and how its bytes are opened."""

    size: int
    open: Callable[[], IO[bytes]]
    file: FileVersion | None = None  # that has its bytes; None: an object of the lake


@dataclass
class Listing:
    """The readable members of an archive by name, and the skipped ones."""

    entries: dict[str, Entry] = field(default_factory=dict)
    skipped: list[SkippedName] = field(default_factory=list)

    def refuse(self, name: str, reason: str) -> None:
        """Skip a member as a failure."""
        self.skipped.append(SkippedName(printable(name), reason, refused=True))


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise MalformedPayload where the bytes of `name` can't be read in this block."""
    try:
        yield
    except _DAMAGED as error:
        checksum = "CRC" in str(error)
        fact = "its bytes differ from their checksum" if checksum else "its bytes are cut or damaged"
        raise MalformedPayload(f"{name}: {fact}; download it again") from None
    except OSError as error:
        fact = "its bytes are cut or damaged" if error.errno is None else f"it can't be read: {file_fact(error)}"
        raise MalformedPayload(f"{name}: {fact}; download it again") from None


def is_zip(path: Path) -> bool:
    """Return whether a file is a zip, by its first bytes or by its name."""
    with path.open("rb") as file:
        return file.read(4) in _ZIP_HEADS or path.suffix.lower() == ".zip"


def list_folder(folder: Path, listing: Listing, keep_open: Callable[[zipfile.ZipFile], zipfile.ZipFile]) -> None:
    """List the files under a folder; a zip in it is listed as a folder, a zip of LEAN as one member."""
    root = folder.resolve()
    for place, folders, files in os.walk(root):
        folders.sort()
        for file in sorted(files):
            path = Path(place, file)
            name = path.relative_to(root).as_posix()
            if not name.isprintable():
                listing.refuse(name, _UNPRINTABLE)
            elif not path.resolve().is_relative_to(root):
                listing.refuse(name, "it is a link to a place outside of the folder")
            elif not path.is_file():
                listing.refuse(name, "it is no regular file")
            else:
                list_file(path, name, listing, keep_open)


def list_file(path: Path, name: str, listing: Listing, keep_open: Callable[[zipfile.ZipFile], zipfile.ZipFile]) -> None:
    """List a file, or the members of a zip under its name."""
    with reading(name):
        inner = is_zip(path)
    if not inner:
        listing.entries[name] = file_entry(path)
        return
    with reading(name):
        archive = zipfile.ZipFile(path)
    if holds_lean(archive):
        archive.close()
        listing.entries[name] = file_entry(path)
    else:
        list_zip(keep_open(archive), listing, f"{name}/", path)


def holds_lean(archive: zipfile.ZipFile) -> bool:
    """Return whether all members of a zip are named as LEAN names the contracts of one underlying."""
    names = [each.filename for each in archive.infolist() if not each.is_dir()]
    return bool(names) and all(map(is_lean_name, names))


def list_zip(archive: zipfile.ZipFile, listing: Listing, folder: str = "", path: Path | None = None) -> None:
    """List the members of a zip; `path` is where it lies on this machine."""
    file = None if path is None else FileVersion.of(path)
    members = [each for each in archive.infolist() if not each.is_dir()]
    times = Counter(each.filename for each in members)
    for each in members:
        fact = _refusal(each, times[each.filename])
        if fact:
            listing.refuse(folder + each.orig_filename, fact)
        else:
            listing.entries[folder + each.filename] = Entry(each.file_size, partial(_open_in_zip, archive, each), file)


def printable(name: str) -> str:
    """Return a name in which control characters are escaped: names of archives reach terminals."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)[:300]


def file_entry(path: Path) -> Entry:
    """Return a file on disk as a readable member."""
    file = FileVersion.of(path)
    return Entry(file.facts[0], lambda: path.open("rb"), file)


def _open_in_zip(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    return archive.open(member)


def _refusal(member: zipfile.ZipInfo, times: int) -> str | None:
    if not _is_safe(member.orig_filename):
        return "its name leads out of the archive"
    if not member.filename.isprintable():
        return _UNPRINTABLE
    if member.flag_bits & _ENCRYPTED:
        return "it is encrypted; decrypt the archive first"
    if times > 1:
        return "the archive has several members of this name"
    if (member.external_attr >> 16) & _FILE_TYPE == _LINK:
        return "it is a link"
    if member.compress_type not in _METHODS:
        return "its compression method is not supported; pack it again as deflate"
    if member.file_size > max(_SMALL, _LARGEST_RATIO * member.compress_size):
        return f"it expands more than {_LARGEST_RATIO}-fold, which no market data does"
    return None


def _is_safe(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." not in parts and parts[0] != "" and ":" not in parts[0] and "\0" not in name
