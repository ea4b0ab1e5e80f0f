"""Withdrawn bars: the rows stay, and a finding compares them with a second vendor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.model import Window
from quantx.lake.protocol import CommitContext
from quantx.pipeline.planning.plan import plan_backfill
from quantx.pipeline.planning.scope import Scope

from ..conftest import Desk

YEAR = Window(date(2023, 1, 3), date(2024, 1, 12))
SESSIONS = calendar("XNYS").sessions(YEAR.start, YEAR.end)  # 259
OLD = SESSIONS[10:210]


@pytest.fixture
def known(desk: Desk) -> Desk:
    """A desk that has a year of AAA and BBB from the tape."""
    for symbol in ("AAA", "BBB"):
        desk.tape.trades(symbol, YEAR.start, YEAR.end)
    fetch(desk)
    assert desk.rows().height == 2 * len(SESSIONS)
    assert findings(desk) == []
    return desk


def fetch(desk: Desk, window: Window = YEAR) -> None:
    """Ask once more for all of the year, or for a part of it."""
    desk.work(plan_backfill(desk.platform, Scope(("AAA", "BBB")), window, source="tape", again=True))


def loses(desk: Desk, days: Sequence[date]) -> dict[date, Any]:
    lost = {day: desk.tape.shows["AAA"].pop(day) for day in days}
    fetch(desk)
    return lost


def findings(desk: Desk, status: str = "open") -> list[dict[str, Any]]:
    return desk.platform.state.findings.listed(100, status=status, rule="rows_dropped")


def also_at(desk: Desk, source: str, days: Sequence[date]) -> None:
    """Put bars of another vendor beside those of the tape."""
    rows = desk.rows().filter(pl.col("symbol") == "AAA", pl.col("date").is_in(list(days)))
    table = desk.platform.tables["bars_1d"]
    table.commit(CommitContext(table.committed_round() + 1), rows.with_columns(pl.lit(source).alias("source")))


def test_two_hundred_old_rows_stay_and_are_an_error(known: Desk) -> None:
    before = known.rows()
    loses(known, OLD)
    assert known.rows().equals(before)
    (finding,) = findings(known)
    assert (finding["subject"], finding["source"], finding["dataset"]) == ("AAA", "tape", "bars_1d")
    assert (finding["severity"], finding["first_day"], finding["last_day"]) == ("error", OLD[0], OLD[-1])
    assert finding["facts"] == {
        "dropped": 200,
        "had": len(SESSIONS),
        "confirmed": 0,
        "witnesses": [],
        "verdict": "trusted",
        "stretches": [[str(OLD[0]), str(OLD[-1])]],
    }


def test_a_history_that_begins_later_than_it_did_is_the_same(known: Desk) -> None:
    loses(known, SESSIONS[:200])
    (finding,) = findings(known)
    assert (finding["severity"], finding["first_day"], finding["facts"]["dropped"]) == ("error", SESSIONS[0], 200)


def test_a_vendor_that_has_nothing_any_more_is_the_same(known: Desk) -> None:
    loses(known, SESSIONS)
    (finding,) = findings(known)
    assert finding["severity"] == "error"
    assert finding["facts"]["dropped"] >= len(SESSIONS) - 5  # the newest may be late
    assert known.rows().height == 2 * len(SESSIONS)


def test_a_second_vendor_that_has_the_bars_confirms_them(known: Desk) -> None:
    also_at(known, "other", SESSIONS)
    loses(known, OLD)
    (finding,) = findings(known)
    assert finding["severity"] == "error"
    assert finding["facts"]["verdict"] == "trusted"
    assert (finding["facts"]["confirmed"], finding["facts"]["witnesses"]) == (200, ["other"])


def test_a_second_vendor_that_lacks_them_too_makes_it_plausible(known: Desk) -> None:
    also_at(known, "other", [day for day in SESSIONS if day not in OLD])
    loses(known, OLD)
    (finding,) = findings(known)
    assert (finding["severity"], finding["facts"]["verdict"]) == ("warn", "plausible")
    assert "plausible" in finding["message"]


def test_a_second_vendor_of_another_time_says_nothing(known: Desk) -> None:
    also_at(known, "other", SESSIONS[220:])
    loses(known, OLD)
    assert findings(known)[0]["facts"]["verdict"] == "trusted"


@pytest.mark.parametrize(("count", "severity"), [(1, "warn"), (2, "warn"), (12, "warn"), (13, "error"), (21, "error")])
def test_the_severity_goes_by_the_size(known: Desk, count: int, severity: str) -> None:
    loses(known, SESSIONS[50 : 50 + count])
    assert [finding["severity"] for finding in findings(known)] == [severity]


def test_what_comes_again_is_resolved(known: Desk) -> None:
    lost = loses(known, OLD)
    known.tape.shows["AAA"] |= lost
    known.tape.shows["AAA"] = dict(sorted(known.tape.shows["AAA"].items()))
    fetch(known)
    assert findings(known) == []
    assert [finding["settled_by"] for finding in findings(known, "resolved")] == ["quantx"]


def test_a_part_that_comes_again_does_not_resolve_the_whole(known: Desk) -> None:
    lost = loses(known, OLD)
    known.tape.shows["AAA"] |= lost
    known.tape.shows["AAA"] = dict(sorted(known.tape.shows["AAA"].items()))
    fetch(known, Window(OLD[0], OLD[50]))
    assert [finding["last_day"] for finding in findings(known)] == [OLD[-1]]


def test_a_daily_update_does_not_resolve_what_it_did_not_ask_for(known: Desk) -> None:
    loses(known, OLD)
    known.tape.trades("AAA", date(2024, 1, 2), date(2024, 1, 17))
    known.clock.goes_to(date(2024, 1, 17))
    known.work(known.daily("AAA", "BBB"))
    assert [finding["first_day"] for finding in findings(known)] == [OLD[0]]


def test_a_row_that_is_rejected_now_is_not_dropped(known: Desk) -> None:
    known.tape.shows["AAA"][OLD[0]] = (None, None, None, None, None)
    fetch(known)
    assert findings(known) == []


def test_sessions_that_a_vendor_is_late_with_are_not_dropped(known: Desk) -> None:
    loses(known, SESSIONS[-2:])
    assert findings(known) == []


def noted(desk: Desk, status: str = "open") -> list[tuple[Any, ...]]:
    return [
        (f["severity"], f["first_day"], f["last_day"], f["facts"]["dropped"], f["facts"]["had"])
        for f in findings(desk, status)
    ]


def test_windows_that_move_on_tell_of_one_drop(known: Desk) -> None:
    """Four days are lost, and fetched in windows that begin a session later each, as those of daily updates do."""
    lost = SESSIONS[100:104]
    for day in lost:
        del known.tape.shows["AAA"][day]
    for late in range(3):
        fetch(known, Window(lost[late], SESSIONS[106 + late]))
    assert noted(known) == [("warn", lost[0], lost[-1], 4, 9)]
    assert noted(known, "resolved") == []


def test_drops_side_by_side_become_one_whichever_comes_first(known: Desk) -> None:
    for first, last in ((110, 119), (90, 99), (100, 109)):
        for day in SESSIONS[first : last + 1]:
            del known.tape.shows["AAA"][day]
        fetch(known, Window(SESSIONS[first], SESSIONS[last]))
    assert noted(known) == [("error", SESSIONS[90], SESSIONS[119], 30, 30)]
    (joined,) = findings(known, "resolved")
    assert joined["reason"] == f"it is a part of what is missing from {SESSIONS[90]} on"


def test_drops_with_sessions_between_them_stay_two(known: Desk) -> None:
    for first, last in ((90, 92), (94, 96)):
        for day in SESSIONS[first : last + 1]:
            del known.tape.shows["AAA"][day]
        fetch(known, Window(SESSIONS[first], SESSIONS[last]))
    assert sorted(finding["first_day"] for finding in findings(known)) == [SESSIONS[90], SESSIONS[94]]


def test_of_a_part_that_comes_again_the_rest_is_told(known: Desk) -> None:
    lost = loses(known, OLD)
    known.tape.shows["AAA"] |= {day: lost[day] for day in OLD[1:50]}
    known.tape.shows["AAA"] = dict(sorted(known.tape.shows["AAA"].items()))
    fetch(known, Window(OLD[0], OLD[60]))
    (finding,) = findings(known)
    assert finding["facts"]["dropped"] == 151
    assert finding["facts"]["stretches"] == [[str(OLD[0]), str(OLD[0])], [str(OLD[50]), str(OLD[-1])]]


def test_a_large_part_of_a_short_window_is_no_error(known: Desk) -> None:
    for day in SESSIONS[100:104]:
        del known.tape.shows["AAA"][day]
    fetch(known, Window(SESSIONS[99], SESSIONS[105]))
    assert noted(known) == [("warn", SESSIONS[100], SESSIONS[103], 4, 7)]
