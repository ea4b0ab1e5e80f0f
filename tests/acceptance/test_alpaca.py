"""The same market through Alpaca: as traded to the last digit, with few requests, and with no key in anything kept."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ..recorded_minutes import AAPL_MINUTES

pytestmark = pytest.mark.slow

PRICES = ("open", "high", "low", "close")
SYMBOLS = ["AAA", "BBB", "CCC", "DDD", "EEE", "BRK.B", "GGG", "HHH", "III", "JJJ", "KKK", "LLL"]
END = date(2016, 12, 30)
KEY, SECRET = "CANARYKEY0001", "canary-secret-0002"
COMMAND = (
    "backfill",
    "--source",
    "alpaca",
    "--start",
    "2000-01-01",
    "--end",
    "2016-12-31",
    "--symbols",
    ",".join(SYMBOLS),
)


class Backfilled:
    """A dozen symbols over 2000–2016, asked of Alpaca."""

    def __init__(self, vendor: Any, installation: Any, rows: dict[str, list[Any]]) -> None:
        self.vendor, self.installation, self.rows = vendor, installation, rows
        self.first = installation.run(*COMMAND)


@pytest.fixture(scope="module")
def backfilled(
    invented_files: Path, vendors: Callable[..., Any], installations: Callable[..., Any], traded: Callable[..., Any]
) -> Backfilled:
    vendor = vendors(invented_files, keys=[f"alpaca={KEY}:{SECRET}"])
    keys = {"QUANTX_ALPACA_BASE_URL": vendor.url, "QUANTX_ALPACA_API_KEY": KEY, "QUANTX_ALPACA_API_SECRET": SECRET}
    rows = {s: [r for r in traded(invented_files, s) if date(2000, 1, 1) <= r.day <= END] for s in SYMBOLS}
    return Backfilled(vendor, installations("http://127.0.0.1:9", **keys), rows)


def test_the_pages_are_all_that_is_asked_for(backfilled: Backfilled) -> None:
    backfilled.first.ends_with(0)
    stats = backfilled.vendor.stats()
    bars = sum(map(len, backfilled.rows.values()))
    assert stats["by_path"] == {"/v2/stocks/bars": math.ceil(bars / 10_000), "/v1/corporate-actions": 1}
    assert stats["by_status"] == {"200": stats["total"]}


def test_bars_are_the_files_to_the_last_digit(backfilled: Backfilled) -> None:
    got = backfilled.installation.query(SYMBOLS, "--adjust", "none")
    assert set(got["source"]) == {"alpaca"}
    for symbol, rows in backfilled.rows.items():
        bars = got.filter(pl.col("symbol") == symbol)
        assert bars["date"].to_list() == [r.day for r in rows]
        for name in (*PRICES, "volume"):
            assert bars[name].to_list() == [getattr(r, name) for r in rows]


def test_events_are_those_of_the_files(backfilled: Backfilled) -> None:
    table = backfilled.installation.table("actions")
    for symbol, rows in backfilled.rows.items():
        events = table.filter(pl.col("symbol") == symbol)
        splits = dict(events.filter(pl.col("kind") == "split").select("ex_date", "value").iter_rows())
        paid = dict(events.filter(pl.col("kind") == "dividend").select("ex_date", "value").iter_rows())
        assert splits == {r.day: pytest.approx(r.ratio, rel=1e-6) for r in rows if r.ratio != 1}
        assert paid == {r.day: pytest.approx(r.dividend) for r in rows if r.dividend}


def test_total_adjustment_is_the_rule_from_prices_that_nobody_adjusted(
    backfilled: Backfilled, by_yahoos_rule: Callable[..., Any]
) -> None:
    got = backfilled.installation.query(SYMBOLS, "--adjust", "total")
    for symbol, rows in backfilled.rows.items():
        factors = by_yahoos_rule(rows)
        close = got.filter(pl.col("symbol") == symbol)["close"].to_list()
        assert close == pytest.approx([r.close * factors[r.day][0] for r in rows], rel=1e-6)


def test_the_same_again_asks_for_no_bars_and_changes_nothing(backfilled: Backfilled) -> None:
    asked, versions = backfilled.vendor.stats()["by_path"], backfilled.installation.versions()
    backfilled.installation.here(*COMMAND).ends_with(0)
    again = backfilled.vendor.stats()["by_path"]
    assert again["/v2/stocks/bars"] == asked["/v2/stocks/bars"]
    # By the vendor's clock, which stands still in 2016, the days since are not over: one look for new events.
    assert again["/v1/corporate-actions"] == asked["/v1/corporate-actions"] + 1
    assert backfilled.installation.versions() == versions


def test_the_keys_are_nowhere(backfilled: Backfilled) -> None:
    kept = [path.read_bytes() for path in backfilled.installation.lake.rglob("*") if path.is_file()]
    raw = pl.read_parquet(backfilled.installation.lake / "raw/**/*.parquet", hive_partitioning=False)
    said = [backfilled.first.out, backfilled.first.err, str(raw.drop("body").rows()), *map(bytes.decode, raw["body"])]
    said.append(backfilled.installation.here("config").out)
    assert len(kept) > 10
    for secret in (KEY, SECRET):
        assert not any(secret.encode() in content for content in kept)
        assert not any(secret in text for text in said)


def test_an_outage_in_the_middle_costs_the_pages_that_were_lost_only(
    backfilled: Backfilled, installations: Callable[..., Any], vendors: Callable[..., Any], invented_files: Path
) -> None:
    vendor = vendors(invented_files, faults=["alpaca:502=0.4"], seed=6)
    keys = {"QUANTX_ALPACA_BASE_URL": vendor.url, "QUANTX_ALPACA_API_KEY": KEY, "QUANTX_ALPACA_API_SECRET": SECRET}
    other = installations("http://127.0.0.1:9", QUANTX_ALPACA_QUOTA="unlimited", QUANTX_MAX_ATTEMPTS="12", **keys)
    other.here(*COMMAND).ends_with(0)
    statuses = vendor.stats()["by_status"]
    assert statuses.keys() == {"200", "502"}
    columns = ["symbol", "date", *PRICES, "volume"]
    mine, first = (i.query(SYMBOLS, "--adjust", "none").select(columns) for i in (other, backfilled.installation))
    assert mine.equals(first)
    assert other.table("actions").height == backfilled.installation.table("actions").height


# ------------------------------------------------------------------------------------------------------------- minutes


def test_recorded_minutes_arrive_to_the_last_digit(
    market_data: Path, vendors: Callable[..., Any], installations: Callable[..., Any]
) -> None:
    vendor = vendors(market_data / "minute_us_lean", now="2016-01-04")
    keys = {"QUANTX_ALPACA_BASE_URL": vendor.url, "QUANTX_ALPACA_API_KEY": KEY, "QUANTX_ALPACA_API_SECRET": SECRET}
    installation = installations("http://127.0.0.1:9", **keys)
    window = ("--start", "2014-06-05", "--end", "2014-06-09")
    installation.here("backfill", "--timeframe", "1m", *window, "--symbols", "AAPL").ends_with(0)
    files = sorted((market_data / "minute_us_lean" / "aapl").glob("*_trade.zip"))
    expected = [row for path in files for row in _lean_rows(path)]
    got = installation.table("bars_1m").sort("time").select("time", *PRICES, "volume").rows()
    assert len(expected) == sum(AAPL_MINUTES.values())
    assert got == expected
    assert vendor.stats()["by_path"] == {"/v2/stocks/bars": 1}


def _lean_rows(path: Path) -> list[tuple[Any, ...]]:
    """Milliseconds since New York's midnight, prices in ten-thousandths, volume: read with nothing but the standard library."""
    midnight = datetime.strptime(path.name[:8], "%Y%m%d").replace(tzinfo=ZoneInfo("America/New_York"))
    with zipfile.ZipFile(path) as archive:
        lines = archive.read(archive.namelist()[0]).decode().splitlines()
    rows = [[int(field) for field in line.split(",")] for line in lines]
    return [
        (
            (midnight + timedelta(milliseconds=ms)).astimezone(UTC),
            *(price / 10_000 for price in prices),
            volume,
        )
        for ms, *prices, volume in rows
    ]
