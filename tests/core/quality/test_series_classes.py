"""The series rules on other classes than shares: no volume, prices below zero, sessions that may have no bar."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl

from quantx.core.calendars import calendar
from quantx.core.quality.calendar_days import is_session
from quantx.core.quality.daily_rules import DAILY_RULES, mark_absurd
from quantx.core.quality.gaps import missing_sessions
from quantx.core.quality.market_moves import returns_of
from quantx.core.quality.rule import split_by, with_classes
from quantx.core.quality.series_rules import check_series
from quantx.core.symbols import venue_of

NO_ACTIONS = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "value": pl.Float64})
FIRST, LAST = date(2019, 12, 2), date(2020, 6, 30)


def series(symbol: str, level: float = 50.0, volume: float = 0.0) -> pl.DataFrame:
    days = calendar(venue_of(symbol).calendar).sessions(FIRST, LAST)
    chance = np.random.default_rng(3)
    close = level * np.exp(np.cumsum(chance.normal(0, 0.004, len(days))))
    return pl.DataFrame(
        {"symbol": symbol, "date": days, "open": close, "high": close * 1.003, "low": close * 0.997, "close": close}
    ).with_columns(volume=pl.lit(volume))


def rules(bars: pl.DataFrame) -> set[str]:
    return set(check_series(bars, NO_ACTIONS)["rule"])


def below_zero(bars: pl.DataFrame) -> pl.DataFrame:
    """Crude oil as it was quoted on 2020-04-20 and 2020-04-21."""
    quoted = {date(2020, 4, 20): (17.73, 17.85, -40.32, -37.63), date(2020, 4, 21): (-14.0, 13.86, -16.74, 10.01)}
    for day, prices in quoted.items():
        bars = bars.with_columns(
            pl.when(pl.col("date") == day).then(pl.lit(price)).otherwise(name).alias(name)
            for name, price in zip(("open", "high", "low", "close"), prices, strict=True)
        )
    return bars


def test_a_volume_of_zero_is_a_finding_for_shares_and_crypto_currencies_only() -> None:
    assert "stale_run" in rules(series("AAPL"))
    assert "stale_run" in rules(series("BTC-USD"))
    for symbol in ("^GSPC", "^TNX", "EURUSD=X", "CL=F"):
        assert rules(series(symbol)) == set(), symbol


def test_prices_below_zero_are_named_and_make_no_return() -> None:
    bars = below_zero(series("CL=F", 20.0, 1e5))
    found = check_series(bars, NO_ACTIONS)
    named = found.filter(pl.col("rule") == "price_not_above_zero").select("first_day", "last_day", "rows").rows()
    assert named == [(date(2020, 4, 20), date(2020, 4, 21), 2)]
    assert found["size"].drop_nulls().is_finite().all()
    assert set(found["rule"]) <= {"price_not_above_zero", "unexplained_jump", "large_move", "price_spike"}
    moves = returns_of(bars)
    assert moves["move"].is_finite().all()
    crossing = moves.filter(pl.col("date").is_in([date(2020, 4, 20), date(2020, 4, 21)]))
    assert crossing.is_empty()


def test_a_rate_moves_by_points_so_that_no_ratio_is_a_jump() -> None:
    bars = series("^IRX", 0.02)
    doubled = pl.when(pl.col("date") >= date(2020, 3, 16))
    bars = bars.with_columns(
        doubled.then(pl.col(c) * 3).otherwise(c).alias(c) for c in ("open", "high", "low", "close")
    )
    assert rules(bars) == set()
    assert rules(bars.with_columns(high=pl.col("high") * 5)) == set()
    assert "unexplained_jump" in rules(bars.with_columns(symbol=pl.lit("^GSPC")))


def test_neighbours_below_zero_make_no_bar_impossible() -> None:
    days = [date(2020, 4, n) for n in (14, 15, 16, 17, 20, 21, 22)]
    prices = [-5.0, -4.0, -3.0, 0.01, -3.0, -4.0, -5.0]
    bars = pl.DataFrame({"symbol": "CL=F", "date": days, **dict.fromkeys(("open", "high", "low", "close"), prices)})
    marked = mark_absurd(bars.with_columns(volume=pl.lit(1.0)), "symbol").with_columns(
        in_calendar=pl.lit(True), in_past=pl.lit(True), last_of_session=pl.lit(True), market=pl.lit("futures")
    )
    assert split_by(with_classes(marked), DAILY_RULES).rejected.is_empty()


def test_a_split_is_no_cause_for_a_crypto_currency() -> None:
    bars = series("BTC-USD", 100.0, 1e6)
    halved = pl.when(pl.col("date") >= date(2020, 4, 1))
    bars = bars.with_columns(
        *(halved.then(pl.col(c) / 2).otherwise(c).alias(c) for c in ("open", "high", "low", "close")),
        volume=halved.then(pl.col("volume") * 2).otherwise("volume"),
    )
    assert "forgotten_split" in rules(bars.with_columns(symbol=pl.lit("AAPL")))
    assert not rules(bars) & {"forgotten_split", "split_misapplied"}


def test_only_expected_sessions_are_missing() -> None:
    pair, oil, coin = (series(symbol) for symbol in ("EURUSD=X", "CL=F", "BTC-USD"))
    holidays = [date(2019, 12, 25), date(2020, 1, 1), date(2020, 1, 20), date(2020, 5, 25)]
    bars = pl.concat([pair, oil, coin]).filter(
        ~pl.col("date").is_in([*holidays, date(2020, 3, 3), date(2020, 3, 7)])  # a Tuesday, and a Saturday
    )
    assert missing_sessions(bars.select("symbol", "date")).rows() == [
        *(("BTC-USD", day) for day in sorted([*holidays, date(2020, 3, 3), date(2020, 3, 7)])),
        ("CL=F", date(2020, 3, 3)),
        ("EURUSD=X", date(2020, 1, 20)),  # an American holiday is none of currencies
        ("EURUSD=X", date(2020, 3, 3)),
        ("EURUSD=X", date(2020, 5, 25)),
    ]


def test_a_bar_of_a_holiday_is_accepted_and_one_of_a_weekend_is_not() -> None:
    """Yahoo has EURUSD=X on 2020-01-01 (recorded), and null rows of CL=F on Sundays."""
    days = {"EURUSD=X": (date(2020, 1, 1), date(2020, 1, 4)), "CL=F": (date(2020, 1, 20), date(2020, 1, 19))}
    bars = pl.DataFrame([(s, day) for s, some in days.items() for day in some], ["symbol", "date"], orient="row")
    assert is_session(bars).to_list() == [True, False, True, False]
    weekend = pl.DataFrame({"symbol": "BTC-USD", "date": [date(2020, 1, 4), date(2020, 1, 5)]})
    assert is_session(weekend).all()


def test_a_quote_of_a_pair_a_little_outside_of_its_range_is_information() -> None:
    bars = series("EURUSD=X", 1.2)
    day = pl.col("date") == date(2020, 3, 3)
    bars = bars.with_columns(close=pl.when(day).then(pl.col("high") * 1.0005).otherwise("close"))
    assert rules(bars) == {"quote_outside_range"}
    assert "quote_outside_range" not in rules(bars.with_columns(symbol=pl.lit("CL=F")))
