"""The overview: the answer in the morning, its reasons, and the parts that do not answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import Calendar
from quantx.core.model import Finding
from quantx.core.tables import BARS_1D, SESSIONS, TABLES, UNIVERSE_MEMBERS
from quantx.dashboard.context import Dashboard
from quantx.dashboard.freshness import FreshUniverse, due_times, fresh_universes
from quantx.dashboard.overview import LastRun, OverviewFacts, overview_of
from quantx.dashboard.pages.overview import read_facts
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import Settings, load_settings
from quantx.state.values import Universe

from .conftest import Client

# A Tuesday: the sessions of Friday and Monday, and a timer at 06:00 with two hours until the deadline.
FRIDAY, MONDAY, TUESDAY = date(2024, 3, 8), date(2024, 3, 11), date(2024, 3, 12)
SETTINGS = load_settings(lake_url="memory://", daily_schedule="0 0 6 * * 1-5", deadline_hours=2)


LIMIT = 5.0  # per cent


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def weekdays(code: str) -> Calendar:
    days = tuple(date(2024, 2, day) for day in range(12, 24) if day not in (17, 18)) + tuple(
        date(2024, 3, day) for day in range(1, 13) if day not in (2, 3, 9, 10)
    )
    hour = 8 if code == "XHKG" else 21
    return Calendar(code, days, tuple(at(day, hour - 6) for day in days), tuple(at(day, hour) for day in days))


def freshness(now: datetime, newest: dict[str, date], symbols: Sequence[str] = ("AAA", "BBB")) -> FreshUniverse:
    members = pl.DataFrame({"universe": ["us"] * len(symbols), "symbol": list(symbols)})
    return fresh_universes(members, newest, due_times(SETTINGS, now), weekdays, LIMIT)[0]


class TestDue:
    @pytest.mark.parametrize(
        ("now", "due", "coming"),
        [
            (at(TUESDAY, 7, 59), FRIDAY, MONDAY),  # the run of this morning has time until 08:00
            (at(TUESDAY, 8), MONDAY, None),
            (at(TUESDAY, 21, 29), MONDAY, None),  # Tuesday's session settles half an hour after its close
            (at(TUESDAY, 21, 30), MONDAY, TUESDAY),
            (at(MONDAY, 8), FRIDAY, None),  # the timer fires Monday to Friday
        ],
    )
    def test_a_session_is_due_two_hours_after_the_first_timer_that_follows_it(
        self, now: datetime, due: date, coming: date | None
    ) -> None:
        found = freshness(now, {"AAA": FRIDAY, "BBB": FRIDAY})
        assert (found.due, found.coming) == (due, coming)
        assert found.level == ("good" if due == FRIDAY else "bad")

    def test_the_next_deadline(self) -> None:
        assert due_times(SETTINGS, at(TUESDAY, 7)).next_due_at == at(TUESDAY, 8)
        assert due_times(SETTINGS, at(TUESDAY, 8)).next_due_at == at(date(2024, 3, 13), 8)
        assert due_times(SETTINGS, at(FRIDAY, 9)).next_due_at == at(MONDAY, 8)

    def test_members_are_current_late_or_silent(self) -> None:
        newest = {"AAA": MONDAY, "BBB": FRIDAY, "OLD": date(2024, 2, 13)}
        found = freshness(at(TUESDAY, 9), newest, ("AAA", "BBB", "OLD", "NEW"))
        assert (found.members, found.current, found.late, found.silent) == (4, 1, ["BBB"], 2)
        assert found.level == "bad"  # half of those with recent bars, and most of all
        assert found.newest == MONDAY

    def test_each_exchange_has_its_own_sessions(self) -> None:
        """At 09:00 Hong Kong has settled on Tuesday, and the timer of 06:00 could not know it."""
        found = freshness(at(TUESDAY, 9), {"AAA": MONDAY, "0700.HK": MONDAY}, ("AAA", "0700.HK"))
        assert (found.due, found.current, found.coming) == (MONDAY, 2, TUESDAY)

    @pytest.mark.parametrize(("late", "level"), [(0, "good"), (1, "warn"), (5, "warn"), (6, "bad"), (100, "bad")])
    def test_a_few_late_members_are_exceptions(self, late: int, level: str) -> None:
        symbols = [f"S{number:03}" for number in range(100)]
        newest = {symbol: FRIDAY if number < late else MONDAY for number, symbol in enumerate(symbols)}
        assert freshness(at(TUESDAY, 9), newest, symbols).level == level


def universe(name: str = "us", *, late: Sequence[str] = (), current: int = 100, silent: int = 0) -> FreshUniverse:
    return FreshUniverse(
        universe=name,
        members=current + len(late) + silent,
        due=MONDAY,
        current=current,
        late=late,
        silent=silent,
        newest=MONDAY if current else FRIDAY,
        coming=None,
        with_coming=0,
        limit=LIMIT,
    )


WHOLE = OverviewFacts(
    times=due_times(SETTINGS, at(TUESDAY, 9)),
    lake_problem="",
    database_problem="",
    universes=[universe()],
    updated=frozenset({"us"}),
    last_run=LastRun(id="R", at=at(TUESDAY, 6), tasks=100, failed=0, unfinished=False),
    findings={"warn": 1},
    tasks={"dead": 0},
    queue={"total": 0, "oldest_seconds": None, "poisoned": 0},
    back_off=(),
)


class TestAnswer:
    def test_a_good_morning(self) -> None:
        view = overview_of(WHOLE)
        assert (view.level, view.answer, view.reasons) == ("good", "Yes: today's numbers can be used.", [])
        assert view.summary == "1 of 1 universe has each session that is due, up to Monday 2024-03-11."
        assert [(card.title, card.value) for card in view.system] == [
            ("Last daily run", "3 h ago"),
            ("Critical findings", "none"),
            ("Queue", "0 waiting"),
            ("Vendors in back-off", "none"),
            ("Cost of this month", "none"),
        ]

    def test_late_members_are_named_with_the_page_that_has_them(self) -> None:
        late = [f"S{number}" for number in range(7)]
        view = overview_of(replace(WHOLE, universes=[universe(late=late, current=993)]))
        assert view.answer.startswith("Yes, today's numbers can be used, with the exceptions")
        assert view.reasons[0].text == (
            "us: 7 of 1,000 members lack the session of 2024-03-11, which is due: S0, S1, S2, S3, S4 and 2 more."
        )
        assert view.reasons[0].link == "/universes?name=us"

    def test_a_missing_session_is_a_no_and_comes_first(self) -> None:
        universes = [universe(), universe("hk", late=["0700.HK"], current=0)]
        facts = replace(WHOLE, universes=universes, updated=frozenset({"us", "hk"}), findings={"error": 2})
        view = overview_of(facts)
        assert (view.level, view.answer[:3]) == ("bad", "No:")
        assert [reason.level for reason in view.reasons] == ["bad", "warn"]
        assert view.reasons[0].text == (
            "hk: no member has the session of 2024-03-11, which is due; the newest bar is of 2024-03-08."
        )
        assert view.reasons[0].action == "update.plan"
        assert [card.title for card in view.universes] == ["hk", "us"]

    @pytest.mark.parametrize(("silent", "level"), [(1, "warn"), (101, "bad")])
    def test_members_without_recent_bars_are_named(self, silent: int, level: str) -> None:
        view = overview_of(replace(WHOLE, universes=[universe(silent=silent)]))
        assert view.level == level
        have = "1 member has" if silent == 1 else "101 of 201 members have"
        assert [reason.text for reason in view.reasons] == [f"us: {have} no bar of the last 10 sessions."]

    def test_an_updated_universe_without_members_in_the_lake_is_a_no(self) -> None:
        view = overview_of(replace(WHOLE, updated=frozenset({"us", "hk"})))
        assert (view.level, view.reasons[0].text[:36]) == ("bad", "hk: the lake has none of its members")

    def test_unknown_findings_are_an_exception(self) -> None:
        view = overview_of(replace(WHOLE, findings=None, tasks=None, queue=None, database_problem="it is stopped"))
        assert (view.level, len(view.reasons)) == ("warn", 1)

    def test_a_universe_that_is_not_updated_decides_nothing(self) -> None:
        view = overview_of(replace(WHOLE, universes=[universe(), universe("old", late=["A"], current=0)]))
        assert view.level == "good"
        assert [card.title for card in view.not_updated] == ["old"]

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"tasks": {"dead": 3}}, "3 tasks have failed permanently"),
            ({"queue": {"total": 9, "oldest_seconds": 7200.0, "poisoned": 0}}, "waited for 2 h: no worker takes it"),
            ({"queue": {"total": 0, "oldest_seconds": None, "poisoned": 1}}, "1 unreadable message is in the poison"),
            (
                {"back_off": [{"source": "yahoo", "closed_until": at(TUESDAY, 10), "reason": "429"}]},
                "yahoo is in back-off until 10:00: 429",
            ),
            (
                {"back_off": [{"source": "yahoo", "closed_until": at(TUESDAY, 10), "reason": "x" * 10_000}]},
                f"until 10:00: {'x' * 239}…",
            ),
            (
                {
                    "alerts": [
                        {"rule": "disk", "title": "Disk nearly full", "subject": "/data", "message": "3.0 % free"}
                    ]
                },
                "Disk nearly full, /data: 3.0 % free",
            ),
        ],
    )
    def test_each_problem_of_the_system_is_an_exception(self, change: dict[str, Any], text: str) -> None:
        view = overview_of(replace(WHOLE, **change))
        assert view.level == "warn"
        assert [reason.text for reason in view.reasons if text in reason.text]

    def test_an_alert_about_what_the_page_sees_by_itself_is_no_second_reason(self) -> None:
        alert = {"rule": "freshness_missed", "title": "Sessions missing", "subject": "us", "message": "of yesterday"}
        view = overview_of(replace(WHOLE, alerts=[alert]))
        assert (view.level, view.reasons) == ("good", [])
        alerts = [(card.value, card.detail) for card in view.system if card.title == "Alerts"]
        assert alerts == [("1 active", "at the last check: Sessions missing: us")]

    def test_no_lake_is_not_known(self) -> None:
        view = overview_of(replace(WHOLE, universes=(), lake_problem="there is no lake in /x"))
        assert view.level == "unknown"
        assert view.reasons[0].text == "The lake can't be read: there is no lake in /x"

    def test_no_database_leaves_the_answer_and_says_what_is_not_known(self) -> None:
        nothing = dict.fromkeys(("tasks", "queue", "back_off", "updated"))
        view = overview_of(replace(WHOLE, **nothing, database_problem="it is stopped"))
        assert view.level == "good"
        assert "The database does not answer: it is stopped." in view.notes[0]
        assert [card.value for card in view.system if card.title in ("Queue", "Vendors in back-off")] == [
            "not known"
        ] * 2

    def test_the_coming_session_is_a_note(self) -> None:
        times = replace(WHOLE.times, next_due_at=at(TUESDAY, 8))
        coming = replace(universe(), coming=TUESDAY, with_coming=40)
        assert overview_of(replace(WHOLE, times=times, universes=[coming])).notes == [
            "The session of 2024-03-12 is due by 2024-03-12 08:00; 40 of 100 members have it."
        ]


NOW = at(TUESDAY, 9)


def write_lake(folder: str, newest: dict[str, date]) -> None:
    """Write a universe `us` of these symbols, each with bars of Friday up to its newest day."""
    tables = open_tables(open_location(folder), TABLES)
    days = [(symbol, day) for symbol, last in newest.items() for day in (FRIDAY, MONDAY) if day <= last]
    bars = [("yahoo", 2024, symbol, day, 1.0, 1.0, 1.0, 1.0, 100, "USD", "raw", NOW) for symbol, day in days]
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame(bars, schema=dict(BARS_1D.schema), orient="row"))
    members = [("us", "p", symbol, "us", None, None, None, NOW) for symbol in newest]
    frame = pl.DataFrame(members, schema=dict(UNIVERSE_MEMBERS.schema), orient="row")
    tables["universe_members"].commit(CommitContext(1), frame)
    sessions = weekdays("XNYS")
    after = date(2024, 3, 13)
    rows = [*zip(sessions.days, sessions.opens, sessions.closes, strict=True), (after, at(after, 15), at(after, 21))]
    frame = pl.DataFrame([("XNYS", *row, NOW) for row in rows], schema=dict(SESSIONS.schema), orient="row")
    tables["sessions"].commit(CommitContext(1), frame)


def test_lake_and_state_are_read_together(settings: Settings) -> None:
    write_lake(settings.lake_url, {"AAA": MONDAY, "BBB": FRIDAY})
    with open_platform(settings) as platform:
        state = platform.state
        members = [("AAA", "us", None, None, None), ("BBB", "us", None, None, None)]
        state.universes.put(
            Universe("us", phase="p", market="us", source_type="csv", refreshed_at=NOW, members=members)
        )
        state.findings.note([Finding("late", "error", "us", "no run")])
    facts = read_facts(Dashboard(settings, lambda: NOW))
    assert [(u.universe, u.current, u.late) for u in facts.universes] == [("us", 1, ["BBB"])]
    assert (facts.updated, facts.findings, facts.database_problem) == (frozenset({"us"}), {"error": 1}, "")
    assert (facts.queue, facts.tasks) == ({"total": 0, "oldest_seconds": None, "poisoned": 0}, {"dead": 0})


def test_without_a_state_the_reports_of_the_lake_are_read(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    write_lake(lake, {"AAA": MONDAY})
    for day, failed in (("2024-03-11", 1), ("2024-03-12", 2)):
        report = {"run_id": f"R{day}", "started_at": f"{day}T06:00:00+00:00", "tasks": 9, "results": {"failed": failed}}
        open_location(lake).put(f"reports/daily/{day}/R{day}.json", json.dumps(report).encode())
    open_location(lake).put("reports/daily/2024-03-12/S-damaged.json", b'{"run_id": "S')
    dashboard = Dashboard(load_settings(lake_url=lake, state_url=str(tmp_path / "none")), lambda: NOW)
    facts = read_facts(dashboard)
    assert facts.last_run == LastRun(id="R2024-03-12", at=at(TUESDAY, 6), tasks=9, failed=2, unfinished=False)
    assert (facts.updated, facts.queue, facts.findings) == (None, None, None)
    assert "there is no state in" in facts.database_problem
    assert not (tmp_path / "none").exists()  # a page creates nothing
    dashboard.close()


def test_a_damaged_table_leaves_the_page_and_is_said(tmp_path: Path, client_of: Client) -> None:
    lake = tmp_path / "lake"
    write_lake(str(lake), {"AAA": MONDAY})
    for path in (lake / "curated").rglob("*.parquet"):
        path.write_bytes(b"PAR1 damaged")
    page = client_of(load_settings(lake_url=str(lake), state_url=str(tmp_path / "state"))).get("/")
    assert page.status_code == 200
    assert "Whether today&#39;s numbers can be used is not known." in page.text
    assert "a file of a table is missing or damaged; `quantx verify` names it" in page.text


def test_without_a_lake_the_page_says_so(tmp_path: Path, client_of: Client) -> None:
    settings = load_settings(lake_url=str(tmp_path / "lake"), state_url=str(tmp_path / "state"))
    page = client_of(settings).get("/")
    assert page.status_code == 200
    assert "Whether today&#39;s numbers can be used is not known." in page.text
    assert "there is no lake in" in page.text
    assert list(tmp_path.iterdir()) == []
