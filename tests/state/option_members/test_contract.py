"""The contract of the port of option members."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from quantx.errors import StateError
from quantx.state.option_members.port import ArchiveKey, MemberContent, MemberCounts, MemberRecord, NewMember

from ..contract import Kit

KEY = ArchiveKey("/data/spy.zip", "100:1")
MAY = date(2024, 5, 1)
CONTENT = MemberContent(source="databento", schema="cbbo-1m", kind="quotes_1m", first_day=MAY, last_day=MAY)


def recorded(kit: Kit, *members: NewMember, key: ArchiveKey = KEY) -> list[MemberRecord]:
    kit.state.option_members.record(key, members)
    return kit.state.option_members.of_archive(key)


def imported(kit: Kit, archive: str, sha256: str, modified: date | None) -> MemberRecord:
    key = ArchiveKey(archive, "1:1")
    (member,) = recorded(kit, NewMember("job/a.dbn.zst", size=9, modified=modified), key=key)
    kit.state.option_members.start(member.id, sha256)
    kit.state.option_members.finish(member.id, "done", CONTENT, MemberCounts(5, 0, 1))
    return kit.state.option_members.read(member.id)


class TestOptionMembers:
    def test_members_are_recorded_once_per_version_of_the_archive(self, kit: Kit) -> None:
        new = NewMember("b.dbn.zst", size=7, modified=MAY, condition="degraded")
        skipped = NewMember("a.pdf", size=3, state="skipped", reason="no form reads it")
        first, second = recorded(kit, new, skipped)
        assert (first.name, first.state, first.last_error) == ("a.pdf", "skipped", "no form reads it")
        assert (second.size, second.modified, second.condition, second.state) == (7, MAY, "degraded", "pending")
        kit.state.option_members.start(second.id, "ab")
        kit.state.option_members.finish(second.id, "done", CONTENT)
        assert [each.state for each in recorded(kit, new, skipped)] == ["skipped", "done"]
        (again,) = recorded(kit, new, key=ArchiveKey(KEY.archive, "200:2"))
        assert again.state == "pending"
        assert kit.state.option_members.count(KEY) == {"skipped": 1, "done": 1}
        assert kit.state.option_members.count() == {"skipped": 1, "done": 1, "pending": 1}

    def test_attempts_at_the_same_bytes_share_the_raw_object_and_the_time_of_the_first(self, kit: Kit) -> None:
        (member,) = recorded(kit, NewMember("b.dbn", size=7))
        first = kit.state.option_members.start(member.id, "ab")
        kit.state.option_members.keep(member.id, "RAW1")
        kit.state.option_members.fail(member.id, "MalformedPayload", "it is cut")
        failed = kit.state.option_members.read(member.id)
        assert (failed.state, failed.error_class, failed.last_error) == ("failed", "MalformedPayload", "it is cut")
        second = kit.state.option_members.start(member.id, "ab")
        assert (second.raw, second.started_at, second.attempts) == ("RAW1", first.started_at, 2)
        kit.state.option_members.finish(member.id, "done", CONTENT, MemberCounts(10, 2, 1))
        done = kit.state.option_members.read(member.id)
        assert (done.error_class, done.last_error, done.schema, done.first_day) == (None, None, "cbbo-1m", MAY)
        assert (done.rows, done.rows_changed, done.rows_rejected) == (10, 2, 1)
        assert kit.state.option_members.start(member.id, "cd").raw is None

    def test_the_same_bytes_of_a_source_are_known_from_any_archive(self, kit: Kit) -> None:
        assert kit.state.option_members.imported("ab", "databento") is None
        member = imported(kit, "/one.zip", "ab", None)
        assert kit.state.option_members.imported("ab", "databento") == member
        assert kit.state.option_members.imported("ab", None) == member
        assert kit.state.option_members.imported("ab", "mine") is None

    def test_the_versions_of_a_member_begin_with_the_one_that_the_vendor_dated_last(self, kit: Kit) -> None:
        newest = imported(kit, "/one.zip", "ab", date(2024, 6, 2))
        older = imported(kit, "/two.zip", "cd", date(2024, 6, 1))
        earlier = kit.state.option_members.earlier
        assert earlier("a.dbn.zst", CONTENT, "ef") == [newest, older]
        assert earlier("b.dbn.zst", CONTENT, "ef") == []
        assert earlier("a.dbn.zst", replace(CONTENT, last_day=date(2024, 5, 2)), "ef") == []
        assert earlier("a.dbn.zst", CONTENT, "ab") == [older]

    def test_one_process_at_a_time_holds_a_member_until_it_dies(self, kit: Kit) -> None:
        one, two = recorded(kit, NewMember("a.dbn", size=1), NewMember("b.dbn", size=1))
        members = kit.state.option_members
        with members.held(one.id) as hold, members.held(one.id) as second, members.held(two.id) as other:
            assert hold is not None
            assert second is None
            assert other is not None
            hold.confirm()
            kit.kill()
            with pytest.raises(StateError):
                hold.confirm()
            with members.held(one.id) as after:
                assert after is not None

    def test_the_list_has_the_last_changed_first(self, kit: Kit) -> None:
        one, two = recorded(kit, NewMember("a.dbn", size=1), NewMember("b.dbn", size=2))
        kit.let_pass(1)
        kit.state.option_members.fail(one.id, "LakeError", "the lake is full")
        listed = kit.state.option_members.listed(10)
        assert [(row["name"], row["state"], row["bytes"]) for row in listed] == [
            ("a.dbn", "failed", 1),
            ("b.dbn", "pending", 2),
        ]
        assert [row["id"] for row in kit.state.option_members.listed(1)] == [one.id]
        assert [row["id"] for row in kit.state.option_members.listed(None, state="pending")] == [two.id]
        assert kit.state.option_members.listed(None, archive="/other.zip") == []

    def test_imported_members_of_a_source_can_be_imported_again(self, kit: Kit) -> None:
        member = imported(kit, "/data/spy.zip", "ab", None)
        assert kit.state.option_members.reopen("lean") == 0
        assert kit.state.option_members.reopen("databento") == 1
        again = kit.state.option_members.start(member.id, "ab")
        assert (again.state, again.raw) == ("pending", None)
        assert kit.state.option_members.imported("ab", "databento") is None

    def test_versions_of_a_member_are_held_by_one_process(self, kit: Kit) -> None:
        members = kit.state.option_members
        other = replace(CONTENT, first_day=date(2024, 4, 30))
        with (
            members.version_held("a.dbn", CONTENT) as hold,
            members.version_held("a.dbn", replace(CONTENT, modified=MAY)) as second,
            members.version_held("a.dbn", other) as apart,
        ):
            assert hold is not None
            assert second is None
            assert apart is not None

    def test_an_unknown_member_is_no_row(self, kit: Kit) -> None:
        with pytest.raises(LookupError):
            kit.state.option_members.read(10**9)
