"""`quantx tasks heal` over a vendor on HTTP, a real PostgreSQL and a real lake: a session that the vendor lacks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from tests.cli.conftest import Ran

from quantx.cli import data, main
from quantx.core.calendars import calendar
from quantx.sandbox import Market, Sandbox, running
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import PriceHistory, history

HOLE = date(2016, 6, 15)
Run = Callable[..., Ran]


def traded(symbol: str, *, without: date | None = None) -> PriceHistory:
    sessions = calendar("XNYS").sessions(date(2016, 1, 4), date(2016, 12, 30))
    days = np.array([day_number(d) for d in sessions if d != without], dtype=np.int64)
    close = 50.0 + np.arange(len(days)) / 8
    columns = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.full(len(days), 1e6)}
    return history(symbol, days, columns)


@pytest.fixture
def vendor() -> Iterator[str]:
    known = {h.symbol: h for h in (traded("AAA", without=HOLE), traded("BBB"))}
    with running(Sandbox(Market("files", known), now="2016-12-30")) as url:
        yield url


@pytest.fixture
def quantx(
    vendor: str,
    migrated_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command on an installation of its own, which has the year 2016."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "QUANTX_LAKE_URL": str(tmp_path / "lake"),
        "QUANTX_STATE_URL": migrated_database_url,
        "QUANTX_YFINANCE_BASE_URL": vendor,
        "QUANTX_YFINANCE_QUOTA": "unlimited",
        "QUANTX_UNIVERSE_PATH": str(tmp_path / "universes.yaml"),
        "QUANTX_INSPECT": "false",
    }.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    assert run("backfill", "--start", "2016-01-01", "--end", "2016-12-30", "--symbols", "AAA,BBB").code == 0
    return run


def test_a_gap_is_listed_retried_and_counted(quantx: Run) -> None:
    looked = json.loads(quantx("tasks", "heal", "--dry-run", "--json").out)
    ((gap,), (due,)) = looked["gaps"], looked["due"]
    assert (gap["symbol"], gap["first"], gap["last"], gap["status"], gap["asked"]) == (
        "AAA",
        "2016-06-15",
        "2016-06-15",
        "open",
        0,
    )
    assert (due["source"], due["symbol"], due["first"], due["last"]) == ("yahoo", "AAA", "2016-06-15", "2016-06-15")
    assert (looked["run_id"], looked["tasks"]) == (None, 0)
    assert json.loads(quantx("status", "--json").out)["gaps"] == {"open": 0, "explained": 0}

    assert "1 task enqueued; `quantx work` processes them" in quantx("tasks", "heal").out
    assert json.loads(quantx("status", "--json").out)["gaps"] == {"open": 1, "explained": 0}
    assert quantx("work", "--until-empty").code == 0
    healed = json.loads(quantx("tasks", "heal", "--json").out)
    assert [(g["asked"], g["due_at"] is not None) for g in healed["gaps"]] == [(1, True)]
    assert (healed["run_id"], healed["tasks"], healed["due"]) == (None, 0, [])
    (finding,) = json.loads(quantx("findings", "list", "--rule", "missing_sessions", "--json").out)
    assert (finding["subject"], finding["status"], finding["facts"]["sessions"]) == ("AAA", "open", 1)
    series = json.loads(quantx("show-manifest", "--json").out)["series"]
    assert {s["symbol"]: s["gaps_open"] for s in series if s["dataset"] == "bars"} == {"AAA": 1, "BBB": 0}


def test_the_table_reports_that_nothing_is_missing(quantx: Run) -> None:
    ran = quantx("tasks", "heal", "--symbols", "bbb")
    assert (ran.code, ran.out) == (0, "missing sessions: none\nno gaps due for retry\n")


def test_a_symbol_that_is_none_is_refused(quantx: Run) -> None:
    assert quantx("tasks", "heal", "--symbols", "not a symbol").code == 2


def test_gaps_are_looked_for_after_the_work_by_the_sweep_too(quantx: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_INSPECT", "true")
    assert quantx("sweep").code == 0
    assert json.loads(quantx("status", "--json").out)["gaps"] == {"open": 1, "explained": 0}


def test_a_worker_whose_time_is_over_leaves_the_look_at_the_data_to_the_next(
    quantx: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTX_INSPECT", "true")
    with monkeypatch.context() as late:
        late.setattr(data, "_INSPECTING", 0.0)
        assert quantx("work", "--until-empty", "--time-budget", "60").code == 0
    assert json.loads(quantx("status", "--json").out)["gaps"] == {"open": 0, "explained": 0}
    assert quantx("work", "--until-empty", "--time-budget", "60").code == 0
    assert json.loads(quantx("status", "--json").out)["gaps"] == {"open": 1, "explained": 0}
