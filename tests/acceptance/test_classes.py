"""A lake with every asset class: update, coverage, gaps, export, explanation and reprocessing, over the real wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import quantx
from quantx.sandbox import Sandbox, load_market, running

from .conftest import Installation, Vendor

pytestmark = pytest.mark.slow

SYMBOLS = ("BTC-USD", "EURUSD=X", "USDJPY=X", "CL=F", "CLZ20.NYM", "^TNX", "^GSPC", "^N225")
START = date(2019, 12, 20)


@pytest.fixture(scope="module")
def lake(installations: Callable[..., Installation]) -> Iterator[tuple[Installation, Vendor]]:
    """A backfill on a Wednesday at 12:00 UTC, while every market of the day is open or not settled."""
    with running(Sandbox(load_market(None, today="2020-12-10"), now="2020-04-22T12:00:00")) as url:
        installation = installations(url)
        wanted = ",".join(SYMBOLS).replace("USDJPY=X", "JPY=X")
        installation.here(
            "backfill", "--symbols", wanted, "--start", START, "--end", "2020-04-22", "--source", "yahoo"
        ).ends_with(0)
        yield installation, Vendor(url)


def days_of(bars: pl.DataFrame, symbol: str) -> set[date]:
    return set(bars.filter(pl.col("symbol") == symbol)["date"])


def test_each_class_has_the_sessions_of_its_calendar_and_no_running_one(lake: tuple[Installation, Vendor]) -> None:
    bars = lake[0].table("bars_1d")
    crypto, pair, oil = (days_of(bars, symbol) for symbol in ("BTC-USD", "EURUSD=X", "CL=F"))
    assert (min(crypto), max(crypto), len(crypto)) == (START, date(2020, 4, 21), 124)  # Saturdays and Christmas, too
    assert not any(day.weekday() >= 5 for day in pair | oil)
    assert (max(pair), max(oil)) == (date(2020, 4, 21), date(2020, 4, 21))
    assert {date(2020, 3, 6), date(2020, 3, 9), date(2020, 3, 27), date(2020, 3, 30)} <= pair  # around both clocks
    assert date(2020, 4, 10) not in oil  # Good Friday
    assert date(2020, 4, 10) in pair
    assert max(days_of(bars, "^N225")) == date(2020, 4, 22)  # Tokyo has closed
    assert max(days_of(bars, "^TNX")) == date(2020, 4, 21)
    assert lake[0].table("quarantine").is_empty()


def test_oil_below_zero_is_curated_as_it_was_quoted(lake: tuple[Installation, Vendor]) -> None:
    shown = lake[0].query(["CL=F"], "--start", "2020-04-20", "--end", "2020-04-21")
    prices = shown.select(pl.col("open", "high", "low", "close", "adj_close").round(2)).rows()
    assert prices == [(17.73, 17.85, -40.32, -37.63, -37.63), (-14.0, 13.86, -16.74, 10.01, 10.01)]
    found = json.loads(lake[0].here("findings", "list", "--json").ends_with(0).out)
    assert {f["rule"] for f in found if f["severity"] != "info"} <= {"unexplained_jump"}
    assert [f["subject"] for f in found if f["rule"] == "price_not_above_zero"] == ["CL=F"]


def test_a_day_that_has_ended_comes_with_the_next_update_and_a_holiday_is_no_gap(
    lake: tuple[Installation, Vendor],
) -> None:
    installation, vendor = lake
    vendor.tell("now", now="2020-04-23T00:20:00")  # half an hour after midnight the day has settled
    update = ("update-daily", "--symbols", ",".join(SYMBOLS))
    installation.here(*update).ends_with(0)
    assert max(days_of(installation.table("bars_1d"), "BTC-USD")) == date(2020, 4, 21)
    vendor.tell("now", now="2020-04-23T04:40:00")
    installation.here(*update).ends_with(0)
    bars = installation.table("bars_1d")
    assert {s: max(days_of(bars, s)) for s in SYMBOLS} == {
        **dict.fromkeys(SYMBOLS, date(2020, 4, 22)),
        "CLZ20.NYM": date(2020, 4, 21),  # by our clock its month of delivery is over: no update requests it
    }
    assert date(2019, 12, 25) not in days_of(bars, "EURUSD=X")  # the vendor has no bar, and it may have none
    assert date(2020, 1, 20) not in days_of(bars, "CL=F")
    gaps = json.loads(installation.here("tasks", "heal", "--dry-run", "--json").ends_with(0).out)
    assert not gaps["gaps"]
    covered = json.loads(installation.here("coverage", "--json").ends_with(0).out)
    assert {row["market"] for row in covered["freshness"]} == {"crypto", "fx", "futures", "us", "jp"}
    assert {row["symbol"] for row in covered["behind"]} == {*SYMBOLS} - {"CLZ20.NYM"}  # by our clock, years later
    opened = quantx.open_lake(str(installation.lake))
    instruments = opened.scan("instruments").collect()
    assert dict(instruments.select("instrument", "asset_class").iter_rows()) == {
        "crypto.BTC-USD": "crypto",
        "fx.EURUSD=X": "currency_pair",
        "fx.USDJPY=X": "currency_pair",
        "futures.CL=F": "future",
        "futures.CLZ20.NYM": "future",
        "us.^TNX": "rate",
        "us.^GSPC": "index",
        "jp.^N225": "index",
    }


def test_names_with_signs_are_exported_read_and_derived_again(
    lake: tuple[Installation, Vendor], tmp_path: Path
) -> None:
    installation, _ = lake
    for layout in ("hive-ticker", "csv"):
        installation.here("export", tmp_path / layout, "--layout", layout).ends_with(0)
    read = pl.read_parquet(tmp_path / "hive-ticker/**/*.parquet", hive_partitioning=True)
    assert set(read["ticker"]) == {s.removesuffix(".T") for s in SYMBOLS}
    assert set(read["exchange"]) == {"crypto", "fx", "futures", "us", "jp"}
    before = installation.table("bars_1d").sort("symbol", "date")
    assert "nothing changes" in installation.here("reprocess").ends_with(0).out
    assert installation.table("bars_1d").sort("symbol", "date").equals(before)
    explained = installation.here("explain", "EURUSD=X", "2019-12-25")
    assert "may have no bar" in explained.ends_with(1).out
    public = quantx.open_lake(str(installation.lake)).bars(["BTC-USD", "CL=F"], public_by="2020-04-21T03:00:00Z")
    newest: dict[str, Any] = dict(public.group_by("symbol").agg(pl.col("date").max()).iter_rows())
    assert newest == {"BTC-USD": date(2020, 4, 20), "CL=F": date(2020, 4, 17)}  # a future's day ends in New York


def test_a_last_trade_after_the_last_bar_holds_back_no_reply_of_a_class_without_splits(
    lake: tuple[Installation, Vendor], tmp_path: Path
) -> None:
    """As on a Sunday evening, when a future trades and its day has no bar yet; here the files end long before."""
    rows = ("2020-04-20,17.73,17.85,-40.32,-37.63,-37.63,247947", "2020-04-21,-14,13.86,-16.74,10.01,10.01,2288074")
    (tmp_path / "HO=F.csv").write_text("\n".join(["Date,Open,High,Low,Close,Adj Close,Volume", *rows]))
    with running(Sandbox(load_market(tmp_path), now="2020-04-24T12:00:00")) as url:
        elsewhere = replace(lake[0], vendor_url=url)
        fetched = elsewhere.here("backfill", "--symbols", "HO=F", "--start", "2020-04-20", "--end", "2020-04-23")
        fetched.ends_with(0)
    assert elsewhere.query(["HO=F"])["close"].round(2).to_list() == [-37.63, 10.01]
