"""Sessions are those of the exchange: closures, half days, clock changes, and what has closed by when."""

from __future__ import annotations

import csv
import io
import lzma
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import Calendar, calendar, held_sessions
from quantx.core.symbols import VENUES

RECORDED = ("XNYS", "XHKG", "XTKS", "XLON", "XAMS", "XETR", "XPAR", "XSWX")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day(text: str) -> date:
    return date.fromisoformat(text)


def known_answers(folder: Path, code: str) -> list[tuple[date, datetime, datetime]]:
    path = folder / "known_answers" / "exchange_calendars" / f"{code.lower()}.csv.xz"
    if not path.is_file():
        pytest.skip(f"no recorded sessions of {code}")
    rows = list(csv.DictReader(io.StringIO(lzma.decompress(path.read_bytes()).decode())))
    return [(day(r[""][:10]), at(r["open"][:19]), at(r["close"][:19])) for r in rows]


@pytest.mark.parametrize("code", RECORDED)
def test_sessions_and_their_instants_are_the_recorded_ones(market_data: Path, code: str) -> None:
    known = known_answers(market_data, code)
    cal = calendar(code)
    sessions = cal.sessions(known[0][0], known[-1][0])
    assert sessions == tuple(d for d, _, _ in known)
    assert [(d, cal.open_of(d), cal.close_of(d)) for d in sessions] == known


@pytest.mark.parametrize("code", sorted({v.calendar for v in VENUES}))
def test_every_exchange_that_a_symbol_can_name_has_a_calendar(code: str) -> None:
    cal = calendar(code)
    assert cal.sessions(day("2024-01-15"), day("2024-01-19"))[-4:] == tuple(date(2024, 1, n) for n in range(16, 20))
    assert list(cal.days) == sorted(set(cal.days))
    assert list(cal.closes) == sorted(cal.closes)
    assert len(cal.days) == len(cal.opens) == len(cal.closes)
    assert all(t.tzinfo is UTC for t in (cal.opens[-1], cal.closes[-1]))


CLOSED = {
    "2001-09-11": "the attacks",
    "2001-09-12": "the attacks",
    "2001-09-13": "the attacks",
    "2001-09-14": "the attacks",
    "2012-10-29": "the hurricane Sandy",
    "2012-10-30": "the hurricane Sandy",
    "2018-12-05": "mourning of G. H. W. Bush",
    "2025-01-09": "mourning of Carter",
    "2022-06-20": "Juneteenth, a holiday since 2022",
    "2024-03-29": "Good Friday",
    "2024-01-06": "a Saturday",
}


@pytest.mark.parametrize("closed", CLOSED, ids=[f"{d} {why}" for d, why in CLOSED.items()])
def test_new_york_is_closed_on(closed: str) -> None:
    cal = calendar("XNYS")
    assert not cal.is_session(day(closed))
    assert cal.sessions(day(closed), day(closed)) == ()
    with pytest.raises(KeyError, match="not a session of XNYS"):
        cal.close_of(day(closed))
    with pytest.raises(KeyError, match="not a session of XNYS"):
        cal.open_of(day(closed))


CLOSED_ELSEWHERE = {
    ("XHKG", "2013-08-14"): "the typhoon Utor",
    ("XHKG", "2016-08-02"): "the typhoon Nida",
    ("XHKG", "2016-10-21"): "the typhoon Haima",
    ("XHKG", "2017-08-23"): "the typhoon Hato",
    ("XHKG", "2021-10-13"): "the typhoon Kompasu",
    ("XHKG", "2023-07-17"): "the typhoon Talim",
    ("XTKS", "2020-10-01"): "the day on which the exchange's system failed",
    ("XTKS", "2019-04-30"): "the abdication",
    ("XLON", "2022-09-19"): "the queen's funeral",
}


@pytest.mark.parametrize(
    ("code", "closed"), CLOSED_ELSEWHERE, ids=[f"{c} {d} {why}" for (c, d), why in CLOSED_ELSEWHERE.items()]
)
def test_an_exchange_is_closed_where_it_was_not_planned(code: str, closed: str) -> None:
    assert not calendar(code).is_session(day(closed))
    assert calendar(code).sessions(day(closed), day(closed)) == ()


@pytest.mark.parametrize(
    "open_day", ["2001-09-10", "2001-09-17", "2012-10-26", "2012-10-31", "2025-01-08", "2025-01-10"]
)
def test_new_york_trades_beside_a_closure(open_day: str) -> None:
    assert calendar("XNYS").is_session(day(open_day))


HALF_DAYS = [
    ("XNYS", "2023-11-24", "2023-11-24T18:00"),  # the day after Thanksgiving
    ("XNYS", "2024-07-03", "2024-07-03T17:00"),
    ("XNYS", "2024-12-24", "2024-12-24T18:00"),
    ("XLON", "2024-12-24", "2024-12-24T12:30"),
    ("XHKG", "2024-02-09", "2024-02-09T04:00"),  # the eve of the lunar new year
]


@pytest.mark.parametrize(("code", "session", "close"), HALF_DAYS)
def test_a_half_day_closes_early(code: str, session: str, close: str) -> None:
    assert calendar(code).close_of(day(session)) == at(close)


# The United States and Europe change their clocks on different Sundays.
CLOCK_CHANGES = [
    ("XNYS", "2024-03-08", "2024-03-08T21:00"),
    ("XNYS", "2024-03-11", "2024-03-11T20:00"),
    ("XLON", "2024-03-11", "2024-03-11T16:30"),
    ("XLON", "2024-03-28", "2024-03-28T16:30"),
    ("XLON", "2024-04-02", "2024-04-02T15:30"),
    ("XLON", "2024-10-25", "2024-10-25T15:30"),
    ("XLON", "2024-10-28", "2024-10-28T16:30"),
    ("XNYS", "2024-10-28", "2024-10-28T20:00"),
    ("XNYS", "2024-11-04", "2024-11-04T21:00"),
    ("XTKS", "2024-03-11", "2024-03-11T06:00"),  # Tokyo never does
    ("XTKS", "2024-11-05", "2024-11-05T06:30"),  # and closes half an hour later since that day
]


@pytest.mark.parametrize(("code", "session", "close"), CLOCK_CHANGES)
def test_closing_instants_follow_the_clock_of_the_exchange(code: str, session: str, close: str) -> None:
    assert calendar(code).close_of(day(session)) == at(close)


LAST_CLOSED = [
    ("before the close", "2024-07-05T19:59:59", 0, "2024-07-03"),
    ("at the close", "2024-07-05T20:00", 0, "2024-07-05"),
    ("the grace is not over", "2024-07-05T20:29:59", 30, "2024-07-03"),
    ("the grace is over", "2024-07-05T20:30", 30, "2024-07-05"),
    ("on a weekend", "2024-07-07T12:00", 30, "2024-07-05"),
    ("on a holiday", "2024-07-04T23:00", 30, "2024-07-03"),
    ("after a half day", "2024-07-03T17:30", 30, "2024-07-03"),
    ("in a closure of four days", "2001-09-16T12:00", 30, "2001-09-10"),
]


@pytest.mark.parametrize(("now", "grace", "expected"), [c[1:] for c in LAST_CLOSED], ids=[c[0] for c in LAST_CLOSED])
def test_the_last_closed_session(now: str, grace: int, expected: str) -> None:
    assert calendar("XNYS").last_closed(at(now), timedelta(minutes=grace)) == day(expected)


def test_nothing_has_closed_before_the_first_session() -> None:
    assert calendar("XNYS").last_closed(at("1960-01-01")) is None


def test_an_instant_in_another_zone_is_the_same_instant() -> None:
    eastern = datetime.fromisoformat("2024-07-05T16:00-04:00")
    assert calendar("XNYS").last_closed(eastern) == day("2024-07-05")


BACK = [
    ("2024-07-08", 0, "2024-07-08"),
    ("2024-07-08", 1, "2024-07-05"),
    ("2024-07-08", 2, "2024-07-03"),  # over the holiday and the weekend
    ("2024-07-07", 0, "2024-07-08"),  # a Sunday: from the first session after it
    ("2024-07-07", 1, "2024-07-05"),
    ("1970-01-05", 99, "1970-01-02"),  # not beyond the beginning
]


@pytest.mark.parametrize(("session", "count", "expected"), BACK)
def test_going_back_counts_sessions(session: str, count: int, expected: str) -> None:
    assert calendar("XNYS").back(day(session), count) == day(expected)


def test_a_day_after_the_last_known_session_goes_back_from_the_last() -> None:
    cal = calendar("XNYS")
    assert cal.back(date(2999, 1, 1), 0) == cal.days[-1]


WEEKDAYS = tuple(date(2024, 1, 1) + timedelta(n) for n in range(60) if (date(2024, 1, 1) + timedelta(n)).weekday() < 5)
TOY = Calendar(
    "TOY",
    WEEKDAYS,
    tuple(datetime(d.year, d.month, d.day, 9, tzinfo=UTC) for d in WEEKDAYS),
    tuple(datetime(d.year, d.month, d.day, 17, tzinfo=UTC) for d in WEEKDAYS),
)
near = st.dates(date(2023, 12, 20), date(2024, 3, 10))


@given(near, near)
def test_sessions_between_two_days_are_those_that_pass_is_session(start: date, end: date) -> None:
    days = [start + timedelta(n) for n in range((end - start).days + 1)]
    assert TOY.sessions(start, end) == tuple(d for d in days if TOY.is_session(d))


@given(st.integers(0, 80 * 24 * 60), st.integers(0, 3000))
def test_the_last_closed_session_is_the_newest_whose_close_and_grace_have_passed(minute: int, patience: int) -> None:
    now, grace = at("2023-12-20") + timedelta(minutes=minute), timedelta(minutes=patience)
    over = [d for d in WEEKDAYS if TOY.close_of(d) + grace <= now]
    assert TOY.last_closed(now, grace) == (over[-1] if over else None)


def test_whole_day_closures_that_the_calendar_does_not_know_of_were_not_held() -> None:
    typhoon, rain = date(2023, 9, 1), date(2023, 9, 8)
    assert set(calendar("XHKG").days) - set(held_sessions("XHKG")) == {typhoon, rain}
    assert held_sessions("XNYS") == calendar("XNYS").days
