"""What is looked at by itself when runs have ended: once for each run, and again where a look has failed."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

import pytest

from quantx.cli.after_work import inspect
from quantx.errors import LakeError
from quantx.pipeline.inspecting.inspection import inspect_ended_runs
from quantx.state.values import Row

from ...counted_lake import counted_tables

START, END, DAY = date(2024, 1, 2), date(2024, 3, 22), date(2024, 2, 14)


def rules(desk: Any) -> set[tuple[str, str]]:
    rows: list[Row] = desk.platform.state.findings.listed(100)
    return {(row["rule"], row["subject"]) for row in rows}


class Broken:
    """A table that can't be reached."""

    def __getattr__(self, name: str) -> Any:
        raise LakeError("the store is away")


@pytest.fixture
def ended(desk: Any) -> Any:
    """A desk after a backfill: AAA has a bad tick, BBB lacks a session."""
    desk.clock.goes_to(END + timedelta(days=10))
    desk.tape.shows["AAA"][DAY] = (11.4, 11.5, 11.3, 11.45, 10_000.0)
    del desk.tape.shows["BBB"][DAY]
    desk.work(desk.backfill("AAA", "BBB", start=str(START), end=str(END)))
    return desk


def test_the_symbols_of_runs_that_have_ended_are_looked_at_once(ended: Any) -> None:
    (run_id,) = ended.platform.state.runs.uninspected()
    assert inspect_ended_runs(ended.platform, ended.platform.tables) == []
    assert {("bad_tick", "AAA"), ("missing_sessions", "BBB")} <= rules(ended)
    assert run_id not in ended.platform.state.runs.uninspected()
    assert b"<html" in ended.platform.location.get("reports/coverage/coverage.html")[:200]
    versions = ended.versions()
    inspect_ended_runs(ended.platform, ended.platform.tables)
    assert ended.versions() == versions


def test_a_gap_is_asked_for_by_itself_and_its_run_is_inspected_in_turn(ended: Any) -> None:
    inspect_ended_runs(ended.platform, ended.platform.tables)
    assert ended.task("BBB")["kind"] == "heal"
    ended.tape.trades("BBB", DAY, DAY)
    ended.work()
    inspect_ended_runs(ended.platform, ended.platform.tables)
    (gap,) = ended.platform.state.findings.listed(10, rule="missing_sessions")
    assert gap["status"] == "resolved"
    assert ended.platform.state.runs.uninspected() == {}


def test_where_a_look_fails_the_others_go_on_and_the_run_is_looked_at_again(ended: Any) -> None:
    platform = ended.with_(tables={**ended.platform.tables, "bars_1m": Broken()})
    failed = inspect_ended_runs(platform, platform.tables)
    assert "minutes" in failed
    assert ("bad_tick", "AAA") in rules(ended)
    assert len(ended.platform.state.runs.uninspected()) == 1
    (finding,) = ended.platform.state.findings.listed(10, status="open", rule="inspection_failed")
    assert (finding["subject"], finding["severity"]) == ("minutes", "error")
    assert "the store is away" in finding["message"]
    assert inspect_ended_runs(ended.platform, ended.platform.tables) == []
    assert ended.platform.state.runs.uninspected() == {}
    assert ended.platform.state.findings.listed(10, status="open", rule="inspection_failed") == []


def test_nothing_is_looked_at_where_the_setting_says_so_or_the_worker_is_to_stop(ended: Any) -> None:
    settings = ended.platform.settings.model_copy(update={"inspect": False})
    inspect_ended_runs(ended.with_(settings=settings), ended.platform.tables)
    inspect_ended_runs(ended.platform, ended.platform.tables, stopping=lambda: True)
    assert rules(ended) == set()
    assert len(ended.platform.state.runs.uninspected()) == 1


def test_one_process_at_a_time_inspects(ended: Any) -> None:
    with ended.platform.state.exclusive("inspector"):
        assert inspect_ended_runs(ended.platform, ended.platform.tables) == []
    assert rules(ended) == set()


def test_a_gap_is_asked_for_again_when_it_is_due_though_no_run_has_ended(ended: Any) -> None:
    inspect_ended_runs(ended.platform, ended.platform.tables)
    ended.work()  # the first ask is answered without the session
    inspect_ended_runs(ended.platform, ended.platform.tables)
    assert ended.platform.state.runs.uninspected() == {}
    asked, versions = ended.task("BBB")["id"], ended.versions()
    inspect_ended_runs(ended.platform, ended.platform.tables)
    assert ended.task("BBB")["id"] == asked  # it is not due yet
    ended.clock.at = ended.platform.state.now() + timedelta(days=2)  # tasks end by the clock of the state
    inspect_ended_runs(ended.platform, ended.platform.tables)
    assert ended.task("BBB")["id"] > asked
    assert ended.task("BBB")["kind"] == "heal"
    assert ended.versions() == versions


def test_symbols_without_a_run_have_only_their_gaps_looked_at(ended: Any) -> None:
    inspect_ended_runs(ended.platform, ended.platform.tables)
    ended.work()
    inspect_ended_runs(ended.platform, ended.platform.tables)
    ended.clock.at = ended.platform.state.now() + timedelta(days=2)
    platform = ended.with_(tables={**ended.platform.tables, "actions": Broken()})  # gaps need none of it
    assert inspect_ended_runs(platform, platform.tables) == []


def test_a_run_without_tasks_is_inspected_without_a_look_at_the_lake(ended: Any) -> None:
    inspect_ended_runs(ended.platform, ended.platform.tables)
    ended.work()
    inspect_ended_runs(ended.platform, ended.platform.tables)
    ended.backfill("AAA", start=str(START), end=str(END))  # all of it is there
    ended.work()
    (symbols,) = ended.platform.state.runs.uninspected().values()
    assert symbols == []
    assert inspect_ended_runs(ended.platform, {name: Broken() for name in ended.platform.tables}) == []
    assert ended.platform.state.runs.uninspected() == {}


def test_a_hole_of_a_whole_market_is_followed_to_its_end_by_runs_of_few_symbols(desk: Any) -> None:
    many = [f"M{n}" for n in range(8)]
    desk.clock.goes_to(END + timedelta(days=10))
    for symbol in many:
        desk.tape.trades(symbol, START, END)
        del desk.tape.shows[symbol][DAY]
    desk.work(desk.backfill(*many, start=str(START), end=str(END)))
    inspect_ended_runs(desk.platform, desk.platform.tables)
    (hole,) = desk.platform.state.findings.listed(10, status="open", rule="market_sessions_missing")
    assert (hole["subject"], hole["facts"]["missing"]) == ("XNYS", 8)
    for symbol in many:
        desk.tape.trades(symbol, DAY, DAY)
    desk.work()  # five have been asked for
    (asked,) = desk.platform.state.runs.uninspected().values()
    assert asked == many[:5]
    inspect_ended_runs(desk.platform, desk.platform.tables)
    assert desk.platform.state.findings.listed(10, status="open", rule="market_sessions_missing") == []
    desk.work()
    inspect_ended_runs(desk.platform, desk.platform.tables)
    assert desk.platform.state.findings.listed(10, status="open", rule="missing_sessions") == []
    assert desk.rows().filter(date=DAY)["symbol"].to_list() == many


def test_a_command_begins_no_look_when_its_time_is_over(ended: Any) -> None:
    inspect(ended.platform, until=time.monotonic())
    assert rules(ended) == set()
    assert len(ended.platform.state.runs.uninspected()) == 1
    inspect(ended.platform, until=time.monotonic() + 600)
    assert ended.platform.state.runs.uninspected() == {}


def test_a_command_tells_of_looks_that_have_failed(ended: Any, capsys: pytest.CaptureFixture[str]) -> None:
    inspect(ended.with_(tables={**ended.platform.tables, "bars_1m": Broken()}))
    assert "inspection failed: minutes; `quantx findings list --rule inspection_failed`" in capsys.readouterr().err


def test_a_daily_run_looks_up_a_table_once_a_pass_and_once_an_inspection(desk: Any) -> None:
    location, tables = counted_tables(desk.platform.location)
    platform = desk.with_(location=location, tables=tables)
    desk.work(desk.backfill("AAA", "BBB"), platform)
    inspect_ended_runs(platform, tables)
    desk.clock.goes_to(date(2024, 1, 16))
    plan = desk.daily("AAA", "BBB")

    location.counts.clear()
    desk.work(plan, platform)  # bars before and after the commit
    assert location.counts == {"listings": 1, "curated/bars_1d": 2, "quarantine": 1}
    location.counts.clear()
    inspect_ended_runs(platform, tables)
    assert location.counts == {"listings": 1, "curated/bars_1d": 1, "quarantine": 1, "curated/sessions": 1}
