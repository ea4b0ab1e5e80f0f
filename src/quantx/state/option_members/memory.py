"""The members of option archives in memory."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime

from typing_extensions import override

from quantx.errors import StateError
from quantx.state.memory_records import Records
from quantx.state.option_members.port import (
    ArchiveKey,
    MemberContent,
    MemberCounts,
    MemberHold,
    MemberRecord,
    MemberState,
    NewMember,
    OptionMembers,
    version_number,
)
from quantx.state.values import Row

_SHOWN = (
    *("id", "archive", "name", "state", "source", "schema", "kind", "first_day", "last_day", "rows", "rows_changed"),
    *("rows_rejected", "size", "sha256", "raw", "modified", "condition", "attempts", "error_class", "last_error"),
)


class MemoryOptionMembers(OptionMembers):
    """The state's members in a dictionary. `actor` identifies the caller: `holder_died` ends its holds."""

    def __init__(self, records: Records, actor: Callable[[], object]) -> None:
        self._records = records
        self._actor = actor
        self._ids = itertools.count(1)
        self._members: dict[int, MemberRecord] = {}
        self._changed: dict[int, datetime] = {}
        self._holders: dict[int, _HeldMember] = {}

    @override
    def record(self, key: ArchiveKey, members: Sequence[NewMember]) -> None:
        with self._records.lock:
            there = {each.name for each in self.of_archive(key)}
            for each in members:
                if each.name not in there:
                    self._put(_new(next(self._ids), key, each))

    @override
    def of_archive(self, key: ArchiveKey) -> list[MemberRecord]:
        with self._records.lock:
            found = [each for each in self._members.values() if (each.archive, each.stamp) == (key.archive, key.stamp)]
        return sorted(found, key=lambda each: each.name)

    @override
    def read(self, member_id: int) -> MemberRecord:
        with self._records.lock:
            if member_id not in self._members:
                raise LookupError(f"the state has no member {member_id}")
            return self._members[member_id]

    @override
    @contextmanager
    def held(self, member_id: int) -> Iterator[MemberHold | None]:
        mine = _HeldMember(self, member_id, self._actor())
        with self._records.lock:
            got = member_id not in self._holders
            if got:
                self._holders[member_id] = mine
        try:
            yield mine if got else None
        finally:
            with self._records.lock:
                if self.has(mine):
                    del self._holders[member_id]

    @override
    def version_held(self, name: str, content: MemberContent) -> AbstractContextManager[MemberHold | None]:
        return self.held(-1 - version_number(name, content))  # ids of members are not negative

    def has(self, hold: _HeldMember) -> bool:
        """Return whether a member is still held."""
        return self._holders.get(hold.member_id) is hold

    def holder_died(self, actor: object) -> None:
        """Free the members of an actor, as a database does when a connection ends."""
        self._holders = {i: each for i, each in self._holders.items() if each.actor != actor}

    @override
    def start(self, member_id: int, sha256: str) -> MemberRecord:
        with self._records.lock:
            before = self.read(member_id)
            if before.sha256 != sha256:
                before = replace(before, sha256=sha256, raw=None, started_at=self._records.clock.now())
            return self._put(replace(before, attempts=before.attempts + 1))

    @override
    def keep(self, member_id: int, raw: str) -> None:
        with self._records.lock:
            self._put(replace(self.read(member_id), raw=raw))

    @override
    def imported(self, sha256: str, source: str | None) -> MemberRecord | None:
        with self._records.lock:
            found = (
                x
                for x in self._members.values()
                if (x.state, x.sha256) == ("done", sha256) and source in (None, x.source)
            )
            return max(found, key=lambda x: (x.modified or date.min, -x.id), default=None)

    @override
    def earlier(self, name: str, content: MemberContent, sha256: str) -> list[MemberRecord]:
        wanted = (content.source, content.schema, content.first_day, content.last_day, name)
        with self._records.lock:
            found = [
                each
                for each in self._members.values()
                if each.state == "done"
                and (each.source, each.schema, each.first_day, each.last_day, each.name.rpartition("/")[2]) == wanted
                and each.sha256 != sha256
            ]
            order = {each.id: (each.modified or date.min, self._changed[each.id], each.id) for each in found}
            return sorted(found, key=lambda each: order[each.id], reverse=True)

    @override
    def finish(
        self,
        member_id: int,
        state: MemberState,
        content: MemberContent | None = None,
        counts: MemberCounts | None = None,
        reason: str | None = None,
    ) -> None:
        with self._records.lock:
            brought = counts or MemberCounts()
            stated = {} if content is None else {k: v for k, v in asdict(content).items() if v is not None}
            self._put(
                replace(
                    self.read(member_id),
                    **stated,
                    state=state,
                    rows=brought.rows,
                    rows_changed=brought.changed,
                    rows_rejected=brought.rejected,
                    error_class=None,
                    last_error=reason,
                )
            )

    @override
    def fail(self, member_id: int, error_class: str, error: str) -> None:
        with self._records.lock:
            self._put(replace(self.read(member_id), state="failed", error_class=error_class, last_error=error))

    @override
    def count(self, key: ArchiveKey | None = None) -> Mapping[MemberState, int]:
        with self._records.lock:
            return Counter(each.state for each in (self._members.values() if key is None else self.of_archive(key)))

    @override
    def listed(self, limit: int | None, *, state: MemberState | None = None, archive: str | None = None) -> list[Row]:
        with self._records.lock:
            found = [
                each
                for each in self._members.values()
                if state in (None, each.state) and archive in (None, each.archive)
            ]
            found.sort(key=lambda each: (self._changed[each.id], each.id), reverse=True)
            return [_shown(each) | {"updated_at": self._changed[each.id]} for each in found[:limit]]

    def _put(self, member: MemberRecord) -> MemberRecord:
        self._members[member.id] = member
        self._changed[member.id] = self._records.clock.now()
        return member


@dataclass(frozen=True, eq=False)
class _HeldMember(MemberHold):
    members: MemoryOptionMembers
    member_id: int
    actor: object

    @override
    def confirm(self) -> None:
        if not self.members.has(self):
            raise StateError(f"the hold of the member {self.member_id} is lost")


def _new(member_id: int, key: ArchiveKey, new: NewMember) -> MemberRecord:
    return MemberRecord(
        id=member_id,
        archive=key.archive,
        stamp=key.stamp,
        name=new.name,
        size=new.size,
        modified=new.modified,
        condition=new.condition,
        state=new.state,
        sha256=None,
        raw=None,
        started_at=None,
        attempts=0,
        error_class=None,
        last_error=new.reason,
        source=None,
        schema=None,
        kind=None,
        first_day=None,
        last_day=None,
        rows=0,
        rows_changed=0,
        rows_rejected=0,
    )


def _shown(member: MemberRecord) -> Row:
    return {{"size": "bytes"}.get(name, name): getattr(member, name) for name in _SHOWN}
