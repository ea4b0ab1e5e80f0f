"""Membership through time: what repeated readings of a list say about who was a member when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.tables import UNIVERSE_MEMBERS
from quantx.universes.protocol import MEMBERS
from quantx.universes.refresh import as_table, keep_missing_members, next_members

MONDAY = date(2024, 1, 8)
Interval = tuple[str, date | None, date | None]


def plain(*symbols: str) -> pl.DataFrame:
    return pl.DataFrame([(s, "us", None, None, None) for s in symbols], schema=MEMBERS, orient="row")


def intervals(members: pl.DataFrame) -> list[Interval]:
    return sorted(members.select("symbol", "member_from", "member_to").rows(), key=lambda r: (r[0], r[1] or date.min))


def read_daily(*lists: Sequence[str]) -> pl.DataFrame:
    members = plain()
    for i, symbols in enumerate(lists):
        members = next_members(members, plain(*symbols), MONDAY + timedelta(i))
    return members


def test_on_the_first_reading_everyone_has_always_been_a_member() -> None:
    assert intervals(read_daily(["A", "B"])) == [("A", None, None), ("B", None, None)]


def test_who_is_new_is_a_member_from_that_day() -> None:
    assert intervals(read_daily(["A"], ["A", "B"])) == [("A", None, None), ("B", MONDAY + timedelta(1), None)]


def test_who_is_missing_was_a_member_until_the_day_before() -> None:
    assert intervals(read_daily(["A", "B"], ["A"])) == [("A", None, None), ("B", None, MONDAY)]


def test_who_comes_back_gets_a_second_interval() -> None:
    found = intervals(read_daily(["A", "B"], ["A"], ["A"], ["A", "B"]))
    assert found == [("A", None, None), ("B", None, MONDAY), ("B", MONDAY + timedelta(3), None)]


def test_who_came_and_went_on_one_day_never_was_a_member() -> None:
    members = next_members(plain("A"), plain("A", "B"), MONDAY)
    assert intervals(next_members(members, plain("A"), MONDAY)) == [("A", None, None)]


def test_a_list_with_its_own_dates_is_taken_as_it_is() -> None:
    dated = plain("A").with_columns(pl.lit(date(2000, 1, 1)).alias("member_from"))
    assert next_members(plain("A", "B"), dated, MONDAY).equals(dated)


def test_a_name_that_changes_is_no_new_interval() -> None:
    named = plain("A").with_columns(pl.lit("Alpha").alias("name"))
    (row,) = next_members(plain("A"), named, MONDAY).to_dicts()
    assert (row["name"], row["member_from"], row["member_to"]) == ("Alpha", None, None)


def test_members_become_rows_of_the_curated_table() -> None:
    rows = as_table(plain("A"), "us_large", "phase_1", datetime(2024, 1, 8, 12, tzinfo=UTC))
    assert dict(rows.schema) == dict(UNIVERSE_MEMBERS.schema)
    assert rows.row(0, named=True)["known_from"] == datetime(2024, 1, 8, 12, tzinfo=UTC)


def test_who_vanishes_from_a_list_of_changes_has_left_unless_it_is_renamed() -> None:
    schema = dict(MEMBERS)
    day = date(2013, 12, 23)
    stored = pl.DataFrame(
        [
            ("FB", "us", None, day, None),
            ("GONE", "us", None, date(1990, 1, 2), None),
            ("OLD", "us", None, None, MONDAY),
        ],
        schema=schema,
        orient="row",
    )
    listed = pl.DataFrame([("META", "us", None, day, None)], schema=schema, orient="row")
    today = date(2024, 3, 1)
    kept = [("GONE", date(1990, 1, 2), date(2024, 2, 29)), ("META", day, None), ("OLD", None, MONDAY)]
    once = keep_missing_members(stored, listed, today)
    assert intervals(once) == kept
    assert intervals(keep_missing_members(once, listed, date(2024, 3, 2))) == kept


readings = st.lists(st.sets(st.sampled_from("ABCD"), min_size=1).map(sorted), min_size=1, max_size=6)


@given(readings)
def test_reading_the_same_list_again_changes_nothing(lists: list[list[str]]) -> None:
    members = read_daily(*lists)
    today = MONDAY + timedelta(len(lists) - 1)
    assert intervals(next_members(members, plain(*lists[-1]), today)) == intervals(members)
    assert intervals(next_members(members, plain(*lists[-1]), today + timedelta(1))) == intervals(members)


@given(readings)
def test_on_each_day_the_members_are_those_that_were_listed(lists: list[list[str]]) -> None:
    members = intervals(read_daily(*lists))
    for i, listed in enumerate(lists):
        day = MONDAY + timedelta(i)
        on_day = [s for s, first, last in members if (first or date.min) <= day <= (last or date.max)]
        assert on_day == listed
    keys = [(symbol, first) for symbol, first, _ in members]
    assert len(set(keys)) == len(keys)
