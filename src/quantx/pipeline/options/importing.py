"""Import members of archives, one at a time: check, keep the bytes, stage, and commit once."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, Literal, Protocol

import structlog
from typing_extensions import override
from ulid import ULID

from quantx.core.foreign_errors import file_fact
from quantx.errors import MalformedPayload, ProviderError, QuantxError
from quantx.lake.store import LakeLocation
from quantx.pipeline.options.archive_plan import HEAD, FormOf, ListedMember, OpenArchive, PlannedArchive, record
from quantx.pipeline.options.raw_members import write_member
from quantx.providers.options.batch_lists import DayCondition
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionForm, OptionMember
from quantx.state.option_members.port import (
    UNFINISHED_MEMBERS,
    MemberContent,
    MemberCounts,
    MemberHold,
    MemberRecord,
    MemberState,
)
from quantx.state.port import State

log = structlog.get_logger()

_AVAILABLE = "available"  # the condition of days without a defect
Keep = Literal["archive", "hashes"]  # of what the raw zone has of a member


@dataclass
class ImportProgress:
    """How far an import is; the command line shows it."""

    size: int = 0  # bytes of the members to import
    bytes: int = 0
    rows: int = 0
    member: str = ""
    step: str = ""


@dataclass
class ImportedMembers:
    """The outcome of an import."""

    done: int = 0
    known: int = 0  # imported before, from this archive or another one
    failed: int = 0
    refused: int = 0  # unsafe, damaged or absent, as the list of the archive shows
    skipped: int = 0
    superseded: int = 0
    elsewhere: int = 0  # held by another process
    unfinished: int = 0
    rows: int = 0
    rows_changed: int = 0
    rows_rejected: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """Where the rows of a member are from, for its commit."""

    member: MemberRecord
    raw: str  # the ULID of its raw object, which stands in each row
    corrects: Sequence[str]  # the ULIDs of the raw objects of its earlier versions


class Store(Protocol):
    """What turns an open member into rows of the tables."""

    def __call__(
        self, member: OptionMember, folder: Path, arrival: Arrival, confirm: Callable[[], None]
    ) -> MemberCounts:
        """Stage the rows in `folder`, and commit them once; call `confirm` before the commit."""
        ...


@dataclass(kw_only=True)
class MemberImporter:
    """Imports members. Any number of processes may do so; any may die at any moment."""

    location: LakeLocation
    state: State
    form_of: FormOf
    store: Store
    folder: Path  # for the files of a member
    keep: Keep
    source: str | None = None  # as the user names it, for forms without a source of their own
    on_progress: Callable[[ImportProgress], None] = lambda progress: None
    progress: ImportProgress = field(default_factory=ImportProgress)

    def import_archives(self, plans: Sequence[PlannedArchive], stopping: Callable[[], bool]) -> ImportedMembers:
        """Import what is not imported yet; a member under way is finished when `stopping`.

        A member that fails does not stop the others. Raises LakeError or StateError in an outage; the next import
        resumes.
        """
        done = ImportedMembers()
        todo = [(plan, *pair) for plan in plans for pair in self._recorded(plan, done)]
        self.progress.size = sum(member.size for _, member, _ in todo)
        for place, (plan, member, found) in enumerate(todo):
            if stopping():
                done.unfinished += len(todo) - place
                break
            before = self.progress.bytes
            self.import_member(plan.open, member, found, done)
            self.progress.bytes = before + member.size
            self.on_progress(self.progress)
        return done

    def _recorded(self, plan: PlannedArchive, done: ImportedMembers) -> Sequence[tuple[ListedMember, MemberRecord]]:
        todo = record(plan, self.state.option_members)
        done.known += len(plan.members) - len(todo)
        done.left_out += [{"member": each.name, "reason": each.reason or ""} for each in plan.skipped]
        done.refused += sum(each.refused for each in plan.open.skipped)
        return todo

    def import_member(
        self, archive: OpenArchive, member: ListedMember, found: MemberRecord, done: ImportedMembers
    ) -> None:
        """Import one member that no other process holds, and count its outcome in `done`."""
        members = self.state.option_members
        with members.held(found.id) as hold:
            if hold is None:
                done.elsewhere += 1
                return
            found = members.read(found.id)
            if found.state not in UNFINISHED_MEMBERS:
                done.known += 1
                return
            self.progress.member = member.name
            try:
                self._import(archive, member, found, hold, done)
            except (ProviderError, OSError) as error:
                why = file_fact(error) if isinstance(error, OSError) else str(error)
                self._fail(found, type(error).__name__, why, done)
            except QuantxError:
                raise
            except Exception as error:
                log.exception("option_member.broken", archive=found.archive, member=found.name)
                name = type(error).__name__
                self._fail(found, name, f"{found.name} can't be imported: its reader failed with {name}", done)

    def _fail(self, found: MemberRecord, error_class: str, why: str, done: ImportedMembers) -> None:
        self.state.option_members.fail(found.id, error_class, why)
        done.failed += 1
        done.failures.append({"archive": found.archive, "member": found.name, "error": why})
        log.info("option_member.failed", archive=found.archive, member=found.name, error=why)

    def _import(
        self, archive: OpenArchive, member: ListedMember, found: MemberRecord, hold: MemberHold, done: ImportedMembers
    ) -> None:
        members = self.state.option_members
        if member.sha256 is not None and self._is_known(found, member.sha256, self.source, archive.days, done):
            return
        self._step("checking")
        digest = archive.check(member)
        if member.sha256 is None and self._is_known(found, digest, self.source, archive.days, done):
            return
        found = members.start(found.id, digest)
        form = self._form(archive, member)
        self._step("reading the header")
        with self._opened(archive, member) as stream:
            opened = form.open(member.name, stream, member.size, partial(archive.symbology, member))
            content, name = content_of(opened.facts, archive.days, found), member.name.rpartition("/")[2]
            with members.version_held(name, content) as version:
                if version is None:
                    done.elsewhere += 1
                    return
                if self._is_known(found, digest, content.source, archive.days, done):
                    return
                found = self._kept(archive, member, found, content.source)
                earlier = members.earlier(name, content, digest)
                if content.kind is None:
                    self._leave(found, "skipped", content, opened.facts.skipped or _no_table(content), done)
                elif earlier and _is_older(content, earlier[0]):
                    why = f"a version of {earlier[0].modified} is imported; this one is of {content.modified}"
                    self._leave(found, "superseded", content, why, done)
                else:
                    confirm = partial(_confirm, archive, member, (hold, version))
                    self._store(opened, found, content, earlier, confirm, done)

    def _is_known(
        self,
        found: MemberRecord,
        digest: str,
        source: str | None,
        days: Mapping[date, DayCondition],
        done: ImportedMembers,
    ) -> bool:
        """Return whether these bytes of a source (None: any) were imported before, and record it."""
        before = self.state.option_members.imported(digest, source)
        if before is None or self._is_restored(found, before, days):
            return False
        self.state.option_members.start(found.id, digest)
        self.state.option_members.finish(
            found.id, "done", _content_of_record(before), MemberCounts(), f"imported before from {before.archive}"
        )
        done.known += 1
        return True

    def _is_restored(self, found: MemberRecord, before: MemberRecord, days: Mapping[date, DayCondition]) -> bool:
        """Return whether the vendor went back to these bytes, after a correction that was imported meanwhile."""
        content = _content_of_record(before)
        modified = found.modified if content is None else _modified(days, content.first_day, content.last_day, found)
        if content is None or modified is None or before.sha256 is None:
            return False
        others = self.state.option_members.earlier(before.name.rpartition("/")[2], content, before.sha256)
        between = others[0].modified if others else None
        return between is not None and (before.modified or date.min) < between < modified

    def _form(self, archive: OpenArchive, member: ListedMember) -> OptionForm:
        with archive.open(member) as stream:
            form = self.form_of(member.name, stream.read(HEAD))
        if form is None:
            raise MalformedPayload(f"{member.name} is in no form of options that can be read")
        return form

    def _kept(self, archive: OpenArchive, member: ListedMember, found: MemberRecord, source: str) -> MemberRecord:
        """Store the member in the raw zone, unless an earlier attempt has, and return its record."""
        if found.raw is not None:
            return found
        self._step("keeping")
        found = replace(found, raw=str(ULID()))
        content = (lambda: archive.open(member)) if self.keep == "archive" else None
        for written in write_member(self.location, source, found, content):
            self.state.tasks.land(written, [], [])
        self.state.option_members.keep(found.id, found.raw or "")
        return found

    def _leave(
        self, found: MemberRecord, state: MemberState, content: MemberContent, why: str, done: ImportedMembers
    ) -> None:
        self.state.option_members.finish(found.id, state, content, MemberCounts(), why)
        setattr(done, state, getattr(done, state) + 1)
        done.left_out.append({"member": found.name, "reason": why})

    def _store(
        self,
        opened: OptionMember,
        found: MemberRecord,
        content: MemberContent,
        earlier: Sequence[MemberRecord],
        confirm: Callable[[], None],
        done: ImportedMembers,
    ) -> None:
        assert found.raw is not None
        self._step("staging")
        arrival = Arrival(member=found, raw=found.raw, corrects=[each.raw for each in earlier if each.raw])
        counts = self.store(_Observed(opened, self._note_rows), self.folder, arrival, confirm)
        self.state.option_members.finish(found.id, "done", content, counts)
        done.done += 1
        done.rows += counts.rows
        done.rows_changed += counts.changed
        done.rows_rejected += counts.rejected
        log.info("option_member.done", archive=found.archive, member=found.name, **asdict(counts))

    def _step(self, step: str) -> None:
        self.progress.step = step
        self.on_progress(self.progress)

    def _note_rows(self, rows: int) -> None:
        self.progress.rows += rows
        self.on_progress(self.progress)

    @contextmanager
    def _opened(self, archive: OpenArchive, member: ListedMember) -> Iterator[IO[bytes]]:
        """Open a member; what is read of it counts as progress."""

        def note(read: int) -> None:
            self.progress.bytes += read

        with archive.open(member) as stream:
            yield BufferedReader(_Counted(stream, note))


@dataclass
class _Observed:
    """A member whose rows are counted while they are read."""

    member: OptionMember
    on_rows: Callable[[int], None]

    def __post_init__(self) -> None:
        self.facts = self.member.facts
        self.contracts = self.member.contracts

    def batches(self) -> Iterator[OptionBatch]:
        for batch in self.member.batches():
            self.on_rows(batch.rows.height)
            yield batch


class _Counted(RawIOBase):
    """A stream that reports how many bytes were read."""

    def __init__(self, stream: IO[bytes], on_read: Callable[[int], None]) -> None:
        self._stream = stream
        self._on_read = on_read

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._stream.tell()

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    @override
    def readinto(self, buffer: Any) -> int:
        found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        self._on_read(len(found))
        return len(found)


def _confirm(archive: OpenArchive, member: ListedMember, holds: Sequence[MemberHold]) -> None:
    """Raise before a commit where the archive has changed meanwhile, or where a hold is lost."""
    archive.confirm(member)
    for hold in holds:
        hold.confirm()


def _no_table(content: MemberContent) -> str:
    return f"no table takes the schema {content.schema}"


def content_of(facts: MemberFacts, days: Mapping[date, DayCondition], listed: MemberRecord) -> MemberContent:
    """Return what a header states, and the vendor's lists about its days, as the state records it."""
    stated = [each for day, each in days.items() if facts.first <= day <= facts.last]
    conditions = sorted({each.condition for each in stated} - {_AVAILABLE})
    return MemberContent(
        source=facts.source,
        schema=facts.schema,
        kind=facts.kind,
        first_day=facts.first,
        last_day=facts.last,
        modified=_modified(days, facts.first, facts.last, listed),
        condition=", ".join(conditions) or (_AVAILABLE if stated else listed.condition),
    )


def _modified(days: Mapping[date, DayCondition], first: date, last: date, listed: MemberRecord) -> date | None:
    """Return when the vendor last changed one of the days; without such a list, what the member's record has."""
    stated = (each.modified for day, each in days.items() if first <= day <= last and each.modified)
    return max(stated, default=listed.modified)


def _content_of_record(member: MemberRecord) -> MemberContent | None:
    if member.source is None or member.schema is None or member.first_day is None or member.last_day is None:
        return None
    return MemberContent(
        source=member.source,
        schema=member.schema,
        kind=member.kind,
        first_day=member.first_day,
        last_day=member.last_day,
    )


def _is_older(found: MemberContent, imported: MemberRecord) -> bool:
    """Return whether the vendor dated a member before the imported version of it."""
    return found.modified is not None and imported.modified is not None and found.modified < imported.modified
