"""Real files with real defects: nothing crashes, and every row that came is curated or explained."""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import exchange_calendars
import polars as pl
import pytest

from quantx.core.quality import RULES
from quantx.sandbox import Sandbox, load_market, running

pytestmark = pytest.mark.slow

START = date(1997, 1, 2)
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
        installation.here("backfill", "--start", str(START), *end, "--symbols", ",".join(market.symbols)).ends_with(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exchange_calendars 4.13 uses what pandas 3.1 deprecates
        sessions = set(exchange_calendars.get_calendar(exchange, start="1997-01-02").sessions.date)
    good, bad = _judged_by_hand(installation.lake, sessions)
    bars, rejected = installation.table("bars_1d"), installation.table("quarantine")

    assert bars.height > 0
    assert sorted(bars.select("symbol", "date").rows()) == sorted(good)
    assert sorted(rejected.select("symbol", "date").rows() if rejected.height else []) == sorted(bad)
    if rejected.height:
        assert set(",".join(rejected["rules"]).split(",")) <= set(RULES)
        assert rejected["raw"].null_count() == 0


def _judged_by_hand(lake: Path, sessions: set[date]) -> tuple[list[tuple[str, date]], list[tuple[str, date]]]:
    """Return the sessions that must be curated and the rows that must not, by a naive reading of the stored replies."""
    good: list[tuple[str, date]] = []
    bad: list[tuple[str, date]] = []
    for raw in pl.read_parquet(lake / "raw/**/*.parquet", hive_partitioning=False).iter_rows(named=True):
        result = json.loads(raw["body"])["chart"]["result"][0]
        quote = result["indicators"]["quote"][0]
        columns = [quote[name] for name in ("open", "high", "low", "close", "volume")]
        days = [datetime.fromtimestamp(t + 9 * 3600, UTC).date() for t in result.get("timestamp", [])]
        by_day: dict[date, list[tuple[Any, ...]]] = defaultdict(list)
        for day, *row in zip(days, *columns, strict=True):
            if day >= START:
                by_day[day] = [r for r in by_day[day] if r != tuple(row)] + [tuple(row)]  # equal rows are one
        for day, rows in by_day.items():
            last = next((r for r in reversed(rows) if r[3] is not None), rows[-1])
            for row in rows:
                (good if row is last and day in sessions and _is_sound(*row) else bad).append((raw["symbol"], day))
    return good, bad


def _is_sound(opened: Any, high: Any, low: Any, close: Any, volume: Any) -> bool:
    if None in (opened, high, low, close, volume) or min(opened, high, low, close) <= 0 or volume < 0:
        return False
    if 80 <= max(opened, high, low, close) / min(opened, high, low, close) <= 125:  # pounds among pence
        return False
    return high * (1 + 1e-6) >= max(opened, low, close) and low * (1 - 1e-6) <= min(opened, high, close)
