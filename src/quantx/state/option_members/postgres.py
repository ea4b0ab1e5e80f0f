"""The members of option archives in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, fields

from typing_extensions import override

from quantx.state.database import Database
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

_KEPT = [each.name for each in fields(MemberRecord) if each.name != "size"]
_LOCKS = 7_013_100 << 32  # above it lie the advisory locks of the members
_VERSION_LOCKS = 7_013_101 << 32


class PostgresOptionMembers(OptionMembers):
    """The state's members."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def record(self, key: ArchiveKey, members: Sequence[NewMember]) -> None:
        if not members:
            return
        self._database.rows(
            "option_members.record",
            **asdict(key),
            names=[each.name for each in members],
            sizes=[each.size for each in members],
            modified=[each.modified for each in members],
            conditions=[each.condition for each in members],
            states=[each.state for each in members],
            reasons=[each.reason for each in members],
        )

    @override
    def of_archive(self, key: ArchiveKey) -> list[MemberRecord]:
        return [_record(row) for row in self._database.rows("option_members.of_archive", **asdict(key))]

    @override
    def read(self, member_id: int) -> MemberRecord:
        return _only(self._database.rows("option_members.read", id=member_id), member_id)

    @override
    def held(self, member_id: int) -> AbstractContextManager[MemberHold | None]:
        return self._database.exclusive(_LOCKS + member_id)

    @override
    def version_held(self, name: str, content: MemberContent) -> AbstractContextManager[MemberHold | None]:
        return self._database.exclusive(_VERSION_LOCKS + version_number(name, content))

    @override
    def start(self, member_id: int, sha256: str) -> MemberRecord:
        return _only(self._database.rows("option_members.start", id=member_id, sha256=sha256), member_id)

    @override
    def keep(self, member_id: int, raw: str) -> None:
        self._database.rows("option_members.keep", id=member_id, raw=raw)

    @override
    def imported(self, sha256: str, source: str | None) -> MemberRecord | None:
        rows = self._database.rows("option_members.imported", sha256=sha256, source=source)
        return _record(rows[0]) if rows else None

    @override
    def earlier(self, name: str, content: MemberContent, sha256: str) -> list[MemberRecord]:
        version = {key: getattr(content, key) for key in ("source", "schema", "first_day", "last_day")}
        rows = self._database.rows("option_members.earlier", name=name, sha256=sha256, **version)
        return [_record(row) for row in rows]

    @override
    def finish(
        self,
        member_id: int,
        state: MemberState,
        content: MemberContent | None = None,
        counts: MemberCounts | None = None,
        reason: str | None = None,
    ) -> None:
        unknown = dict.fromkeys(each.name for each in fields(MemberContent))
        self._database.rows(
            "option_members.finish",
            id=member_id,
            state=state,
            reason=reason,
            **(unknown if content is None else asdict(content)),
            **asdict(counts or MemberCounts()),
        )

    @override
    def fail(self, member_id: int, error_class: str, error: str) -> None:
        self._database.rows("option_members.fail", id=member_id, error_class=error_class, error=error)

    @override
    def count(self, key: ArchiveKey | None = None) -> Mapping[MemberState, int]:
        of = {"archive": None, "stamp": None} if key is None else asdict(key)
        return {row["state"]: row["members"] for row in self._database.rows("option_members.count", **of)}

    @override
    def listed(self, limit: int | None, *, state: MemberState | None = None, archive: str | None = None) -> list[Row]:
        return self._database.rows("option_members.listed", state=state, archive=archive, limit=limit)


def _only(rows: Sequence[Row], member_id: int) -> MemberRecord:
    if not rows:
        raise LookupError(f"the state has no member {member_id}")
    return _record(rows[0])


def _record(row: Row) -> MemberRecord:
    return MemberRecord(size=row["bytes"], **{name: row[name] for name in _KEPT})
