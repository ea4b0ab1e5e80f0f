"""Real files with real defects: nothing crashes, and every row that came is curated or explained."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import exchange_calendars
import polars as pl
import pytest

from quantx.core.rules import RULES
from quantx.sandbox import Sandbox, load_market, running

FOLDERS = {
    "daily_us_yahoo_csv/anomalous_small_caps": ("2024-03-07", "XNYS"),
    "daily_hk_yfinance_download_csv": ("2025-12-31", "XHKG"),
    "daily_jp_yfinance": ("2026-03-31", "XTKS"),
    "daily_us_yahoo_append_job_dirty": ("2025-12-31", "XNYS"),
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_row_is_curated_or_explained(folder: str, market_data: Path, installations: Callable[..., Any]) -> None:
    now, exchange = FOLDERS[folder]
    market = load_market(market_data / folder)
    with running(Sandbox(market, now=now)) as url:
        installation = installations(url)
        end = ("--end", now)
        installation.here("backfill", "--start", "1997-01-02", *end, "--symbols", ",".join(market.symbols)).ends_with(0)
    came = _rows_on_the_wire(installation.lake)
    bars, rejected = installation.table("bars_1d"), installation.table("quarantine")

    assert bars.height > 0
    assert set(bars["symbol"]) | set(rejected["symbol"] if rejected.height else ()) == set(market.symbols)
    assert bars.select("symbol", "date").is_unique().all()
    assert bars.height + rejected.height == came
    if rejected.height:
        assert set(",".join(rejected["rules"]).split(",")) <= set(RULES)
        assert rejected["raw"].null_count() == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exchange_calendars 4.13 uses what pandas 3.1 deprecates
        sessions = exchange_calendars.get_calendar(exchange, start="1997-01-02").sessions.date
    assert set(bars["date"]) <= set(sessions)


def _rows_on_the_wire(lake: Path) -> int:
    """Count the rows of the stored replies, equal ones of a day once."""
    count = 0
    start = date(1997, 1, 2)
    for raw in pl.read_parquet(lake / "raw/**/*.parquet", hive_partitioning=False).iter_rows(named=True):
        result = json.loads(raw["body"])["chart"]["result"][0]
        quote = result["indicators"]["quote"][0]
        columns = [quote[name] for name in ("open", "high", "low", "close", "volume")]
        days = [datetime.fromtimestamp(t + 9 * 3600, UTC).date() for t in result.get("timestamp", [])]
        count += len({row for row in zip(days, *columns, strict=True) if row[0] >= start})
    return count
