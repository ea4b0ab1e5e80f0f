"""A small archive and a form of text, for tests of the import without a vendor's format."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO

import polars as pl
import pytest

from quantx.errors import MalformedPayload
from quantx.lake.store import LakeLocation, open_location
from quantx.pipeline.options.archive_plan import PlannedArchive, planned
from quantx.pipeline.options.importing import Arrival, ImportedMembers, MemberImporter
from quantx.providers.options.batch_lists import DayCondition
from quantx.providers.options.members import SkippedName
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionForm, OptionKind, OptionMember, Symbology
from quantx.state.memory import MemoryState
from quantx.state.option_members.port import ArchiveKey, MemberCounts

DAY = date(2024, 5, 1)


@dataclass(frozen=True)
class Listed:
    """A member of the archive in memory."""

    name: str
    size: int
    sha256: str | None = None
    modified: date | None = None
    condition: str | None = None


@dataclass
class MemoryArchive:
    """An archive whose members are texts: `options SCHEMA DAY ROWS`."""

    bodies: dict[str, bytes]
    manifest: dict[str, str] = field(default_factory=dict)
    modified: date | None = None
    skipped: tuple[SkippedName, ...] = ()
    opened: list[str] = field(default_factory=list)
    days: dict[date, DayCondition] = field(default_factory=dict)

    @property
    def members(self) -> list[Listed]:
        return [Listed(n, len(b), self.manifest.get(n), self.modified) for n, b in self.bodies.items()]

    def open(self, member: Listed) -> IO[bytes]:
        self.opened.append(member.name)
        return io.BytesIO(self.bodies[member.name])

    def symbology(self, member: Listed) -> bytes | None:
        return None

    def check(self, member: Listed) -> str:
        digest = hashlib.sha256(self.bodies[member.name]).hexdigest()
        if member.sha256 not in (None, digest):
            raise MalformedPayload(f"{member.name} does not match the SHA-256 of its manifest")
        return digest

    def confirm(self, member: Listed) -> None:
        """These bytes never change."""


@dataclass(frozen=True)
class TextMember:
    """An open member of text."""

    facts: MemberFacts
    contracts: pl.DataFrame
    rows: int

    def batches(self) -> Iterator[OptionBatch]:
        if self.rows < 0:
            raise MalformedPayload("the records end in the middle of one")
        yield OptionBatch(date=self.facts.first, rows=pl.DataFrame({"contract_index": [0] * self.rows}))


class TextForm:
    """The form of these texts."""

    name = "text"

    def recognizes(self, name: str, head: bytes) -> bool:
        return head.startswith(b"options")

    def open(self, name: str, stream: IO[bytes], size: int, symbology: Symbology | None = None) -> OptionMember:
        words = stream.read().decode().split()
        if len(words) < 4:
            raise MalformedPayload(f"{name} has no header")
        _, schema, day, rows = words[:4]
        kind: OptionKind | None = "quotes_1m" if schema == "cbbo-1m" else None
        facts = MemberFacts(
            kind=kind,
            schema=schema,
            source="databento",
            first=date.fromisoformat(day),
            last=date.fromisoformat(day),
            rows=None,
        )
        return TextMember(facts, pl.DataFrame(), int(rows))


def form_of(name: str, head: bytes) -> OptionForm | None:
    form = TextForm()
    return form if form.recognizes(name, head) else None


@dataclass
class MemoryStore:
    """Keeps what was committed, and fails where it is to fail."""

    committed: list[Arrival] = field(default_factory=list)
    before_commit: Callable[[], None] = lambda: None

    def __call__(
        self, member: OptionMember, folder: Path, arrival: Arrival, confirm: Callable[[], None]
    ) -> MemberCounts:
        rows = sum(batch.rows.height for batch in member.batches())
        self.before_commit()
        confirm()
        self.committed.append(arrival)
        return MemberCounts(rows, rows if arrival.corrects else 0, 0)


class StandingClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return datetime(2024, 6, 1, tzinfo=UTC)


@dataclass
class Import:
    """A state, a lake and a store in memory, and the imports of a test."""

    folder: Path
    location: LakeLocation
    actor: str = "first"
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.state = MemoryState(StandingClock(), lambda: self.actor)

    def run(
        self,
        archive: MemoryArchive,
        path: str = "/data/a.zip",
        *,
        keep: str = "archive",
        stopping: Callable[[], bool] = lambda: False,
    ) -> ImportedMembers:
        importer = MemberImporter(
            location=self.location,
            state=self.state,
            form_of=form_of,
            store=self.store,
            folder=self.folder,
            keep="archive" if keep == "archive" else "hashes",
        )
        return importer.import_archives([self.plan(archive, path)], stopping)

    def plan(self, archive: MemoryArchive, path: str = "/data/a.zip") -> PlannedArchive:
        return planned(ArchiveKey(path, "1:1"), archive, form_of)

    def states(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.state.option_members.listed(None)}


@pytest.fixture
def option_import(tmp_path: Path) -> Import:
    return Import(tmp_path, open_location(str(tmp_path / "lake")))
