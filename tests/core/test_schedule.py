"""Schedules are read as the Functions timer and Container Apps jobs read them; compared with a search by the minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.schedule import parse_schedule

AT = datetime(2024, 3, 8, 6, 0, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("text", "fires"),
    [
        ("0 0 6 * * 1-5", "2024-03-11T06:00:00"),
        ("0 6 * * 1-5", "2024-03-11T06:00:00"),  # five fields: without the seconds
        ("0 0 6 * * mon-fri", "2024-03-11T06:00:00"),
        ("0 0 6 * * MON,Friday", "2024-03-11T06:00:00"),
        ("0 */15 * * * *", "2024-03-08T06:15:00"),
        ("30 5/20 * * * *", "2024-03-08T06:05:30"),
        ("0 0 6 29 2 *", "2028-02-29T06:00:00"),
        ("0 0 6 1 Jan *", "2025-01-01T06:00:00"),
        ("0 30 9-17/4 * * *", "2024-03-08T09:30:00"),
        ("*/10 * * * * *", "2024-03-08T06:00:10"),
        ("0 0 6 * * 0", "2024-03-10T06:00:00"),  # Sunday
    ],
)
def test_the_next_firing(text: str, fires: str) -> None:
    assert parse_schedule(text).first_after(AT).isoformat() == f"{fires}+00:00"


@pytest.mark.parametrize("text", ["0 0 6 * * 1-5", "0 30 22 * * *", "15 */7 3,4 * * 2", "0 0 12 31 * *"])
def test_firings_in_both_directions_are_one_series(text: str) -> None:
    schedule, moment = parse_schedule(text), AT
    for _ in range(50):
        moment = schedule.first_after(moment)
        assert schedule.last_until(moment) == moment
        before = schedule.last_until(moment - timedelta(seconds=1))
        assert before < moment
        assert schedule.first_after(before) == moment


@given(st.integers(0, 59), st.integers(0, 23), st.sets(st.integers(0, 6), min_size=1), st.integers(0, 60 * 24 * 20))
def test_it_fires_when_a_search_by_the_minute_finds_it(minute: int, hour: int, days: set[int], start: int) -> None:
    schedule = parse_schedule(f"0 {minute} {hour} * * {','.join(map(str, sorted(days)))}")
    begin = moment = AT + timedelta(minutes=start)
    while True:
        moment += timedelta(minutes=1)
        if (moment.minute, moment.hour) == (minute, hour) and moment.isoweekday() % 7 in days:
            break
    assert schedule.first_after(begin) == moment


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    assert parse_schedule("0 0 6 * * *").last_until(tokyo) == AT


@pytest.mark.parametrize(
    "text",
    [
        "", "0 0 6 * *  1-5 7", "0 0 6 *", "60 0 6 * * *", "0 0 24 * * *", "0 0 6 0 * *", "0 0 6 * 13 *", "0 0 6 * * 7",
        "0 0 6 * * 5-1", "0 0 6 * * */0", "0 0 6 1 * 1", "0 0 6 31 2 *", "0 0 6 * * x", "0 0 6 * * 1,", "01:00:00",
        "0 0 -6 * * *", "0 0 6 ? * *", "0 0 ６ * * *", "@daily", "0 0 6 * * 1-5; drop table",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a|sets days|does not exist|invalid"):
        parse_schedule(text)
