"""The set `minute`: known values of small sessions, and that a session knows nothing of the day before."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest

from quantx.core.features.compute import compute
from quantx.core.features.minute import MINUTE

DAY = date(2024, 6, 10)


def minutes(day: date, closes: list[float | None], volumes: list[float] | None = None) -> pl.DataFrame:
    """Return minutes with open = close before, high = close + 1 and low = close − 1."""
    opened = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC)
    close = pl.Series("close", closes, dtype=pl.Float64)
    return pl.DataFrame(
        {
            "symbol": ["A"] * len(closes),
            "date": [day] * len(closes),
            "time": pl.Series(
                [opened + timedelta(minutes=n) for n in range(len(closes))], dtype=pl.Datetime("us", "UTC")
            ),
            "open": close.shift(1, fill_value=closes[0]),
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": volumes or [100.0] * len(closes),
            "split_factor": [4.0] * len(closes),
            "total_factor": [4.2] * len(closes),
        }
    )


def values(bars: pl.DataFrame, name: str) -> list[float | None]:
    return compute(MINUTE.features, bars)[name].to_list()


def test_values_of_a_small_session() -> None:
    bars = minutes(DAY, [100.0, 102.0, 101.0], [100.0, 300.0, 0.0])
    found = compute(MINUTE.features, bars)
    assert found.columns == ["symbol", "date", "time", *MINUTE.names]
    assert found["time"].equals(bars["time"])
    up, down = math.log(1.02), math.log(101 / 102)
    assert found["return_1"].to_list() == [None, pytest.approx(0.02), pytest.approx(-1 / 102)]
    assert found["session_return"].to_list() == pytest.approx([0.0, 0.02, 0.01])
    assert found["realized_volatility"].to_list() == [None, pytest.approx(up), pytest.approx(math.hypot(up, down))]
    # VWAP after two minutes: (100 · 100 + 300 · 102) / 400 = 101.5; the third minute has no volume.
    assert found["vwap_deviation"].to_list() == pytest.approx([0.0, 102 / 101.5 - 1, 101 / 101.5 - 1])
    assert found["rsi_14"].null_count() == 3


def test_values_of_windows_at_their_first_row() -> None:
    closes = [100.0 + n for n in range(31)]
    bars = minutes(DAY, closes, [float(n + 1) for n in range(31)])
    squares = [math.log(after / before) ** 2 for before, after in pairwise(closes)]
    found = values(bars, "realized_volatility_30")
    assert found[:30] == [None] * 30
    assert found[30] == pytest.approx(math.sqrt(sum(squares)))
    assert values(bars, "volume_ratio_30")[29:] == [None, pytest.approx(31 / 15.5)]
    assert values(bars, "range_position_30")[28:30] == [None, pytest.approx(30 / 31)]  # (129 − 99) / (130 − 99)
    assert values(bars, "rsi_14")[13:15] == [None, 100.0]  # it only rises


def test_a_session_begins_anew_whatever_the_day_before_was() -> None:
    one = minutes(DAY, [100.0 + n % 7 for n in range(60)])
    other = minutes(DAY - timedelta(days=1), [300.0 - n for n in range(60)])
    alone = compute(MINUTE.features, one)
    after = compute(MINUTE.features, pl.concat([other, one])).filter(pl.col("date") == DAY)
    assert after.equals(alone)


def test_constant_prices_and_missing_trades_give_null_or_their_limit_and_never_nan() -> None:
    still = compute(MINUTE.features, minutes(DAY, [100.0] * 40, [0.0] * 40))
    assert still["realized_volatility"].drop_nulls().unique().to_list() == [0.0]
    assert still["vwap_deviation"].null_count() == 40  # no volume
    assert still["volume_ratio_30"].null_count() == 40
    gap = compute(MINUTE.features, minutes(DAY, [100.0, None, math.nan, 104.0]))
    for name in MINUTE.names:
        assert not gap[name].is_nan().any(), name
    assert gap["session_return"].to_list() == [0.0, None, None, None]  # the last one has no open
    assert gap["return_1"].to_list() == [None, None, None, pytest.approx(0.04)]  # from the last close that was observed
