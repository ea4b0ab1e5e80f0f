"""A row that is there twice is kept once, with a finding: in the lake as in a file."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from quantx.core.model import Window
from quantx.core.quality.row_policy import RowPolicy
from quantx.pipeline.curating.normalize_minutes import normalize_minutes
from quantx.pipeline.inspecting.local_files import judge_files
from quantx.pipeline.planning.plan import Scope, plan_backfill

from ...recorded_minutes import facts_of, vendor_frame

DAYS = ("2024-01-08", "2024-01-09", "2024-01-09", "2024-01-10")


def rows() -> list[list[Any]]:
    return [[day, 100.0, 110.0, 99.0, 100.0 + int(day[-1]), 1000.0] for day in DAYS]


def fetch(desk: Any, bars: list[list[Any]]) -> None:
    desk.tape.answers["AAA"] = [json.dumps({"bars": bars, "actions": []}).encode()]
    window = Window(date(2024, 1, 8), date(2024, 1, 10))
    desk.work(plan_backfill(desk.platform, Scope(("AAA",)), window, source="tape", again=True))


def test_in_the_lake_it_is_a_finding_until_the_vendor_sends_it_once(desk: Any) -> None:
    fetch(desk, rows())
    assert desk.rows().select("date").rows() == [(date(2024, 1, day),) for day in (8, 9, 10)]
    assert desk.rows("quarantine").is_empty()
    (finding,) = desk.platform.state.findings.open("row_repeated")
    assert (finding.severity, finding.subject, finding.first_day) == ("warn", "AAA", date(2024, 1, 9))
    assert "tape's reply has a row of AAA twice (2024-01-09)" in finding.message
    fetch(desk, rows()[1:])
    assert len(desk.platform.state.findings.open("row_repeated")) == 1
    fetch(desk, rows()[2:])
    assert desk.platform.state.findings.open("row_repeated") == []


def test_in_a_file_it_is_the_same_finding_and_no_rejected_row(tmp_path: Path) -> None:
    lines = [",".join([day, *map(str, values[:4]), str(values[3]), str(values[4])]) for day, *values in rows()]
    path = tmp_path / "AAA.csv"
    path.write_text("\n".join(["Date,Open,High,Low,Close,Adj Close,Volume", *lines]))
    (judged,) = judge_files([path])
    assert judged.report is not None
    assert (judged.report.rows, judged.report.rejected.height) == (3, 0)
    found = [(f.rule, f.severity, f.first_day) for f in judged.findings if f.severity != "info"]
    assert found == [("row_repeated", "warn", date(2024, 1, 9))]


def test_minutes_that_are_there_twice_are_counted_by_session() -> None:
    at = datetime(2024, 1, 9, 15, tzinfo=UTC)
    bars = [(at + timedelta(minutes=m), 1.0, 2.0, 0.5, 1.5, 10.0) for m in (0, 1, 1, 2, 2, 2)]
    read = normalize_minutes("tape", vendor_frame("AAPL", bars), facts_of("AAPL"), RowPolicy())
    assert (read.bars.height, read.rejected.height) == (3, 0)
    assert read.repeated.group_by("symbol", "date").agg(pl.col("copies").sum()).rows() == [
        ("AAPL", date(2024, 1, 9), 3)
    ]
