"""The import of members: what is imported once, again, later or never."""

from __future__ import annotations

import hashlib
import json
from datetime import date

import pytest

from quantx.errors import LakeError
from quantx.lake.raw import raw_damage, read_footer, read_pages
from quantx.pipeline.options.archive_plan import dry_rows, parse_windows, record, within
from quantx.providers.options.batch_lists import DayCondition
from quantx.providers.options.members import SkippedName

from .conftest import Import, MemoryArchive, form_of

MAY_1, MAY_2 = b"options cbbo-1m 2024-05-01 3", b"options cbbo-1m 2024-05-02 4"
TWO = {"a.dbn": MAY_1, "b.dbn": MAY_2}


def test_members_are_imported_once(option_import: Import) -> None:
    first = option_import.run(MemoryArchive(TWO))
    assert (first.done, first.rows, first.failed) == (2, 7, 0)
    again = option_import.run(MemoryArchive(TWO))
    assert (again.done, again.known) == (0, 2)
    assert len(option_import.store.committed) == 2


def test_the_same_bytes_in_another_archive_are_known_from_its_manifest_without_reading(option_import: Import) -> None:
    option_import.run(MemoryArchive({"a.dbn": MAY_1}))
    copy = MemoryArchive({"job/x.dbn": MAY_1}, manifest={"job/x.dbn": hashlib.sha256(MAY_1).hexdigest()})
    done = option_import.run(copy, "/data/copy.zip")
    assert (done.done, done.known) == (0, 1)
    assert copy.opened == ["job/x.dbn"]  # its head, by which its form is known
    assert option_import.states() == {"a.dbn": "done", "job/x.dbn": "done"}


def test_a_member_that_fails_does_not_stop_the_others_and_is_tried_again(option_import: Import) -> None:
    cut = {"a.dbn": b"options cbbo-1m 2024-05-01 -1", "b.dbn": MAY_2}
    done = option_import.run(MemoryArchive(cut))
    assert (done.done, done.failed) == (1, 1)
    assert done.failures == [
        {"archive": "/data/a.zip", "member": "a.dbn", "error": "the records end in the middle of one"}
    ]
    again = option_import.run(MemoryArchive(cut | {"a.dbn": MAY_1 + b" "}))
    assert (again.done, again.known, again.failed) == (1, 1, 0)


def test_a_wrong_hash_is_found_before_anything_is_decoded(option_import: Import) -> None:
    done = option_import.run(MemoryArchive({"a.dbn": MAY_1}, manifest={"a.dbn": "0" * 64}))
    assert (done.failed, option_import.store.committed) == (1, [])
    assert option_import.location.paths("raw") == []


def test_a_later_version_corrects_an_earlier_one_and_an_earlier_one_never_replaces_a_later_one(
    option_import: Import,
) -> None:
    option_import.run(MemoryArchive({"job1/a.dbn": MAY_1}, modified=date(2024, 5, 2)))
    corrected = MemoryArchive({"job2/a.dbn": b"options cbbo-1m 2024-05-01 5"}, modified=date(2024, 5, 9))
    done = option_import.run(corrected, "/data/later.zip")
    assert (done.done, done.rows_changed) == (1, 5)
    first, second = option_import.store.committed
    assert (first.corrects, second.corrects) == ([], [first.raw])
    oldest = MemoryArchive({"a.dbn": b"options cbbo-1m 2024-05-01 1"})
    oldest.days = {date(2024, 5, 1): DayCondition("degraded", date(2024, 5, 1))}
    late = option_import.run(oldest, "/data/oldest.zip")
    assert (late.done, late.superseded) == (0, 1)
    assert late.left_out == [
        {"member": "a.dbn", "reason": "a version of 2024-05-09 is imported; this one is of 2024-05-01"}
    ]


def test_bytes_that_the_vendor_restores_after_a_correction_are_imported_again(option_import: Import) -> None:
    other = b"options cbbo-1m 2024-05-01 5"
    versions = [(MAY_1, 2), (other, 9), (MAY_1, 16), (MAY_1, 16), (other, 9), (MAY_1, 2)]
    done = []
    for number, (body, day) in enumerate(versions):
        archive = MemoryArchive({"a.dbn": body})
        archive.days = {date(2024, 5, 1): DayCondition("available", date(2024, 5, day))}
        done.append(option_import.run(archive, f"/data/{number}.zip"))
    assert [each.done for each in done] == [1, 1, 1, 0, 0, 0]
    assert [each.known for each in done] == [0, 0, 0, 1, 1, 1]
    _, second, third = option_import.store.committed
    assert third.corrects == [second.raw]


def test_a_schema_without_a_table_is_named_and_its_bytes_are_kept(option_import: Import) -> None:
    other = MemoryArchive(
        {"x.dbn": b"options mbp-10 2024-05-01 9", "note.pdf": b"%PDF"},
        skipped=(SkippedName("../up", "its name leaves the folder", refused=True),),
    )
    done = option_import.run(other)
    assert (done.done, done.skipped, done.refused) == (0, 1, 1)
    assert {(each["member"], each["reason"]) for each in done.left_out} == {
        ("x.dbn", "no table takes the schema mbp-10"),
        ("note.pdf", "no form of options reads it"),
        ("../up", "its name leaves the folder"),
    }
    (path,) = option_import.location.paths("raw")
    assert [page.payload.body for page in read_pages(option_import.location, path)][1:] == [other.bodies["x.dbn"]]
    assert option_import.run(other).known == 1


@pytest.mark.parametrize("keep", ["archive", "hashes"])
def test_the_raw_object_has_the_facts_and_where_it_is_kept_the_bytes(option_import: Import, keep: str) -> None:
    option_import.run(MemoryArchive({"a.dbn": MAY_1}, modified=date(2024, 5, 2)), keep=keep)
    (path,) = option_import.location.paths("raw")
    assert option_import.store.committed[0].raw in path
    assert raw_damage(path, option_import.location.get(path)) == (None, True)
    assert read_footer(option_import.location, path) == []
    facts, *bodies = [page.payload.body for page in read_pages(option_import.location, path)]
    assert json.loads(facts) == {
        "archive": "/data/a.zip",
        "member": "a.dbn",
        "size": len(MAY_1),
        "sha256": hashlib.sha256(MAY_1).hexdigest(),
        "last_modified_date": "2024-05-02",
        "condition": None,
    }
    assert bodies == ([MAY_1] if keep == "archive" else [])
    assert option_import.state.replies.unknown([path]) == set()


def test_a_large_member_lies_in_several_objects_in_its_order(option_import: Import) -> None:
    body = MAY_1 + b" " * 40_000_000
    option_import.run(MemoryArchive({"a.dbn": body}))
    paths = sorted(option_import.location.paths("raw"))
    assert len(paths) == 3
    assert option_import.store.committed[0].raw in paths[0]
    bodies = [page.payload.body for path in paths for page in read_pages(option_import.location, path)]
    assert b"".join(bodies[1:]) == body


def test_an_attempt_after_a_crash_keeps_the_raw_object_and_commits(option_import: Import) -> None:
    def die() -> None:
        raise LakeError("the lake does not answer")

    option_import.store.before_commit = die
    with pytest.raises(LakeError):
        option_import.run(MemoryArchive(TWO))
    assert set(option_import.states().values()) == {"pending"}
    option_import.store.before_commit = lambda: None
    assert option_import.run(MemoryArchive(TWO)).done == 2
    assert len(option_import.location.paths("raw")) == 2


def test_a_stop_finishes_the_member_under_way(option_import: Import) -> None:
    done = option_import.run(MemoryArchive(TWO), stopping=lambda: len(option_import.store.committed) > 0)
    assert (done.done, done.unfinished) == (1, 1)
    assert option_import.run(MemoryArchive(TWO)).done == 1


def test_a_member_that_another_process_holds_is_left_to_it(option_import: Import) -> None:
    record(option_import.plan(MemoryArchive(TWO)), option_import.state.option_members)
    first = option_import.state.option_members.listed(None)[-1]
    with option_import.state.option_members.held(first["id"]):
        option_import.actor = "second"
        done = option_import.run(MemoryArchive(TWO))
    assert (done.done, done.elsewhere) == (1, 1)


def test_a_holder_that_lost_its_hold_does_not_commit(option_import: Import) -> None:
    option_import.store.before_commit = lambda: option_import.state.holder_died("first")
    with pytest.raises(Exception, match="is lost"):
        option_import.run(MemoryArchive({"a.dbn": MAY_1}))
    assert option_import.store.committed == []


def test_a_dry_run_says_what_would_be_done_and_records_nothing(option_import: Import) -> None:
    bodies = TWO | {"c.dbn": b"options mbp-10 2024-05-01 9", "d.dbn": b"options broken"}
    option_import.run(MemoryArchive({"a.dbn": MAY_1}))
    plan = option_import.plan(MemoryArchive(bodies))
    rows = {row.member: row.action for row in dry_rows(plan, form_of, option_import.state.option_members)}
    assert rows == {
        "a.dbn": "nothing: imported before",
        "b.dbn": "import",
        "c.dbn": "skip: no table takes the schema mbp-10",
        "d.dbn": "fail: d.dbn has no header",
    }
    assert option_import.states() == {"a.dbn": "done"}


def test_dates_choose_members_by_their_headers(option_import: Import) -> None:
    plan = option_import.plan(MemoryArchive(TWO | {"c.dbn": b"options broken"}))
    chosen = within(plan, form_of, parse_windows("2024-04-01..2024-05-01, 2024-05-03"))
    assert [member.name for member in chosen.members] == ["a.dbn", "c.dbn"]  # a header that can't be read is reported


def test_two_versions_of_a_member_are_not_imported_at_once(option_import: Import) -> None:
    later = MemoryArchive({"job2/a.dbn": b"options cbbo-1m 2024-05-01 5"}, modified=date(2024, 5, 9))
    during = []

    def another_imports_the_later_one() -> None:
        option_import.store.before_commit = lambda: None
        during.append(option_import.run(later, "/data/later.zip").elsewhere)

    option_import.store.before_commit = another_imports_the_later_one
    option_import.run(MemoryArchive({"job1/a.dbn": MAY_1}, modified=date(2024, 5, 2)))
    assert during == [1]
    assert option_import.run(later, "/data/later.zip").done == 1
    first, second = option_import.store.committed
    assert second.corrects == [first.raw]
