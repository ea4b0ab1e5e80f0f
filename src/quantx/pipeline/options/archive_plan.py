"""The plan of an import: the archives at some paths, and which of their members are still to be imported."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

from quantx.core.model import Window
from quantx.errors import MalformedPayload
from quantx.providers.options.batch_lists import DESCRIPTIONS, DayCondition
from quantx.providers.options.members import SkippedName
from quantx.providers.options.protocol import MemberFacts, OptionForm
from quantx.state.option_members.port import UNFINISHED_MEMBERS, ArchiveKey, MemberRecord, NewMember, OptionMembers

NO_FORM = "no form of options reads it"
HEAD = 1024  # bytes by which a form is recognised


class ListedMember(Protocol):
    """A member as the list of its archive has it."""

    @property
    def name(self) -> str:
        """Return its name, unique in the archive."""
        ...

    @property
    def size(self) -> int:
        """Return its bytes."""
        ...

    @property
    def sha256(self) -> str | None:
        """Return its SHA-256 as the manifest states it."""
        ...

    @property
    def modified(self) -> date | None:
        """Return the vendor's last_modified_date."""
        ...

    @property
    def condition(self) -> str | None:
        """Return the vendor's condition, as in available or degraded."""
        ...


class OpenArchive(Protocol):
    """An open archive, as quantx.providers.options.archives opens it."""

    @property
    def members(self) -> Sequence[ListedMember]:
        """Return the members that can be read."""
        ...

    @property
    def skipped(self) -> Sequence[SkippedName]:
        """Return the others."""
        ...

    @property
    def days(self) -> Mapping[date, DayCondition]:
        """Return what the vendor's lists state about days."""
        ...

    def open(self, member: Any) -> IO[bytes]:
        """Open the bytes of a member."""
        ...

    def symbology(self, member: Any) -> bytes | None:
        """Return the mapping of symbols beside a member, None where there is none."""
        ...

    def check(self, member: Any) -> str:
        """Return the SHA-256 of a member; MalformedPayload where size or hash are not those of the list."""
        ...

    def confirm(self, member: Any) -> None:
        """Raise MalformedPayload where the bytes of a member have changed since the archive was opened."""
        ...


FormOf = Callable[[str, bytes], OptionForm | None]


@dataclass(frozen=True, kw_only=True)
class PlannedArchive:
    """An archive, and its members that have a form."""

    key: ArchiveKey
    open: OpenArchive
    members: Sequence[ListedMember]
    skipped: Sequence[NewMember] = field(default=())


@dataclass(frozen=True, kw_only=True)
class DryRow:
    """A member as `--dry-run` shows it."""

    archive: str
    member: str
    schema: str | None
    kind: str | None
    first: date | None
    last: date | None
    bytes: int
    rows: int | None
    condition: str | None
    action: str


def key_of(path: Path) -> ArchiveKey:
    """Return the key of an archive on this machine; of a folder, the stamp follows all of its files."""
    path = path.absolute()
    if not path.is_dir():
        facts = path.stat()
        return ArchiveKey(str(path), f"{facts.st_size}:{facts.st_mtime_ns}")
    digest = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        if each.is_file():
            facts = each.stat()
            digest.update(f"{each.relative_to(path)}:{facts.st_size}:{facts.st_mtime_ns}\n".encode())
    return ArchiveKey(str(path), digest.hexdigest())


def planned(key: ArchiveKey, archive: OpenArchive, form_of: FormOf) -> PlannedArchive:
    """Return the members of an archive that have a form, and the others as skipped."""
    members, skipped = (
        list[ListedMember](),
        [
            NewMember(each.name, size=0, state="skipped", reason=each.reason)
            for each in archive.skipped
            if each.refused or each.name.rpartition("/")[2] not in DESCRIPTIONS
        ],
    )
    for member in archive.members:
        try:
            with archive.open(member) as stream:
                known = form_of(member.name, stream.read(HEAD)) is not None
        except (MalformedPayload, OSError):
            known = True  # its import fails with the reason
        if known:
            members.append(member)
        else:
            skipped.append(_new(member, "skipped", NO_FORM))
    return PlannedArchive(key=key, open=archive, members=members, skipped=skipped)


def within(plan: PlannedArchive, form_of: FormOf, windows: Sequence[Window]) -> PlannedArchive:
    """Return the plan with the members that have a day of the windows; an unreadable one stays, to be reported."""
    if not windows:
        return plan

    def has_day(member: ListedMember) -> bool:
        facts = facts_of(plan.open, member, form_of)
        return isinstance(facts, str) or any(facts.first <= w.end and w.start <= facts.last for w in windows)

    members = [member for member in plan.members if has_day(member)]
    return PlannedArchive(key=plan.key, open=plan.open, members=members, skipped=plan.skipped)


def facts_of(archive: OpenArchive, member: ListedMember, form_of: FormOf) -> MemberFacts | str:
    """Return what the header of a member states, or why it is unreadable."""
    try:
        with archive.open(member) as stream:
            form = form_of(member.name, stream.read(HEAD))
        if form is None:
            return NO_FORM
        with archive.open(member) as stream:
            return form.open(member.name, stream, member.size, partial(archive.symbology, member)).facts
    except MalformedPayload as error:
        return str(error)
    except OSError as error:
        return f"{member.name} can't be read: {error.strerror or 'its bytes are cut'}"


def record(plan: PlannedArchive, members: OptionMembers) -> Sequence[tuple[ListedMember, MemberRecord]]:
    """Record the members of an archive in the state, and return those that are to be imported, in their order."""
    members.record(plan.key, [*(_new(each, "pending", None) for each in plan.members), *plan.skipped])
    recorded = {each.name: each for each in members.of_archive(plan.key)}
    pairs = ((each, recorded[each.name]) for each in plan.members)
    return [(each, found) for each, found in pairs if found.state in UNFINISHED_MEMBERS]


def dry_rows(plan: PlannedArchive, form_of: FormOf, members: OptionMembers) -> Iterator[DryRow]:
    """Yield what an import would do with each member; nothing is recorded."""
    recorded = {each.name: each for each in members.of_archive(plan.key)}
    for member in plan.members:
        found = facts_of(plan.open, member, form_of)
        facts = None if isinstance(found, str) else found
        yield DryRow(
            archive=plan.key.archive,
            member=member.name,
            schema=None if facts is None else facts.schema,
            kind=None if facts is None else facts.kind,
            first=None if facts is None else facts.first,
            last=None if facts is None else facts.last,
            bytes=member.size,
            rows=None if facts is None else facts.rows,
            condition=member.condition,
            action=_action(member, found, recorded.get(member.name), members),
        )
    for skipped in plan.skipped:
        yield DryRow(
            archive=plan.key.archive,
            member=skipped.name,
            schema=None,
            kind=None,
            first=None,
            last=None,
            bytes=skipped.size,
            rows=None,
            condition=skipped.condition,
            action=f"skip: {skipped.reason}",
        )


def _action(member: ListedMember, facts: MemberFacts | str, before: MemberRecord | None, members: OptionMembers) -> str:
    if before is not None and before.state not in UNFINISHED_MEMBERS:
        return "nothing: imported before" if before.state == "done" else f"nothing: {before.state} before"
    if member.sha256 is not None and members.imported(member.sha256, None) is not None:
        return "nothing: the same bytes were imported before"
    if isinstance(facts, str):
        return f"fail: {facts}"
    if facts.kind is None:
        return f"skip: {facts.skipped or f'no table takes the schema {facts.schema}'}"
    return "retry" if before is not None and before.state == "failed" else "import"


def _new(member: ListedMember, state: str, reason: str | None) -> NewMember:
    return NewMember(
        member.name,
        size=member.size,
        modified=member.modified,
        condition=member.condition,
        state="skipped" if state == "skipped" else "pending",
        reason=reason,
    )


def parse_windows(text: str) -> Sequence[Window]:
    """Return the windows of --dates, as in 2024-05-01..2024-05-31,2024-06-03; ValueError for another form."""
    windows = []
    for part in text.split(","):
        first, _, last = part.strip().partition("..")
        windows.append(Window(date.fromisoformat(first), date.fromisoformat(last or first)))
    return windows
