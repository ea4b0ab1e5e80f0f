"""`open_lake()` and its frames: what users rely on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quantx
from quantx.core.tables import BARS_1D, TABLES
from quantx.errors import ConfigError, IncompleteData, InvalidSymbol, NotInLake
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.reader import Lake
from quantx.settings import load_settings

Closes = Callable[..., list[float]]
AS_TRADED = [100.0, 101.0, 102.0, 51.5, 52.0]
D = {
    name: date.fromisoformat(f"20{name.replace('_', '-')}")
    for name in ("23_12_28", "23_12_29", "24_01_02", "24_01_03", "24_01_04")
}
PAID = 1 - 5 / 101


# --------------------------------------------------------------------------------------------------------------- frames


def test_columns_and_types_are_a_promise(lake: Lake) -> None:
    instant = pl.Datetime("us", "UTC")
    assert dict(lake.bars("AAA").schema) == {
        "symbol": pl.String,
        "date": pl.Date,
        "open": pl.Float64,
        "high": pl.Float64,
        "low": pl.Float64,
        "close": pl.Float64,
        "volume": pl.Int64,
        "adj_close": pl.Float64,
        "source": pl.String,
        "known_from": instant,
    }
    for how in ("split", "total"):
        assert lake.bars("AAA", adjust=how).schema == lake.bars("AAA").schema
    with pytest.warns(IncompleteData):
        assert lake.bars("CCC").schema == lake.bars("AAA").schema
    with pytest.warns(IncompleteData):
        assert lake.bars("AAA", as_of="1999-01-01").schema == lake.bars("AAA").schema
    assert lake.actions("AAA").columns == [
        "symbol",
        "ex_date",
        "kind",
        "value",
        "reference_close",
        "currency",
        "source",
        "known_from",
    ]
    assert lake.universe("us").columns == ["symbol", "market", "name", "member_from", "member_to"]
    assert lake.revisions("AAA").columns[-2:] == ["known_from", "known_to"]


def test_rows_are_sorted_by_symbol_and_date(lake: Lake) -> None:
    bars = lake.bars(["BRK.B", "AAA", "BBB", "0700.HK"])
    assert bars.equals(bars.sort("symbol", "date"))
    assert bars["symbol"].unique(maintain_order=True).to_list() == ["0700.HK", "AAA", "BBB", "BRK.B"]


def test_a_symbol_may_be_a_text_or_a_list_in_any_case(lake: Lake) -> None:
    assert lake.bars("aaa").equals(lake.bars(["AAA", " aaa ", "AAA"]))


def test_the_forms_of_a_code_of_hong_kong_are_one_series(lake: Lake) -> None:
    assert lake.bars(["00700.HK", "700.hk"]).equals(lake.bars("0700.HK"))
    assert lake.bars("00700.HK").height == 1
    assert lake.bars(("AAA",)).height == 5
    assert lake.bars([]).is_empty()


def test_columns_are_those_that_were_asked_for_in_that_order(lake: Lake) -> None:
    assert lake.bars("AAA", columns=["close", "raw", "currency", "date"]).columns == [
        "close",
        "raw",
        "currency",
        "date",
    ]
    assert lake.bars("AAA", columns=["adj_close"], adjust="none").columns == ["adj_close"]
    with pytest.raises(ConfigError, match="'price'"):
        lake.bars("AAA", columns=["price"])


def test_frames_become_pandas_and_arrow(lake: Lake) -> None:
    frame = lake.bars("AAA").to_pandas()
    assert list(frame["close"]) == AS_TRADED
    assert str(frame["volume"].dtype) == "int64"
    assert lake.bars("AAA").to_arrow().num_rows == 5


def test_no_private_column_leaks(lake: Lake) -> None:
    for frame in (lake.bars("AAA", adjust="total"), lake.actions("AAA"), lake.panel("close", symbols="AAA")):
        assert not [c for c in frame.columns if c.startswith("_")]


# ---------------------------------------------------------------------------------------------------------------- dates


@pytest.mark.parametrize(
    "day",
    [
        "2024-01-02",
        D["24_01_02"],
        datetime(2024, 1, 2),  # noqa: DTZ001 — a time without a zone is what users write
        datetime(2024, 1, 2, 15, tzinfo=UTC),
        "2024-01-02T15:30:00",
        "2024-01-02T15:30:00Z",
    ],
    ids=str,
)
def test_days_in_all_forms_and_both_ends_inclusive(day: Any, closes: Closes) -> None:
    assert closes(start=day) == AS_TRADED[2:]
    assert closes(end=day) == AS_TRADED[:3]
    assert closes(day, day) == [102.0]


@pytest.mark.parametrize(
    "day", ["2024-13-01", "yesterday", "", 20240102, 3.5, object()], ids=lambda day: repr(day).partition(" at ")[0]
)
def test_what_is_no_day_is_refused(day: Any, lake: Lake) -> None:
    with pytest.raises(ConfigError):
        lake.bars("AAA", start=day)
    with pytest.raises(ConfigError):
        lake.bars("AAA", as_of=day)


def test_a_start_after_the_end_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="lies after"):
        lake.bars("AAA", "2024-01-03", "2024-01-02")


# --------------------------------------------------------------------------------------------------------- adjustments


def test_as_traded_is_the_default(closes: Closes) -> None:
    assert closes() == closes(adjust="none") == AS_TRADED


def test_splits(lake: Lake, closes: Closes) -> None:
    assert closes(adjust="split") == [50.0, 50.5, 51.0, 51.5, 52.0]
    assert lake.bars("AAA", adjust="split")["volume"].to_list() == [2000, 2000, 2000, 1000, 1000]


def test_total(lake: Lake, closes: Closes) -> None:
    expected = [round(x, 9) for x in (50 * PAID, 50.5 * PAID, 51.0, 51.5, 52.0)]
    assert closes(adjust="total") == expected
    for how in ("none", "split", "total"):
        assert [round(x, 9) for x in lake.bars("AAA", adjust=how)["adj_close"]] == expected
    bars = lake.bars("AAA", adjust="total")
    assert bars["high"][0] == pytest.approx(101 / 2 * PAID)


def test_an_adjusted_window_knows_the_actions_after_it(closes: Closes) -> None:
    assert closes(end="2023-12-29", adjust="split") == [50.0, 50.5]


def test_base_adjusts_to_a_day(closes: Closes) -> None:
    assert closes(adjust="split", base="2024-01-02") == AS_TRADED
    assert closes(adjust="total", base="2024-01-02") == [
        round(x, 9) for x in (100 * PAID, 101 * PAID, 102.0, 51.5, 52.0)
    ]
    assert closes(adjust="split", base="2024-01-03") == closes(adjust="split")


@pytest.mark.parametrize("wrong", ["all", "", None, "TOTAL"])
def test_an_adjustment_that_does_not_exist_is_refused(wrong: Any, lake: Lake) -> None:
    with pytest.raises(ConfigError, match="none, split, total"):
        lake.bars("AAA", adjust=wrong)


# ------------------------------------------------------------------------------------------------------ what was known

T2 = datetime(2024, 1, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "believed"),
    [
        ("2024-01-09", []),
        ("2024-01-10T21:59:59.999999", []),
        ("2024-01-10T22:00:00Z", [100.0, 101.0, 98.0, 51.5, 52.0]),
        ("2024-01-10", [100.0, 101.0, 98.0, 51.5, 52.0]),  # a day means its end
        (T2 - timedelta(microseconds=1), [100.0, 101.0, 98.0, 51.5, 52.0]),
        (T2, AS_TRADED),
        (datetime(2024, 1, 12, 7, tzinfo=timezone(timedelta(hours=9))), AS_TRADED),
        (datetime(2024, 1, 12, 6, 59, tzinfo=timezone(timedelta(hours=9))), [100.0, 101.0, 98.0, 51.5, 52.0]),
        ("2030-01-01", AS_TRADED),
    ],
    ids=str,
)
def test_as_of_gives_what_was_known(moment: Any, believed: list[float], closes: Closes) -> None:
    with nullcontext() if believed else pytest.warns(IncompleteData, match="known since 2024-01-10 22:00 UTC"):
        assert closes(as_of=moment) == believed


def test_as_of_holds_for_actions_too(lake: Lake, closes: Closes) -> None:
    before = T2 - timedelta(seconds=1)
    assert closes(as_of=before, adjust="total") == [50.0, 50.5, 49.0, 51.5, 52.0]
    assert lake.actions("AAA", as_of=before)["kind"].to_list() == ["split"]
    assert lake.actions("AAA")["kind"].to_list() == ["dividend", "split"]


def test_a_day_of_the_past_adjusts_with_the_actions_of_that_day_alone(closes: Closes) -> None:
    """By the moment (the dividend was not known before T2), by the base (the split came on the 3rd), and by both."""
    before = T2 - timedelta(seconds=1)
    assert closes(as_of=before, base="2024-01-02", adjust="total") == [100.0, 101.0, 98.0, 51.5, 52.0]
    paid = 1 - 5 / 101
    assert closes(as_of=T2, base="2024-01-02", adjust="total") == pytest.approx([100 * paid, 101 * paid, 102, 51.5, 52])
    assert closes(as_of=T2, base="2024-01-01", adjust="total") == AS_TRADED


def test_revisions_tell_what_was_replaced(lake: Lake) -> None:
    revised = lake.revisions()
    assert revised.select("symbol", "date", "close", "known_to").rows() == [("AAA", D["24_01_02"], 98.0, T2)]
    assert lake.revisions("BBB").is_empty()
    assert lake.revisions("AAA", source="alpaca").is_empty()


# -------------------------------------------------------------------------------------------------------------- sources


def test_of_two_sources_one_row_per_session_is_shown(lake: Lake) -> None:
    shown = lake.bars("BBB")
    assert list(zip(shown["source"], shown["close"], strict=True)) == [
        ("yahoo", 10.0),
        ("yahoo", 11.0),
        ("alpaca", 12.5),
    ]
    assert lake.bars("BBB", source="alpaca")["close"].to_list() == [10.5, 11.5, 12.5]
    with pytest.raises(NotInLake, match=r"no daily bars of the source 'yaho' \(did you mean yahoo\?\).* alpaca, yahoo"):
        lake.bars("BBB", source="yaho")


def test_each_market_has_an_order_of_vendors_of_its_own(tmp_path: Path) -> None:
    folder, tables = str(tmp_path), open_tables(open_location(str(tmp_path)), TABLES)
    both = [
        (source, 2024, symbol, D["24_01_02"], close, close, close, close, 1, "USD", "raw1", T2)
        for symbol in ("AAA", "0700.HK")
        for source, close in (("fmp", 1.0), ("yahoo", 2.0), ("another", 3.0))
    ]
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame(both, schema=dict(BARS_1D.schema), orient="row"))
    settings = load_settings(lake_url=folder, sources={"1d": {"us": ("yahoo", "fmp"), "hk": ("fmp", "yahoo")}})
    bars = Lake(open_location(folder), settings.sources_of).bars(["AAA", "0700.HK"])
    assert dict(zip(bars["symbol"], bars["source"], strict=True)) == {"AAA": "yahoo", "0700.HK": "fmp"}
    nobody = Lake(open_location(folder)).bars(["AAA", "0700.HK"])
    assert nobody["source"].to_list() == ["another", "another"]  # by name


# ------------------------------------------------------------------------------------------------- panel and universe


def test_a_panel_has_a_row_per_session_and_a_column_per_symbol(lake: Lake) -> None:
    panel = lake.panel("close", symbols=["BBB", "AAA"], start="2024-01-01")
    assert panel.columns == ["date", "AAA", "BBB"]
    assert panel.rows() == [
        (D["24_01_02"], 102.0, 10.0),
        (D["24_01_03"], 51.5, 11.0),
        (D["24_01_04"], 52.0, 12.5),
    ]
    with pytest.warns(IncompleteData, match="BBB"):
        early = lake.panel("close", symbols=["AAA", "BBB"], end="2023-12-31")
    assert (early["AAA"].to_list(), early["BBB"].to_list()) == ([100.0, 101.0], [None, None])
    assert lake.panel("volume", symbols="AAA", adjust="split")["AAA"].to_list() == [2000, 2000, 2000, 1000, 1000]


def test_a_panel_of_a_universe_has_all_that_were_members(lake: Lake) -> None:
    assert lake.panel(universe="us", start="2024-01-01").columns == ["date", "AAA", "BBB"]
    with pytest.raises(ConfigError, match="either a universe or symbols"):
        lake.panel("close")
    with pytest.raises(ConfigError, match="either a universe or symbols"):
        lake.panel("close", universe="us", symbols="AAA")
    with pytest.raises(ConfigError, match="'price'"):
        lake.panel("price", symbols="AAA")


def test_members_of_a_universe_on_a_day(lake: Lake) -> None:
    assert lake.universe("us")["symbol"].to_list() == ["AAA", "BBB"]
    assert lake.universe("us", on="2023-12-29")["symbol"].to_list() == ["AAA", "CCC"]
    assert lake.universe("us", on="2024-01-02")["symbol"].to_list() == ["AAA"]
    with pytest.raises(ConfigError, match="it has us"):
        lake.universe("eu")


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "symbol", ["../../x", "'; drop table bars", "", "A" * 300, "AA\0PL", "АAPL", None, 7], ids=repr
)
def test_what_can_be_no_symbol_is_refused(symbol: Any, lake: Lake) -> None:
    for ask in (lake.bars, lake.actions, lake.revisions):
        with pytest.raises((InvalidSymbol, ConfigError)):
            ask([symbol])
        if symbol is not None:  # revisions of None are those of all symbols
            with pytest.raises((InvalidSymbol, ConfigError)):
                ask(symbol)


def test_a_timeframe_that_is_not_there_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="1d"):
        lake.bars("AAA", timeframe="5m")


def test_a_lake_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no lake"):
        quantx.open_lake(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_the_environment_names_the_lake(lake_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_LAKE_URL", lake_folder.as_uri())
    assert quantx.open_lake().bars("AAA").height == 5


def test_a_lake_that_is_open_sees_what_is_committed_later(tmp_path: Path, lake: Lake) -> None:
    (tmp_path / "meta").mkdir()
    reader = quantx.open_lake(str(tmp_path))
    with pytest.warns(IncompleteData, match="has no table bars_1d yet"):
        assert reader.bars("AAA").is_empty()
    writer = LakeTable(open_location(str(tmp_path)), BARS_1D)
    rows = lake.bars(
        "AAA",
        columns=["symbol", "date", "open", "high", "low", "close", "volume", "source", "known_from", "currency", "raw"],
    )
    rows = rows.with_columns(pl.col("date").dt.year().alias("year")).select(list(BARS_1D.schema))
    writer.commit(CommitContext(1), rows.head(2))
    assert reader.bars("AAA").height == 2
    writer.commit(CommitContext(2), rows.tail(3))
    assert reader.bars("AAA").height == 5


def test_reading_loads_neither_a_database_nor_a_vendor(lake_folder: Path) -> None:
    script = f"""
import sys, quantx
assert "polars" not in sys.modules
lake = quantx.open_lake({str(lake_folder)!r})
assert lake.bars("AAA", adjust="total").height == 5
for name in ("psycopg", "psycopg_pool", "yfinance", "curl_cffi", "azure", "pandas", "exchange_calendars", "uvicorn"):
    assert name not in sys.modules, name
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUANTX_")}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# ------------------------------------------------------------------------------------------------------------- coverage


def test_coverage_counts_the_sessions_that_are_there(lake: Lake) -> None:
    found = lake.coverage(until="2024-01-04")
    assert dict(found.schema) == {
        "universe": pl.String,
        "market": pl.String,
        "month": pl.Int32,
        "expected": pl.Int64,
        "present": pl.Int64,
        "share": pl.Float64,
    }
    assert found.rows() == [
        # AAA has all sessions from its first bar on; BBB joined on the 3rd and has two; CCC has no bar
        ("us", "us", 202312, 2, 2, 1.0),
        ("us", "us", 202401, 5, 5, 1.0),
        # in no universe: 0700.HK and BRK.B, each with one of three sessions
        (None, "hk", 202401, 3, 1, 1 / 3),
        (None, "us", 202401, 3, 1, 1 / 3),
    ]
    assert lake.coverage("us", until="2024-01-04").rows() == found.rows()[:2]


def test_coverage_by_symbol_says_where_sessions_are_missing(lake: Lake) -> None:
    found = lake.coverage("us", by="symbol", until="2024-01-05")
    assert found.select("symbol", "expected", "present", "lacks_from").rows() == [
        ("AAA", 6, 5, 202401),
        ("BBB", 3, 2, 202401),
    ]


def test_coverage_expects_sessions_up_to_now(lake: Lake) -> None:
    assert lake.coverage("us")["month"].max() > 202401


def test_coverage_refuses_what_can_not_be(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="no universe 'eu'"):
        lake.coverage("eu")
    with pytest.raises(ConfigError, match="must be month or symbol"):
        lake.coverage(by="year")  # type: ignore[arg-type]
