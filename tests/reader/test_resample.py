"""Longer bars: of minutes within their session, of sessions to weeks and months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from quantx.core.table import INSTANT
from quantx.errors import ConfigError
from quantx.reader import Lake

T = datetime(2024, 10, 20, tzinfo=UTC)


def minutes(symbol: str, zone: str, starts: Sequence[str], **facts: object) -> pl.DataFrame:
    """Return minute bars, whose prices are their numbers, at local times."""
    times = [datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)) for start in starts]
    rows = [
        {
            "symbol": symbol,
            "time": at.astimezone(UTC),
            "date": at.date(),
            "open": n + 0.1,
            "high": n + 0.9,
            "low": float(n),
            "close": n + 0.5,
            "volume": 10 + n,
            "source": "alpaca",
            "known_from": T + timedelta(minutes=n),
            **facts,
        }
        for n, at in enumerate(times)
    ]
    return pl.DataFrame(rows, schema_overrides={"time": INSTANT, "known_from": INSTANT})


def local(frame: pl.DataFrame, zone: str) -> list[str]:
    return frame["time"].dt.convert_time_zone(zone).dt.strftime("%m-%d %H:%M").to_list()


def test_minutes_count_from_the_open_of_the_session(lake: Lake) -> None:
    starts = [f"2024-10-01T{t}" for t in ("09:28", "09:31", "09:34", "09:35", "10:29", "10:30", "15:59")]
    bars = minutes("AAA", "America/New_York", starts)
    assert local(lake.resample(bars, "5m"), "America/New_York") == [
        "10-01 09:25", "10-01 09:30", "10-01 09:35", "10-01 10:25", "10-01 10:30", "10-01 15:55"
    ]  # fmt: skip
    hourly = lake.resample(bars, "1h")
    assert local(hourly, "America/New_York") == ["10-01 08:30", "10-01 09:30", "10-01 10:30", "10-01 15:30"]
    assert hourly.columns == bars.columns
    assert hourly.row(1, named=True) == {
        "symbol": "AAA",
        "time": datetime(2024, 10, 1, 13, 30, tzinfo=UTC),
        "date": date(2024, 10, 1),
        "open": 1.1,
        "high": 4.9,
        "low": 1.0,
        "close": 4.5,
        "volume": 11 + 12 + 13 + 14,
        "source": "alpaca",
        "known_from": T + timedelta(minutes=4),  # by then the whole bar was known
    }


def test_the_open_is_that_of_each_exchange_and_day(lake: Lake) -> None:
    tokyo = minutes("7203.T", "Asia/Tokyo", ["2024-10-01T09:05", "2024-10-01T12:31", "2024-10-02T09:00"])
    new_york = minutes("AAA", "America/New_York", ["2024-11-01T15:59", "2024-11-04T09:30"])  # summer time ended
    both = lake.resample(pl.concat([tokyo, new_york]), "1h")
    assert local(both.filter(pl.col("symbol") == "7203.T"), "Asia/Tokyo") == [
        "10-01 09:00",
        "10-01 12:00",
        "10-02 09:00",
    ]
    assert local(both.filter(pl.col("symbol") == "AAA"), "America/New_York") == ["11-01 15:30", "11-04 09:30"]


def test_a_bar_never_crosses_a_session_and_a_day_is_one_bar(lake: Lake) -> None:
    bars = minutes("AAA", "America/New_York", ["2024-10-01T15:59", "2024-10-02T09:30", "2024-10-02T09:31"])
    assert lake.resample(bars, "9999m")["volume"].to_list() == [10, 23]
    daily = lake.resample(bars, "1d")
    assert "time" not in daily.columns
    assert daily.select("date", "open", "close", "volume").rows() == [
        (date(2024, 10, 1), 0.1, 0.5, 10),
        (date(2024, 10, 2), 1.1, 2.5, 23),
    ]


def test_sessions_become_weeks_at_their_last_session(lake: Lake) -> None:
    bars = lake.bars("AAA", adjust="split")  # Thursday and Friday, then Tuesday to Thursday
    weekly = lake.resample(bars, "1w")
    assert weekly.columns == bars.columns
    assert weekly.select("date", "open", "high", "low", "close", "volume").rows() == [
        (date(2023, 12, 29), 50.0, 51.0, 49.5, 50.5, 4000),
        (date(2024, 1, 4), 51.0, 53.0, 50.5, 52.0, 4000),
    ]
    assert weekly["adj_close"].to_list() == [bars["adj_close"][1], bars["adj_close"][4]]
    assert weekly["known_from"].to_list() == [
        bars["known_from"][1],
        bars["known_from"][2],
    ]
    assert lake.resample(bars, "1mo")["date"].to_list() == [date(2023, 12, 29), date(2024, 1, 4)]
    assert lake.resample(bars, "1y")["close"].to_list() == [50.5, 52.0]


def test_symbols_of_one_exchange_have_one_date_per_period(lake: Lake) -> None:
    bars = lake.bars(
        ["AAA", "BBB", "0700.HK"], "2024-01-02", "2024-01-04", columns=["symbol", "date", "close", "source"]
    )
    bars = bars.filter((pl.col("symbol") != "AAA") | (pl.col("date") < date(2024, 1, 4)))
    weekly = lake.resample(bars, "1w")
    assert weekly.select("symbol", "date", "close", "source").rows() == [
        ("0700.HK", date(2024, 1, 2), 290.0, "yahoo"),
        ("AAA", date(2024, 1, 4), 51.5, "yahoo"),
        ("BBB", date(2024, 1, 4), 12.5, "alpaca,yahoo"),
    ]


def test_missing_values_do_not_count(lake: Lake) -> None:
    bars = lake.bars("AAA", "2024-01-02").with_columns(
        pl.when(pl.col("date") != date(2024, 1, 2)).then("open").alias("open"),
        pl.when(pl.col("date") != date(2024, 1, 4)).then("close").alias("close"),
        pl.lit(None, pl.Int64).alias("volume"),
    )
    assert lake.resample(bars, "1w").select("open", "close", "volume").rows() == [(51.5, 51.5, None)]
    assert lake.resample(bars.clear(), "1w").is_empty()


@pytest.mark.parametrize("every", ["5", "0m", "2w", "1s", "m", "", "5min"])
def test_other_frequencies_are_refused(lake: Lake, every: str) -> None:
    with pytest.raises(ConfigError, match="is not a frequency; use minutes as in 5m"):
        lake.resample(lake.bars("AAA"), every)


def test_what_can_not_be_resampled_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="need minute bars with the column time"):
        lake.resample(lake.bars("AAA"), "5m")
    with pytest.raises(ConfigError, match="columns symbol and date"):
        lake.resample(lake.panel(symbols="AAA"), "1w")
