"""The port of the members of option archives, and its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime
from typing import Literal, Protocol
from zlib import crc32

from quantx.state.values import Row

MemberState = Literal["pending", "done", "failed", "skipped", "superseded"]
MEMBER_TASKS = "option_members"  # the dataset of the tasks that import members: their symbol is no security
UNFINISHED_MEMBERS: tuple[MemberState, ...] = ("pending", "failed")


@dataclass(frozen=True)
class ArchiveKey:
    """One version of an archive."""

    archive: str  # its path, or its object in the lake's inbox
    stamp: str  # changes with the archive: its size and time, or its ETag


@dataclass(frozen=True)
class NewMember:
    """A member of an archive, as its list has it."""

    name: str
    _: KW_ONLY
    size: int  # bytes
    modified: date | None = None  # the vendor's last_modified_date
    condition: str | None = None
    state: MemberState = "pending"  # skipped: no form reads it
    reason: str | None = None  # why it is skipped


@dataclass(frozen=True, kw_only=True)
class MemberRecord:
    """A member as the state has it."""

    id: int
    archive: str
    stamp: str
    name: str
    size: int
    modified: date | None
    condition: str | None
    state: MemberState
    sha256: str | None
    raw: str | None  # the ULID of its raw object
    started_at: datetime | None  # of its first attempt, UTC
    attempts: int
    error_class: str | None
    last_error: str | None
    source: str | None
    schema: str | None
    kind: str | None
    first_day: date | None
    last_day: date | None
    rows: int
    rows_changed: int
    rows_rejected: int


@dataclass(frozen=True, kw_only=True)
class MemberContent:
    """What the header of a member states."""

    source: str
    schema: str
    kind: str | None
    first_day: date
    last_day: date
    modified: date | None = None  # the vendor's last_modified_date of these days
    condition: str | None = None


@dataclass(frozen=True)
class MemberCounts:
    """The rows that a member brought."""

    rows: int = 0
    changed: int = 0
    rejected: int = 0


def version_number(name: str, content: MemberContent) -> int:
    """Return a number of 32 bits for the versions of a member; two members seldom share it, and then wait in turn."""
    return crc32(f"{name}|{content.source}|{content.schema}|{content.first_day}|{content.last_day}".encode())


class MemberHold(Protocol):
    """A member that only its holder imports, as long as the connection lives."""

    def confirm(self) -> None:
        """Raise a StateError where the hold is lost."""
        ...


class OptionMembers(Protocol):
    """The members of archives: recorded once, imported by one process at a time, never lost."""

    def record(self, key: ArchiveKey, members: Sequence[NewMember]) -> None:
        """Record the members of an archive; those that are recorded stay as they are."""
        ...

    def of_archive(self, key: ArchiveKey) -> list[MemberRecord]:
        """Return the recorded members of an archive, by name."""
        ...

    def read(self, member_id: int) -> MemberRecord:
        """Return a member; LookupError where there is none."""
        ...

    def held(self, member_id: int) -> AbstractContextManager[MemberHold | None]:
        """Hold a member while the block lasts; yield None if another process holds it.

        The death of a holder frees it.
        """
        ...

    def version_held(self, name: str, content: MemberContent) -> AbstractContextManager[MemberHold | None]:
        """Hold all versions of a member (see `earlier`) while the block lasts; yield None if another process does.

        Which version is the later one is decided, and its rows are committed, by one process at a time.
        """
        ...

    def start(self, member_id: int, sha256: str) -> MemberRecord:
        """Record the start of an attempt; return the member.

        The raw object and the time of an earlier attempt at the same bytes stay.
        """
        ...

    def keep(self, member_id: int, raw: str) -> None:
        """Record the ULID of the raw object of a member, once it is stored."""
        ...

    def imported(self, sha256: str, source: str | None) -> MemberRecord | None:
        """Return the member that brought this content to the tables of a source (None: any); None where none has.

        Of several, it is the one of the vendor's last date.
        """
        ...

    def earlier(self, name: str, content: MemberContent, sha256: str) -> list[MemberRecord]:
        """Return the imported versions of a member with other bytes, the newest first.

        The newest is that of the vendor's last date or, without dates, of the last import. `name` is without its
        folders. A version has the same source, schema and days.
        """
        ...

    def finish(
        self,
        member_id: int,
        state: MemberState,
        content: MemberContent | None = None,
        counts: MemberCounts | None = None,
        reason: str | None = None,
    ) -> None:
        """Record that a member is done, or why it is skipped or superseded."""
        ...

    def fail(self, member_id: int, error_class: str, error: str) -> None:
        """Record that an attempt failed; the next import tries again."""
        ...

    def count(self, key: ArchiveKey | None = None) -> Mapping[MemberState, int]:
        """Return the number of members (of an archive, or all) in each state; states without members are absent."""
        ...

    def listed(self, limit: int | None, *, state: MemberState | None = None, archive: str | None = None) -> list[Row]:
        """Return members for display, the last changed first; limit None: all of them."""
        ...
