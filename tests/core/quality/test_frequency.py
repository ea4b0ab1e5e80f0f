"""Weekly and rarer bars in a series of daily ones are one fact, and not hundreds of missing sessions."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.quality.frequency import coarse_stretches
from quantx.pipeline.inspecting.local_files import judge_files

SESSIONS = calendar("XNYS").sessions(date(2020, 1, 2), date(2024, 12, 31))


def of_weeks(last: bool) -> list[date]:
    weeks: dict[tuple[int, int], list[date]] = {}
    for day in SESSIONS:
        weeks.setdefault(day.isocalendar()[:2], []).append(day)
    return [days[-1 if last else 0] for days in weeks.values()]


def of_months(months: int) -> list[date]:
    firsts: dict[int, date] = {}
    for day in SESSIONS:
        firsts.setdefault((day.year * 12 + day.month - 1) // months, day)
    return list(firsts.values())


SUNDAYS = [date(2020, 1, 5) + timedelta(weeks=at) for at in range(200)]
FIRSTS = [date(year, month, 1) for year in range(2010, 2025) for month in range(1, 13)]  # on holidays, too
THIN = [day for at, day in enumerate(SESSIONS) if (at * 7919) % 11 < 3]  # trades on three days of eleven
FREQUENCIES = [
    ("daily", SESSIONS, []),
    ("weekly, by the first session", of_weeks(last=False), ["weekly"]),
    ("weekly, by the last session", of_weeks(last=True), ["weekly"]),
    ("weekly, on Sundays", SUNDAYS, ["weekly"]),
    ("monthly", of_months(1), ["monthly"]),
    ("monthly, on the first", FIRSTS, ["monthly"]),
    ("quarterly", of_months(3), ["quarterly"]),
    ("yearly", [date(year, 12, 31) for year in range(1990, 2020)], ["yearly"]),
    ("weekly with gaps", [day for at, day in enumerate(of_weeks(last=False)) if at % 12], ["weekly"]),
    ("seldom traded", THIN, []),
    ("a few bars", of_weeks(last=False)[:5], []),
]


@pytest.mark.parametrize(("days", "found"), [f[1:] for f in FREQUENCIES], ids=[f[0] for f in FREQUENCIES])
def test_the_frequency_is_detected(days: list[date], found: list[str]) -> None:
    stretches = coarse_stretches(pl.DataFrame({"symbol": "AAA", "date": days}))
    assert stretches["frequency"].to_list() == found
    if found:
        assert stretches.select("first_day", "last_day").row(0) == (days[0], days[-1])


def test_a_series_that_is_weekly_at_first_has_one_stretch() -> None:
    weekly = [day for day in of_weeks(last=False) if day.year < 2022]
    daily = [day for day in SESSIONS if day.year >= 2022]
    (row,) = coarse_stretches(pl.DataFrame({"symbol": "AAA", "date": [*weekly, *daily]})).to_dicts()
    assert (row["frequency"], row["first_day"]) == ("weekly", weekly[0])
    assert date(2021, 11, 1) < row["last_day"] < date(2022, 1, 31)


@pytest.mark.parametrize(
    ("days", "rule"),
    [(of_weeks(last=True), "weekly_bars"), (of_months(1), "monthly_bars"), (SUNDAYS, "weekly_bars")],
    ids=["weeks", "months", "Sundays"],
)
def test_a_file_of_rarer_bars_has_one_finding_and_no_missing_sessions(
    tmp_path: Path, days: list[date], rule: str
) -> None:
    lines = [
        f"{day},{100 + at % 7},{110 + at % 5},90,{100 + at % 3},{100 + at % 3},{5000 + at}"
        for at, day in enumerate(days)
    ]
    (tmp_path / "AAPL.csv").write_text("\n".join(["Date,Open,High,Low,Close,Adj Close,Volume", *lines]))
    (judged,) = judge_files([tmp_path / "AAPL.csv"])
    found = [(f.rule, f.severity, f.first_day, f.last_day) for f in judged.findings]
    assert found == [(rule, "error", days[0], days[-1])]
