"""`quantx compact` and `quantx query --timeframe 1m`, and the compaction that the curator does on its own."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from quantx.cli import main
from quantx.core.table import INSTANT
from quantx.core.tables import BARS_1M
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.pipeline.curating.compaction import last_closed_month, parse_month
from quantx.sandbox import Sandbox, load_market, running
from quantx.state.postgres import open_state

from ..recorded_minutes import AAPL_MINUTES, lean


@dataclass
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    """Sessions of September and October 2024, a commit each, with a minute in the session and one after it."""
    table = LakeTable(open_location(str(tmp_path / "lake")), BARS_1M)
    for number, day in enumerate([date(2024, 9, 3), date(2024, 9, 4), date(2024, 10, 1), date(2024, 10, 2)], 1):
        opening = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
        rows = [
            {"source": "vendor", "month": day.year * 100 + day.month, "symbol": symbol, "date": day, "volume": 10}
            | {"time": opening + timedelta(hours=hours), "regular": hours == 0, "currency": "USD", "raw": "01R"}
            | dict.fromkeys(("open", "high", "low", "close"), float(number))
            | {"known_from": opening + timedelta(days=1)}
            for symbol in ("AAA", "BBB")
            for hours in (0, 8)
        ]
        table.commit(CommitContext(number), pl.DataFrame(rows, schema=dict(BARS_1M.schema)))
    return table


@pytest.fixture
def quantx(
    table: LakeTable,
    migrated_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Ran]:
    """Runs a command in this process on the lake of `table`."""
    monkeypatch.setenv("QUANTX_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("QUANTX_STATE_URL", migrated_database_url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(list(arguments))
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run


def files(table: LakeTable) -> int:
    facts = table.facts()
    assert facts is not None
    return int(facts["files"])


def test_compact_puts_all_months_in_order(quantx: Callable[..., Ran], table: LakeTable) -> None:
    before = table.read().sort(BARS_1M.key)
    ran = quantx("compact", "--json")
    assert ran.code == 0
    assert json.loads(ran.out) == {"folded": {}, "months": {"2024-09": 2, "2024-10": 2}}
    assert files(table) == 2
    assert table.read().sort(BARS_1M.key).equals(before)
    assert "nothing to compact" in quantx("compact").out


def test_compact_can_be_about_one_month(quantx: Callable[..., Ran], table: LakeTable) -> None:
    ran = quantx("compact", "--timeframe", "1m", "--month", "2024-09")
    assert (ran.code, ran.out) == (0, "minute bars of 2024-09: 2 files compacted\n")
    assert files(table) == 3
    assert "nothing to compact" in quantx("compact", "--timeframe", "1d").out
    assert files(table) == 3


def test_compact_waits_for_no_curator(quantx: Callable[..., Ran], migrated_database_url: str, table: LakeTable) -> None:
    state = open_state(migrated_database_url)
    try:
        with state.exclusive("curator") as mine:
            assert mine is not None
            ran = quantx("compact")
    finally:
        state.close()
    assert (ran.code, "try again" in ran.err, files(table)) == (1, True, 4)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--month", "October"),
        ("--month", "2024-13"),
        ("--timeframe", "5m"),
        ("--timeframe", "1d", "--month", "2024-10"),
    ],
)
def test_what_compact_does_not_understand_is_refused(quantx: Callable[..., Ran], arguments: tuple[str, ...]) -> None:
    ran = quantx("compact", *arguments)
    assert (ran.code, ran.err.startswith("error:")) == (2, True)


def test_validate_checks_sessions_of_minutes_from_any_day_on(quantx: Callable[..., Ran]) -> None:
    checked = json.loads(quantx("validate", "run", "--timeframe", "1m", "--since", "2024-09-04", "--json").out)
    assert (checked["bars"], checked["symbols"], checked["new"]) == (12, 2, 4)
    assert {(f["rule"], f["symbol"], f["first_day"]) for f in checked["findings"]} == {
        (rule, symbol, day)
        for symbol in ("AAA", "BBB")
        for rule, day in (("minutes_complete", None), ("opening_near_close_before", "2024-10-02"))
    }
    assert "0 bars of 0 symbols" in quantx("validate", "run", "--timeframe", "1m").out  # of the last week
    only = ("validate", "run", "--timeframe", "1m", "--since", "2024-09-01", "--symbols", "BBB")
    assert "8 bars of 1 symbol" in quantx(*only).out
    refused = quantx("validate", "run", "--since", "2024-09-01")
    assert (refused.code, "add --timeframe 1m" in refused.err) == (2, True)


def test_query_reads_minutes(quantx: Callable[..., Ran]) -> None:
    asked = ("query", "--symbols", "AAA", "--start", "2024-10-01", "--timeframe", "1m", "--format", "csv")
    regular, every = quantx(*asked), quantx(*asked, "--extended")
    assert regular.out.splitlines()[0].startswith("symbol,time,date,open,")
    assert [line.split(",")[1] for line in regular.out.splitlines()[1:]] == [
        "2024-10-01T13:30:00.000000Z",
        "2024-10-02T13:30:00.000000Z",
    ]
    assert len(every.out.splitlines()) == 5
    assert quantx("query", "--symbols", "AAA", "--timeframe", "5m").code == 2


def test_recorded_minutes_come_through_the_whole_pipeline_and_a_closed_month_is_put_in_order(
    quantx: Callable[..., Ran], table: LakeTable, market_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [date(2014, 6, n) for n in (16, 17, 18, 19, 20)]
    for number, day in enumerate(days, 5):
        opening = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
        moved = table.read(pl.col("time") == pl.col("time").min())[:1].with_columns(
            pl.lit("alpaca").alias("source"),
            pl.lit(201406, pl.Int32).alias("month"),
            pl.lit("AAPL").alias("symbol"),
            pl.lit(day).alias("date"),
            pl.lit(opening).cast(INSTANT).alias("time"),
        )
        table.commit(CommitContext(number), moved)
    shutil.copytree(market_data / "minute_us_lean" / "aapl", tmp_path / "recorded" / "aapl")
    asked = ("backfill", "--symbols", "AAPL", "--source", "alpaca", "--timeframe", "1m")
    with running(Sandbox(load_market(tmp_path / "recorded"), now="2016-12-30")) as url:
        for name, value in (("BASE_URL", url), ("API_KEY", "any"), ("API_SECRET", "any"), ("QUOTA", "unlimited")):
            monkeypatch.setenv(f"QUANTX_ALPACA_{name}", value)
        ran = quantx(*asked, "--start", "2014-06-05", "--end", "2014-06-09", "--json")
        again = quantx(*asked, "--start", "2014-06-05", "--end", "2014-06-09", "--json", "--again")
    assert (ran.code, json.loads(ran.out)["rows_new"], json.loads(ran.out)["rows_rejected"]) == (
        0,
        sum(AAPL_MINUTES.values()),
        0,
    )
    assert (json.loads(again.out)["rows_new"], json.loads(again.out)["rows_changed"]) == (0, 0)
    recorded = lean(market_data, "AAPL", AAPL_MINUTES)
    stored = table.read((pl.col("month") == 201406) & (pl.col("date") < days[0])).sort("time")
    assert stored.select("time", "open", "high", "low", "close").rows() == [b[:5] for b in recorded]
    delta = table.refresh()
    assert delta is not None
    months = Counter(uri.split("/month=")[1][:6] for uri in delta.file_uris())
    assert months == {"201406": 1, "202409": 2, "202410": 2}  # two sessions are not worth it


def test_minutes_are_derived_again_from_raw(
    quantx: Callable[..., Ran], table: LakeTable, market_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(market_data / "minute_us_lean" / "goog", tmp_path / "recorded" / "goog")
    with running(Sandbox(load_market(tmp_path / "recorded"), now="2016-12-30")) as url:
        for name, value in (("BASE_URL", url), ("API_KEY", "any"), ("API_SECRET", "any"), ("QUOTA", "unlimited")):
            monkeypatch.setenv(f"QUANTX_ALPACA_{name}", value)
        asked = ("backfill", "--symbols", "GOOG", "--source", "alpaca", "--timeframe", "1m")
        assert quantx(*asked, "--start", "2015-12-23", "--end", "2015-12-28").code == 0
    before = table.read(pl.col("symbol") == "GOOG").sort("time")
    assert before.height > 700
    done = json.loads(quantx("reprocess", "--source", "alpaca", "--json").out)
    assert (done["symbols"], done["commits"]) == (1, 0)
    few, many = before[100:103], before[:10]
    context = CommitContext(table.committed_round() + 1)
    table.commit(context, BARS_1M.empty(), few.with_columns(pl.col("close") + 1), many)
    done = json.loads(quantx("reprocess", "--json").out)
    assert done["tables"]["bars_1m"] == {"new": 10, "changed": 3, "gone": 0}
    assert table.read(pl.col("symbol") == "GOOG").sort("time").equals(before)
    assert table.read(pl.col("symbol") == "AAA").height == 8  # of a vendor whose replies are not there


@pytest.mark.parametrize(
    ("now", "month"),
    [
        ("2024-10-31", 202409),
        ("2024-11-05", 202409),
        ("2024-11-06", 202410),
        ("2025-01-05", 202411),
        ("2025-01-06", 202412),
        ("2024-03-06", 202402),
    ],
)
def test_a_month_has_closed_when_vendors_are_late_no_more(now: str, month: int) -> None:
    assert last_closed_month(datetime.fromisoformat(now).replace(hour=12, tzinfo=UTC)) == month


def test_a_month_is_written_as_in_tables() -> None:
    assert parse_month("2024-10") == 202410
