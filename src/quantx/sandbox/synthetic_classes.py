"""Invented series of the asset classes beside shares: indices, rates, currency pairs, crypto currencies, futures.

Their symbols are real ones, as a pair or an index has no other name; their names begin with "Synthetic", and so says
the vendor's reply. The values are a function of the seed and of the last session. One is a fact: crude oil settled
below zero on 2020-04-20. Each pair is there in both directions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from quantx.core.asset_classes import class_of, contract_month, inverse_pair
from quantx.core.calendars import calendar, expected_sessions
from quantx.core.model import SETTLED_AFTER
from quantx.core.symbols import venue_of
from quantx.sandbox.columns import Floats
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import PriceHistory, history

_YEARS = 10
_NEGATIVE_OIL = {  # https://www.cmegroup.com: May 2020 WTI; open, high, low, close
    date(2020, 4, 20): (17.73, 17.85, -40.32, -37.63),
    date(2020, 4, 21): (-14.0, 13.86, -16.74, 10.01),
}
_LAST_TRADE = timedelta(days=41)  # before the end of the month of delivery: crude oil ends in the month before


@dataclass(frozen=True)
class SyntheticSeries:
    """One invented series."""

    symbol: str
    name: str
    level: float  # of the first session
    _: KW_ONLY
    move: float  # standard deviation of a session: relative, of a rate in percentage points
    places: int = 2
    volume: float = 0.0  # of a usual session


_INDEX: Mapping[str, Any] = {"move": 0.011}
_RATE: Mapping[str, Any] = {"move": 0.05, "places": 3}
_PAIR: Mapping[str, Any] = {"move": 0.005, "places": 6}
_CRYPTO: Mapping[str, Any] = {"move": 0.035, "volume": 2e10}
_FUTURE: Mapping[str, Any] = {"move": 0.012, "volume": 200_000.0}

_SERIES = (
    SyntheticSeries("^GSPC", "500 Index", 2_200.0, **_INDEX, volume=4e9),
    SyntheticSeries("^NDX", "100 Index", 4_800.0, **_INDEX, volume=2e9),
    SyntheticSeries("^DJI", "30 Index", 19_000.0, **_INDEX, volume=3e8),
    SyntheticSeries("^RUT", "2000 Index", 1_300.0, **_INDEX),
    SyntheticSeries("^VIX", "Volatility Index", 14.0, move=0.05),
    SyntheticSeries("^N225", "225 Index", 18_000.0, **_INDEX),
    SyntheticSeries("^HSI", "Hong Kong Index", 22_000.0, **_INDEX),
    SyntheticSeries("^FTSE", "London Index", 6_800.0, **_INDEX),
    SyntheticSeries("^GDAXI", "Frankfurt Index", 10_700.0, **_INDEX),
    SyntheticSeries("^FCHI", "Paris Index", 4_600.0, **_INDEX),
    SyntheticSeries("^IRX", "Thirteen-Week Yield", 2.2, **_RATE),
    SyntheticSeries("^FVX", "Five-Year Yield", 1.8, **_RATE),
    SyntheticSeries("^TNX", "Ten-Year Yield", 2.3, **_RATE),
    SyntheticSeries("^TYX", "Thirty-Year Yield", 3.0, **_RATE),
    SyntheticSeries("EURUSD=X", "EUR/USD", 1.06, **_PAIR),
    SyntheticSeries("GBPUSD=X", "GBP/USD", 1.25, **_PAIR),
    SyntheticSeries("USDJPY=X", "USD/JPY", 113.0, **_PAIR),
    SyntheticSeries("USDCHF=X", "USD/CHF", 1.01, **_PAIR),
    SyntheticSeries("AUDUSD=X", "AUD/USD", 0.74, **_PAIR),
    SyntheticSeries("USDCAD=X", "USD/CAD", 1.34, **_PAIR),
    SyntheticSeries("BTC-USD", "Bitcoin", 740.0, **_CRYPTO),
    SyntheticSeries("ETH-USD", "Ether", 9.0, **_CRYPTO, places=4),
    SyntheticSeries("CL=F", "Crude Oil", 48.0, **_FUTURE),
    SyntheticSeries("NG=F", "Natural Gas", 3.3, **_FUTURE, places=3),
    SyntheticSeries("GC=F", "Gold", 1_190.0, **_FUTURE, places=1),
    SyntheticSeries("SI=F", "Silver", 16.5, **_FUTURE, places=3),
    SyntheticSeries("HG=F", "Copper", 2.6, **_FUTURE, places=4),
    SyntheticSeries("ES=F", "500 Index Future", 2_200.0, **_FUTURE),
    SyntheticSeries("NQ=F", "100 Index Future", 4_800.0, **_FUTURE),
    SyntheticSeries("ZN=F", "Ten-Year Note Future", 125.0, **_FUTURE, places=6),
    SyntheticSeries("ZC=F", "Corn", 350.0, **_FUTURE),
)


def synthetic_series(seed: int, now: datetime) -> Mapping[str, Callable[[], PriceHistory]]:
    """Return the series of the classes by symbol, each made when it is first needed.

    A contract of crude oil for delivery in December of this year is one of them: its last trade was or is in November.
    """
    contract = SyntheticSeries(f"CLZ{now.year % 100:02d}.NYM", "Crude Oil December", 60.0, move=0.018, volume=40_000.0)
    made = {
        each.symbol: partial(_invent_series, each, now, [seed, 1_000 + number])
        for number, each in enumerate((*_SERIES, contract))
    }
    pairs = [symbol for symbol in made if class_of(symbol) == "currency_pair"]
    return {**made, **{inverse_pair(symbol): partial(_inverse, made[symbol]) for symbol in pairs}}


def _inverse(pair: Callable[[], PriceHistory]) -> PriceHistory:
    """Return the history of a pair quoted the other way round."""
    past = pair()
    turned = {"open": "open", "high": "low", "low": "high", "close": "close"}
    columns: dict[str, Floats] = {name: np.round(1 / past.columns[other], 8) for name, other in turned.items()}
    columns["volume"] = past.columns["volume"]
    name = f"{past.name}, inverse"
    return history(inverse_pair(past.symbol), past.days, columns, name=name, synthetic=True)


def _invent_series(series: SyntheticSeries, now: datetime, seed: Sequence[int]) -> PriceHistory:
    random = np.random.default_rng(seed)
    days = _days(series.symbol, now)
    count = len(days)
    moves = random.normal(0.0, series.move, count)
    is_rate = class_of(series.symbol) == "rate"
    walk = np.cumsum(moves) - moves[0]
    # A rate moves by points, and is drawn back to its level; it may be negative.
    close = series.level + 2.0 * np.tanh(walk / 2.0) if is_rate else series.level * np.exp(walk)
    size = np.full(count, series.move) if is_rate else close * series.move
    opened = np.concatenate([[close[0]], close[:-1]]) + random.normal(0, 1 / 3, count) * size
    reach = np.abs(random.normal(0, 0.5, (2, count))) * size
    high = np.maximum(opened, close) + reach[0]
    low = np.minimum(opened, close) - np.minimum(reach[1], np.abs(np.minimum(opened, close)) / 2)
    columns: dict[str, Floats] = {
        name: np.round(values, series.places)
        for name, values in (("open", opened), ("high", high), ("low", low), ("close", close))
    }
    columns["volume"] = np.floor(series.volume * random.lognormal(0, 0.4, count))
    if series.symbol == "CL=F":
        _place_negative_oil(days, columns)
    numbers = np.array([day_number(day) for day in days], dtype=np.int64)
    return history(series.symbol, numbers, columns, name=f"Synthetic {series.name}", synthetic=True)


def _days(symbol: str, now: datetime) -> list[date]:
    """Return the days of ten years with a bar: all expected sessions, of a contract those until its last trade."""
    code = venue_of(symbol).calendar
    last = calendar(code).last_closed(now, SETTLED_AFTER) or now.date()
    month = contract_month(symbol)
    years = _YEARS if month is None else 2
    first = (now - timedelta(days=round(365.25 * years))).date()
    if month is not None:
        last = min(last, month - _LAST_TRADE)
    return [day for day in expected_sessions(code) if first <= day <= last]


def _place_negative_oil(days: Sequence[date], columns: Mapping[str, Floats]) -> None:
    for day, prices in _NEGATIVE_OIL.items():
        if day in days:
            for name, price in zip(("open", "high", "low", "close"), prices, strict=True):
                columns[name][days.index(day)] = price
