"""The SEC's nightly archives as a vendor: the replies about a filer are members of ZIP files on disk.

`companyfacts.zip` has one document per filer with facts, `submissions.zip` one per filer and its older pages. The
documents are those of data.sec.gov, and are kept and read like them.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from quantx.core.model import Clock, Payload
from quantx.errors import ConfigError, TerminalProviderError, UnknownSymbol
from quantx.providers.protocol import Page, Request
from quantx.providers.sec import Sec

LARGEST_MEMBER = 64 * 2**20  # bytes, unpacked; the facts of a large bank are 12 MB
_MEMBER = re.compile(r"(CIK\d{10})(-submissions-\d{3,6})?\.json")
_PAGE = "-submissions-"
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)


@dataclass
class Archive:
    """One opened archive, and the members of each filer in it."""

    path: Path
    file: zipfile.ZipFile
    members: dict[str, list[zipfile.ZipInfo]] = field(default_factory=lambda: defaultdict(list))
    strange: list[str] = field(default_factory=list)  # names of members that are left out

    @cached_property
    def made_at(self) -> datetime:
        """The time of the newest member, or that of the file where its members have none."""
        stamps = [info.date_time for infos in self.members.values() for info in infos]
        newest = max(stamps, default=(1980, 1, 1, 0, 0, 0))
        if newest[0] <= 1980:
            return datetime.fromtimestamp(self.path.stat().st_mtime, UTC)
        return datetime(*newest, tzinfo=UTC)

    @property
    def is_submissions(self) -> bool:
        """Return whether it has submissions and not facts, by its pages or by its first readable member."""
        infos = [info for infos in self.members.values() for info in infos]
        if any(_PAGE in info.filename for info in infos):
            return True
        for info in infos:
            try:
                head = self.file.open(info).read(4096)
            except _BROKEN:
                continue
            if head.strip():
                return b'"entityName"' not in head
        return False


class SecArchives(Sec):
    """The provider `sec` with archives in place of the network; open it with `open_archives`."""

    def __init__(self, facts: Archive | None, submissions: Archive | None, clock: Clock) -> None:
        super().__init__(None, None, clock)
        self._facts, self._submissions = facts, submissions
        self._clock = clock

    @property
    def filers(self) -> list[str]:
        """Return the filers with facts; those of the submissions where there is no archive of facts."""
        archive = self._facts or self._submissions
        return [] if archive is None else sorted(archive.members)

    @property
    def is_complete(self) -> bool:
        """Return whether both archives are there: without submissions a filer's times of filing are unknown."""
        return self._facts is not None and self._submissions is not None

    @property
    def made_at(self) -> datetime:
        """Return the time of the older archive, but not the future."""
        return min([self._clock.now(), *(archive.made_at for archive in self._archives)])

    @property
    def strange(self) -> list[str]:
        """Return the names of members that are left out: they are none of the SEC's."""
        return [f"{archive.path.name}: {name}" for archive in self._archives for name in archive.strange]

    @property
    def _archives(self) -> list[Archive]:
        return [archive for archive in (self._submissions, self._facts) if archive is not None]

    def fetch(self, request: Request) -> Iterator[Page]:
        """Read the members about a filer; a damaged one fails the filer, and no other."""
        (symbol,) = request.symbols
        found = [
            (archive, info)
            for archive in self._archives
            for info in sorted(
                archive.members.get(symbol, ()), key=lambda info: (_PAGE in info.filename, info.filename)
            )
        ]
        if not found:
            names = " and ".join(archive.path.name for archive in self._archives)
            raise UnknownSymbol(f"{names} has no {symbol}", [symbol])
        places = [(archive.path, info.filename) for archive, info in found]
        if twice := next((name for path, name in places if places.count((path, name)) > 1), None):
            raise TerminalProviderError(f"the archive has {twice} twice: which is right is unknown", [symbol])
        for number, (archive, info) in enumerate(found, start=1):
            payload = self._payload(archive, info, symbol)
            self.check(payload)
            symbols = frozenset([symbol])
            yield Page(payload, symbols, symbols if number == len(found) else frozenset())

    def _payload(self, archive: Archive, info: zipfile.ZipInfo, symbol: str) -> Payload:
        where = f"the member {info.filename} of {archive.path.name}"
        if info.file_size > LARGEST_MEMBER:
            raise TerminalProviderError(
                f"{where} has {info.file_size:,} bytes; a filer's document has {LARGEST_MEMBER:,} at most", [symbol]
            )
        try:
            with archive.file.open(info) as member:
                body = member.read(LARGEST_MEMBER + 1)
        except _BROKEN as error:
            raise TerminalProviderError(f"{where} is damaged; download the archive again", [symbol]) from error
        if len(body) > LARGEST_MEMBER or not body:
            raise TerminalProviderError(f"{where} is {'larger than it states' if body else 'empty'}", [symbol])
        kind = "submissions" if archive is self._submissions else "companyfacts"
        return Payload(
            symbol,
            f"archive:{kind}/{info.filename}?file={archive.path.name}",
            200,
            self._clock.now(),
            content_type="application/json",
            body=body,
            vendor_time=self.made_at,
        )


def open_archives(opened: ExitStack, paths: Sequence[Path], clock: Clock) -> SecArchives:
    """Return the provider of one or two archives; they are closed with `opened`.

    ConfigError where a file is no whole archive, or two of them are of one kind.
    """
    facts: Archive | None = None
    submissions: Archive | None = None
    for path in paths:
        archive = _open(opened, path)
        if archive.is_submissions:
            submissions, other = archive, submissions
        else:
            facts, other = archive, facts
        if other is not None:
            raise ConfigError(f"{other.path} and {path} are archives of the same kind; give one of each")
    return SecArchives(facts, submissions, clock)


def _open(opened: ExitStack, path: Path) -> Archive:
    try:
        file = opened.enter_context(zipfile.ZipFile(path))
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}; download the archive first") from None
    except _BROKEN as error:
        raise ConfigError(f"{path} is no whole ZIP archive: it is truncated or damaged; download it again") from error
    archive = Archive(path, file)
    for info in file.infolist():
        match = _MEMBER.fullmatch(info.filename)
        if match is None:
            if not info.is_dir() and info.filename != "placeholder.txt":
                archive.strange.append(info.filename)
        else:
            archive.members[match[1]].append(info)
    if not archive.members:
        raise ConfigError(f"{path} has no member that is named as in CIK0000320193.json; it is no archive of the SEC")
    return archive
