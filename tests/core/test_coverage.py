"""What a reply proves about a series, and what is asked for next."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import Calendar, calendar
from quantx.core.coverage import LATE, coverage_of, daily_window, missing_hull
from quantx.core.model import SETTLED_AFTER, Window

# January 2024 in New York: the 1st and the 15th are holidays.
NEW_YORK = "XNYS"


@pytest.fixture(scope="module")
def cal() -> Calendar:
    return calendar(NEW_YORK)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(text: str | None) -> Window | None:
    """Days of January 2024, as in "2-12"."""
    if text is None:
        return None
    first, last = text.split("-")
    return Window(date(2024, 1, int(first)), date(2024, 1, int(last)))


def days(*numbers: int) -> list[date]:
    return [date(2024, 1, n) for n in numbers]


SECOND_WEEK = (8, 9, 10, 11, 12)
CASES: dict[str, tuple[str, str, tuple[int, ...], str | None, list[str]]] = {
    # name: asked, at the moment, answered → covered, nothing there
    "every session is answered": ("8-12", "2024-01-20", SECOND_WEEK, "8-12", []),
    "the history begins within the window": ("2-12", "2024-01-20", SECOND_WEEK, "2-12", ["2-7"]),
    "only a weekend lies before the first bar": ("6-12", "2024-01-20", SECOND_WEEK, "6-12", []),
    "the history ends within the window, long ago": ("8-19", "2024-01-31", SECOND_WEEK, "8-19", ["13-19"]),
    "only a long weekend lies after the last bar": ("8-15", "2024-01-31", SECOND_WEEK, "8-15", []),
    "a hole in the middle is answered": ("8-12", "2024-01-20", (8, 12), "8-12", []),
    "the newest sessions are late": ("8-17", "2024-01-17T23:00", SECOND_WEEK, "8-12", []),
    "the last bar is too old for a late vendor": ("8-19", "2024-01-19T23:00", SECOND_WEEK, "8-19", ["13-19"]),
    "late by so much that it is an answer": ("8-19", "2024-01-24T12:00", (8, 9, 10, 11, 12, 16, 17), "8-19", ["18-19"]),
    "late, but the last bar is newer than the limit": ("8-19", "2024-01-19T23:00", (8, 16, 17), "8-17", []),
    "the last session has not settled": ("8-12", "2024-01-12T21:29", SECOND_WEEK[:4], "8-11", []),
    "the last session has settled": ("8-12", "2024-01-12T21:30", SECOND_WEEK, "8-12", []),
    "a bar of an unsettled session proves nothing": ("8-12", "2024-01-12T20:00", SECOND_WEEK, "8-11", []),
    "nothing has settled yet": ("12-12", "2024-01-12T18:00", (), None, []),
    "the window lies in the future": ("29-31", "2024-01-12T18:00", (), None, []),
    "no answer about old days": ("2-5", "2024-01-31", (), "2-5", ["2-5"]),
    "no answer about new days": ("10-12", "2024-01-12T23:00", (), None, []),
    "no answer about old and new days": ("2-12", "2024-01-12T23:00", (), "2-7", ["2-7"]),
    "no answer about a holiday": ("15-15", "2024-01-31", (), "15-15", []),
    "bars outside the window do not count": ("8-12", "2024-01-31", (2, 3, 16), "8-12", ["8-12"]),
}


def test_a_late_session_is_remembered_as_asked_for(cal: Calendar) -> None:
    late = coverage_of(Window(date(2024, 1, 8), date(2024, 1, 31)), at("2024-01-17T23:00"), days(*SECOND_WEEK), cal)
    assert late.asked_through == date(2024, 1, 17)
    assert late.covered == window("8-12")


@pytest.mark.parametrize(("asked", "now", "answered", "covered", "nothing"), CASES.values(), ids=CASES)
def test_what_a_reply_proves(
    cal: Calendar, asked: str, now: str, answered: tuple[int, ...], covered: str | None, nothing: list[str]
) -> None:
    requested = window(asked)
    assert requested is not None
    coverage = coverage_of(requested, at(now), days(*answered), cal)
    assert coverage.covered == window(covered)
    assert list(coverage.nothing) == [window(w) for w in nothing]


january = st.integers(1, 31)


@given(january, january, st.integers(0, 40 * 24), st.sets(january))
def test_no_reply_proves_anything_about_a_session_that_had_not_settled(
    first: int, last: int, hour: int, answered: set[int]
) -> None:
    cal = calendar(NEW_YORK)
    asked = Window(date(2024, 1, min(first, last)), date(2024, 1, max(first, last)))
    now = at("2024-01-01") + timedelta(hours=hour)
    sessions = [d for d in days(*sorted(answered)) if cal.is_session(d)]
    coverage = coverage_of(asked, now, sessions, cal)
    if coverage.covered is None:
        assert coverage.nothing == ()
        return
    assert asked.start == coverage.covered.start <= coverage.covered.end <= asked.end
    for session in cal.sessions(coverage.covered.start, coverage.covered.end):
        assert cal.close_of(session) + SETTLED_AFTER <= now
    for empty in coverage.nothing:
        assert coverage.covered.start <= empty.start <= empty.end <= coverage.covered.end
        assert not [d for d in sessions if empty.start <= d <= empty.end]
        assert cal.sessions(empty.start, empty.end)


@given(st.integers(1, 31), st.integers(0, 40 * 24))
def test_silence_about_the_newest_days_is_never_taken_for_an_answer(first: int, hour: int) -> None:
    cal = calendar(NEW_YORK)
    now = at("2024-01-01") + timedelta(hours=hour)
    coverage = coverage_of(Window(date(2024, 1, first), date(2024, 2, 28)), now, [], cal)
    if coverage.covered is not None:
        assert coverage.covered.end <= now.date() - LATE


HULLS: dict[str, tuple[list[str], str | None]] = {
    "no gap": ([], None),
    "one gap": (["8-12"], "8-12"),
    "a gap is cut to its sessions": (["6-15"], "8-12"),
    "a weekend is no gap": (["13-15"], None),
    "two gaps and what lies between": (["3-4", "17-18"], "3-18"),
    "a weekend beside a gap does not widen it": (["6-7", "9-9"], "9-9"),
    "in any order": (["17-18", "3-4"], "3-18"),
}


@pytest.mark.parametrize(("gaps", "hull"), HULLS.values(), ids=HULLS)
def test_one_request_serves_all_gaps(cal: Calendar, gaps: list[str], hull: str | None) -> None:
    assert missing_hull([w for g in gaps if (w := window(g))], cal) == window(hull)


DAILY: dict[str, tuple[int | None, str, int, str | None]] = {
    # name: watermark, now, lookback → window
    "up to date": (12, "2024-01-12T23:00", 5, None),
    "up to date on a weekend": (12, "2024-01-14T12:00", 5, None),
    "ahead of the clock": (16, "2024-01-12T23:00", 5, None),
    "the session has not closed": (11, "2024-01-12T15:00", 5, None),
    "the session closed but has not settled": (11, "2024-01-12T21:15", 5, None),
    "one session is missing, none read again": (11, "2024-01-12T23:00", 0, "12-12"),
    "one session is missing, one read again": (11, "2024-01-12T23:00", 1, "11-12"),
    "one session is missing, five read again": (11, "2024-01-12T23:00", 5, "5-12"),
    "a week is missing": (5, "2024-01-12T23:00", 2, "4-12"),
    "over a long weekend": (12, "2024-01-16T23:00", 2, "11-16"),
    "a watermark on a day without session": (13, "2024-01-17T23:00", 1, "16-17"),
    "a new series": (None, "2024-01-12T23:00", 5, "8-12"),
    "a new series, one session": (None, "2024-01-12T23:00", 1, "12-12"),
    "a new series, no lookback": (None, "2024-01-12T23:00", 0, "12-12"),
}


@pytest.mark.parametrize(("watermark", "now", "lookback", "expected"), DAILY.values(), ids=DAILY)
def test_what_a_daily_update_asks_for(
    cal: Calendar, watermark: int | None, now: str, lookback: int, expected: str | None
) -> None:
    known = None if watermark is None else date(2024, 1, watermark)
    assert daily_window(known, at(now), lookback, cal) == window(expected)


@given(january, st.integers(0, 40 * 24), st.integers(0, 30))
def test_a_daily_window_holds_every_missing_session_and_reaches_back_as_asked(
    watermark: int, hour: int, lookback: int
) -> None:
    cal = calendar(NEW_YORK)
    known, now = date(2024, 1, watermark), at("2024-01-01") + timedelta(hours=hour)
    asked = daily_window(known, now, lookback, cal)
    settled = [d for d in cal.sessions(date(2023, 1, 1), date(2024, 3, 1)) if cal.close_of(d) + SETTLED_AFTER <= now]
    missing = [d for d in settled if d > known]
    if not missing:
        assert asked is None
        return
    assert asked is not None
    assert asked.end == settled[-1]
    assert set(missing) <= set(cal.sessions(asked.start, asked.end))
    again = [d for d in cal.sessions(asked.start, asked.end) if d <= known]
    assert len(again) == lookback or (not cal.is_session(known) and len(again) == max(0, lookback - 1))


def test_a_window_must_not_end_before_it_starts() -> None:
    with pytest.raises(ValueError, match="must not end"):
        Window(date(2024, 1, 2), date(2024, 1, 1))
