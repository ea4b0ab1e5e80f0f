"""Archives of options: the members of a zip, a folder or a single file, with what the vendor's lists state about them.

Nothing is unpacked. A member is read in place, and its size and its SHA-256 are checked before it is decoded. Names
that lead out of the archive, encrypted members and bombs are refused when the archive is opened; the other members stay
readable.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO

from quantx.errors import ConfigError, MalformedPayload
from quantx.providers.options.batch_lists import (
    CONDITION,
    DESCRIPTIONS,
    MANIFEST,
    SYMBOLOGY,
    BatchLists,
    DayCondition,
    ListedFile,
    day_in_name,
    read_condition,
    read_manifest,
)
from quantx.providers.options.members import (
    Entry,
    Listing,
    SkippedName,
    file_entry,
    holds_lean,
    is_zip,
    list_folder,
    list_zip,
    reading,
)

HEAD_BYTES = 1024
_CHUNK = 1 << 20
_LARGEST_LIST = 256 << 20


@dataclass(frozen=True, kw_only=True)
class ArchiveMember:
    """One member of an archive, before it is read."""

    name: str  # with "/" between folders, unique in the archive
    size: int  # bytes
    sha256: str | None = None  # as manifest.json states it
    # Of condition.json, for the day in the member's name; `OptionArchive.days` has it for the days in its header.
    modified: date | None = None
    condition: str | None = None  # available, degraded, pending, missing


@dataclass(kw_only=True)
class OptionArchive:
    """An open archive; close it, or use it in a `with`."""

    path: Path
    members: list[ArchiveMember]  # by name
    skipped: list[SkippedName]
    days: Mapping[date, DayCondition]
    _entries: dict[str, Entry]
    _lists: dict[str, BatchLists]  # by folder
    _files: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> OptionArchive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of the archive."""
        self._files.close()

    def open(self, member: ArchiveMember) -> IO[bytes]:
        """Return the bytes of a member as a stream; MalformedPayload where there is none."""
        with reading(member.name):
            return self._entries[member.name].open()

    def head(self, member: ArchiveMember) -> bytes:
        """Return the first 1,024 bytes of a member, by which its form is chosen."""
        with reading(member.name), self._entries[member.name].open() as stream:
            return stream.read(HEAD_BYTES)

    def check(self, member: ArchiveMember) -> str:
        """Read a member whole and return its SHA-256; MalformedPayload where its size, hash or checksum differ."""
        with reading(member.name), self._entries[member.name].open() as stream:
            size, sha256 = _measured(stream)
        if size == 0:
            raise MalformedPayload(f"{member.name} is empty; download it again")
        listed = _listed(self._lists, member.name)
        stated = member.size if listed.size is None else listed.size
        if size != stated:
            raise MalformedPayload(f"{member.name} has {size:,} bytes where {stated:,} are stated; download it again")
        if member.sha256 not in (None, sha256):
            raise MalformedPayload(f"{member.name} has another SHA-256 than {MANIFEST} states; download it again")
        return sha256

    def confirm(self, member: ArchiveMember) -> None:
        """Raise MalformedPayload where the file of a member has changed since the archive was opened."""
        file = self._entries[member.name].file
        if file is not None and not file.is_current():
            raise MalformedPayload(f"{member.name} changed while it was read; import it again once it is complete")

    def symbology(self, member: ArchiveMember) -> bytes | None:
        """Return symbology.json of the member's folder, for files whose own header maps no symbol."""
        name = _folder(member.name) + SYMBOLOGY
        content = _content(self._entries, name)
        _check_list(content, self._lists.get(_folder(name), BatchLists()).files, name)
        return content


def open_archive(path: Path) -> OptionArchive:
    """Open a zip, a folder or a single file; ConfigError where there is none, MalformedPayload where it is damaged.

    The zips of a folder are opened too: their members have the zip's name as their folder. A zip of LEAN is one member.
    The lists beside a single file are read as well.
    """
    listing, files = Listing(), ExitStack()
    try:
        wanted = _list(path, listing, files)
        return _archive(path, listing, files, wanted)
    except BaseException:
        files.close()
        raise


def open_zip(file: IO[bytes], name: str) -> OptionArchive | None:
    """Open a zip in a file that can seek; None where it is one of LEAN, which is a single member.

    Raises MalformedPayload where it is damaged.
    """
    listing, files = Listing(), ExitStack()
    try:
        with reading(name):
            archive = files.enter_context(zipfile.ZipFile(file))
        if holds_lean(archive):
            files.close()
            return None
        list_zip(archive, listing)
        return _archive(Path(name), listing, files, None)
    except BaseException:
        files.close()
        raise


def _archive(path: Path, listing: Listing, files: ExitStack, wanted: str | None) -> OptionArchive:
    lists = _read_lists(listing)
    names = sorted(name for name in listing.entries if wanted is None or name == wanted)
    members = [_member(name, listing, lists) for name in names if not _is_description(name)]
    described = [SkippedName(name, "it describes the archive") for name in names if _is_description(name)]
    absent = [] if wanted else _absent(listing, lists)
    return OptionArchive(
        path=path,
        members=members,
        skipped=listing.skipped + absent + described,
        days={day: each for folder in lists.values() for day, each in folder.days.items()},
        _entries=listing.entries,
        _lists=lists,
        _files=files,
    )


def _list(path: Path, listing: Listing, files: ExitStack) -> str | None:
    """List the members at a path; return the name of the only wanted one where it is a file among others."""
    if path.is_dir():
        list_folder(path, listing, files.enter_context)
        return None
    if not path.is_file():
        raise ConfigError(f"{path} is no file and no folder; check the path")
    with reading(path.name):
        archive = files.enter_context(zipfile.ZipFile(path)) if is_zip(path) else None
    if archive is not None and not holds_lean(archive):
        list_zip(archive, listing, path=path)
        return None
    for each in [path, *(path.with_name(name) for name in sorted(DESCRIPTIONS - {path.name}))]:
        if each.is_file():
            listing.entries[each.name] = file_entry(each)
    return path.name


def _read_lists(listing: Listing) -> dict[str, BatchLists]:
    folders = {_folder(name) for name in listing.entries if _is_description(name)}
    lists = {}
    for folder in folders:
        manifest, condition = folder + MANIFEST, folder + CONDITION
        stated = _content(listing.entries, manifest)
        files = {} if stated is None else read_manifest(stated, manifest)
        days = _content(listing.entries, condition)
        _check_list(days, files, condition)
        lists[folder] = BatchLists(files, {} if days is None else read_condition(days, condition))
    return lists


def _member(name: str, listing: Listing, lists: dict[str, BatchLists]) -> ArchiveMember:
    folder = lists.get(_folder(name), BatchLists())
    day = day_in_name(_file(name)) if folder.days else None
    stated = None if day is None else folder.days.get(day)
    return ArchiveMember(
        name=name,
        size=listing.entries[name].size,
        sha256=_listed(lists, name).sha256,
        modified=None if stated is None else stated.modified,
        condition=None if stated is None else stated.condition,
    )


def _absent(listing: Listing, lists: dict[str, BatchLists]) -> list[SkippedName]:
    """Return the files that a manifest lists and the archive lacks."""
    known = listing.entries.keys() | {each.name for each in listing.skipped}
    return [
        SkippedName(name, f"{MANIFEST} lists it, but the archive does not have it", refused=True)
        for folder, each in sorted(lists.items())
        for name in (folder + file for file in each.files)
        if name not in known
    ]


def _content(entries: Mapping[str, Entry], name: str) -> bytes | None:
    entry = entries.get(name)
    if entry is None:
        return None
    if entry.size > _LARGEST_LIST:
        raise MalformedPayload(f"{name} has {entry.size:,} bytes, too many for a list; download the archive again")
    with reading(name), entry.open() as stream:
        return stream.read()


def _check_list(content: bytes | None, files: Mapping[str, ListedFile], name: str) -> None:
    """Raise MalformedPayload where a list differs from what the manifest states about it."""
    stated = files.get(_file(name))
    if content is None or stated is None or stated.sha256 is None:
        return
    if hashlib.sha256(content).hexdigest() != stated.sha256:
        raise MalformedPayload(f"{name} has another SHA-256 than {MANIFEST} states; download the archive again")


def _measured(stream: IO[bytes]) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _listed(lists: Mapping[str, BatchLists], name: str) -> ListedFile:
    return lists.get(_folder(name), BatchLists()).files.get(_file(name), ListedFile(None, None))


def _folder(name: str) -> str:
    """Return the folder of a member with its slash, empty for the top: what is beside it begins with this."""
    return name[: len(name) - len(_file(name))]


def _file(name: str) -> str:
    return name.rpartition("/")[2]


def _is_description(name: str) -> bool:
    return _file(name) in DESCRIPTIONS
