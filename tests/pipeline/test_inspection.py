"""What is looked at by itself when runs have ended: once for each run, and again where a look has failed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from quantx.errors import LakeError
from quantx.pipeline.inspection import inspect_ended_runs
from quantx.state.protocol import Row

START, END, DAY = date(2024, 1, 2), date(2024, 3, 22), date(2024, 2, 14)


def rules(desk: Any) -> set[tuple[str, str]]:
    rows: list[Row] = desk.platform.state.findings.listed(100)
    return {(row["rule"], row["subject"]) for row in rows}


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
    assert inspect_ended_runs(ended.platform) == []
    assert {("bad_tick", "AAA"), ("missing_sessions", "BBB")} <= rules(ended)
    assert run_id not in ended.platform.state.runs.uninspected()
    assert b"<html" in ended.platform.location.get("reports/coverage/coverage.html")[:200]
    versions = ended.versions()
    inspect_ended_runs(ended.platform)
    assert ended.versions() == versions


def test_a_gap_is_asked_for_by_itself_and_its_run_is_inspected_in_turn(ended: Any) -> None:
    inspect_ended_runs(ended.platform)
    assert ended.task("BBB")["kind"] == "heal"
    ended.tape.trades("BBB", DAY, DAY)
    ended.work()
    inspect_ended_runs(ended.platform)
    (gap,) = ended.platform.state.findings.listed(10, rule="missing_sessions")
    assert gap["status"] == "resolved"
    assert ended.platform.state.runs.uninspected() == {}


def test_where_a_look_fails_the_others_go_on_and_the_run_is_looked_at_again(ended: Any) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            raise LakeError("the store is away")

    platform = ended.with_(tables={**ended.platform.tables, "bars_1m": Broken()})
    failed = inspect_ended_runs(platform)
    assert "minutes" in failed
    assert ("bad_tick", "AAA") in rules(ended)
    assert len(ended.platform.state.runs.uninspected()) == 1
    assert inspect_ended_runs(ended.platform) == []
    assert ended.platform.state.runs.uninspected() == {}


def test_nothing_is_looked_at_where_the_setting_says_so_or_the_worker_is_to_stop(ended: Any) -> None:
    settings = ended.platform.settings.model_copy(update={"inspect": False})
    inspect_ended_runs(ended.with_(settings=settings))
    inspect_ended_runs(ended.platform, stopping=lambda: True)
    assert rules(ended) == set()
    assert len(ended.platform.state.runs.uninspected()) == 1


def test_one_process_at_a_time_inspects(ended: Any) -> None:
    with ended.platform.state.exclusive("inspector"):
        assert inspect_ended_runs(ended.platform) == []
    assert rules(ended) == set()
