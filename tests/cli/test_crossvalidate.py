"""The comparison of vendors from the command line: three vendors, one of them wrong on three days."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.cli import main
from quantx.sandbox import Market, Sandbox, running

from ..databases import Databases
from .conftest import Ran, runs_with

WRONG_DAYS = ("2016-03-08", "2016-05-17", "2016-11-01")
SESSIONS = 252  # of New York, 2016


def _close(market: Market, day: str) -> float:
    history = market.histories["AAA"]
    at = history.days.tolist().index((date.fromisoformat(day) - date(1970, 1, 1)).days)
    return float(history.columns["close"][at])


@pytest.fixture(scope="module")
def vendors(
    market: Market, vendor: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """An installation with 2016 of AAA from Yahoo, Alpaca (whose close is 0.5 % off on three days) and FMP."""
    folder = tmp_path_factory.mktemp("vendors")
    off = [f"AAA:{day}:close:{_close(market, day) * 1.005}" for day in WRONG_DAYS]
    with databases.migrated() as state, running(Sandbox(market, now="2016-12-30", revisions=off)) as other:
        settings = {
            "QUANTX_LAKE_URL": str(folder / "lake"),
            "QUANTX_STATE_URL": state,
            "QUANTX_YFINANCE_BASE_URL": vendor,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
            "QUANTX_ALPACA_BASE_URL": other,
            "QUANTX_ALPACA_QUOTA": "unlimited",
            "QUANTX_ALPACA_API_KEY": "id",
            "QUANTX_ALPACA_API_SECRET": "secret",
            "QUANTX_FMP_BASE_URL": vendor,
            "QUANTX_FMP_QUOTA": "unlimited",
            "QUANTX_FMP_API_KEY": "key",
            "QUANTX_SOURCES": '{"1d": {"any": ["alpaca", "yahoo"]}}',
            "QUANTX_LEASE_SECONDS": "2",
            "QUANTX_INSPECT": "false",
            "QUANTX_UNIVERSE_PATH": str(folder / "universes.yaml"),
        }
        with pytest.MonkeyPatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            for source in ("alpaca", "yahoo"):
                assert main([*BACKFILL, "--source", source]) == 0
        yield settings


BACKFILL = ("backfill", "--start", "2016-01-01", "--end", "2016-12-30", "--symbols", "AAA")


@pytest.fixture
def quantx(
    vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Ran]:
    monkeypatch.chdir(tmp_path)
    return runs_with(vendors, monkeypatch, capsys)


def test_two_vendors_then_a_third(quantx: Callable[..., Ran]) -> None:
    (row,) = json.loads(quantx("crossvalidate", "compare", "--symbols", "AAA", "--json").out)
    assert (row["source_a"], row["source_b"], row["sessions"]) == ("alpaca", "yahoo", SESSIONS)
    assert [day["date"] for day in row["days"]] == list(WRONG_DAYS)
    assert {(day["rule"], day["field"], day["wrong"]) for day in row["days"]} == {("vendors_disagree", "close", None)}
    assert row["close"] == pytest.approx(1 - 3 / SESSIONS)
    assert row["worst"] == pytest.approx(0.005, rel=0.01)
    assert row["verdict"] == "doubtful"
    shown = quantx("crossvalidate", "compare", "--symbols", "AAA", "--sources", "yahoo,alpaca").out
    assert all(day in shown for day in WRONG_DAYS)

    done = json.loads(quantx("crossvalidate", "reconcile", "--json").out)
    assert done == {
        "symbols": 1,
        "sessions": SESSIONS,
        "agreed": SESSIONS - 3,
        "wrong": 0,
        "doubtful": 6,
        "events": 0,
        "findings": 1,
    }
    (finding,) = json.loads(quantx("findings", "list", "--status", "open", "--json").out)
    assert (finding["rule"], finding["severity"], finding["source"]) == ("vendors_disagree", "warn", "")
    assert all(day in finding["message"] for day in WRONG_DAYS)
    assert {source for _, source, _ in _best(quantx)} == {"alpaca"}  # without a decision the first vendor stays

    assert quantx(*BACKFILL, "--source", "fmp").code == 0
    done = json.loads(quantx("crossvalidate", "reconcile", "--json").out)
    assert done == {
        "symbols": 1,
        "sessions": 3 * SESSIONS,
        "agreed": 3 * SESSIONS - 6,
        "wrong": 3,
        "doubtful": 0,
        "events": 0,
        "findings": 1,
    }
    (finding,) = json.loads(quantx("findings", "list", "--status", "open", "--json").out)
    assert (finding["source"], finding["facts"]["decided_by"]) == (
        "alpaca",
        ["yahoo"],
    )  # against FMP; beside Yahoo it is FMP that decides
    best = _best(quantx)
    assert [day for day, source, _ in best if source != "alpaca"] == list(WRONG_DAYS)
    assert {source for _, source, _ in best} == {"alpaca", "yahoo"}
    assert [row["adj_close"] for row in _rows(quantx, "--source", "best")] == pytest.approx(
        [row["adj_close"] for row in _rows(quantx, "--source", "yahoo")], rel=1e-6
    )

    matrix = {(r["source_a"], r["source_b"]): r for r in json.loads(quantx("crossvalidate", "matrix", "--json").out)}
    assert matrix["fmp", "yahoo"]["agreement"] == 1
    assert matrix["alpaca", "yahoo"]["wrong_a"] == matrix["alpaca", "fmp"]["wrong_a"] == 3
    shown = [line.split() for line in quantx("crossvalidate", "matrix").out.splitlines() if line.startswith("│ fmp")]
    assert shown == [["│", "fmp", "│", "0.9881", "│", "–", "│", "1", "│"]]
    scores = json.loads(quantx("crossvalidate", "matrix", "--by-month", "--json").out)
    assert {(s["source"], s["month"]) for s in scores if s["score"] < 1} == {
        ("alpaca", int(day[:4] + day[5:7])) for day in WRONG_DAYS
    }


def _rows(quantx: Callable[..., Ran], *more: str) -> list[dict[str, Any]]:
    ran = quantx("query", "--symbols", "AAA", "--format", "csv", *more)
    assert ran.code == 0
    return pl.read_csv(io.StringIO(ran.out)).to_dicts()


def _best(quantx: Callable[..., Ran]) -> list[tuple[str, str, float]]:
    return [(row["date"], row["source"], row["close"]) for row in _rows(quantx, "--source", "best")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["compare", "--symbols", "AAA", "--sources", "yahoo,bloomberg"], "'bloomberg'"),
        (["compare", "--symbols", "AAA", "--sources", "yahoo"], "two vendors"),
        (["compare", "--symbols", "BBB"], "quantx backfill"),
        (["compare", "--symbols", "AAA", "--start", "2017-01-01"], "no session of AAA"),
        (["compare", "--symbols", "AAA", "--start", "2016-03-01", "--end", "2016-02-01"], "is after"),
        (["compare", "--symbols", "AA A"], "is not a symbol"),
        (["matrix", "--symbols", "BBB"], "crossvalidate reconcile"),
        (["matrix", "--universe", "nothing"], "refresh-universe"),
        (["reconcile", "--since", "yesterday"], "is not a date"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_names_the_next_step(quantx: Callable[..., Ran], arguments: list[str], says: str) -> None:
    ran = quantx("crossvalidate", *arguments)
    assert ran.code == 2
    assert says in ran.err
