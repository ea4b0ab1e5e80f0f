"""Minute bars: recorded ones of a market's folder, and invented ones that add up to the day's bar.

Invented minutes are a function of the symbol, the day and its bar. Those of the regular session aggregate to that bar
exactly (first open, highest high, lowest low, last close, sum of volumes). American symbols also have extended hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from quantx.sandbox.columns import FIELDS, Floats, Ints

_MINUTE = 60
_PRE, _POST = 330, 240  # minutes from 04:00 to 09:30 and from 16:00 to 20:00
_THIN = 40  # at most this many minutes of each have trades
_PLACES = 4


@dataclass(frozen=True, eq=False)
class Minutes:
    """The minute bars of one day, in order: stamped with their start, as traded."""

    starts: Ints  # Unix seconds
    columns: Mapping[str, Floats]  # one per name in FIELDS

    def until(self, clock: float) -> Minutes:
        """Return the minutes that have ended by `clock`."""
        ended = int(np.searchsorted(self.starts, clock - _MINUTE, side="right"))
        return self.rows(slice(0, ended))

    def rows(self, rows: slice) -> Minutes:
        """Return a slice of the minutes."""
        if rows == slice(0, len(self.starts)):
            return self
        return Minutes(self.starts[rows], {name: column[rows] for name, column in self.columns.items()})


NO_MINUTES = Minutes(np.zeros(0, np.int64), {name: np.zeros(0) for name in FIELDS})


def invented_minutes(
    symbol: str, day: int, hours: tuple[int, int], bar: tuple[float, ...], *, extended: bool
) -> Minutes:
    """Return the minutes of a day from its opening to its closing instant; none for a day with an invalid bar.

    A day with fewer shares than minutes has as many bars as shares, as no bar exists without a trade.
    """
    opened, high, low, close, volume = bar
    if not (0 < low <= min(opened, close) and max(opened, close) <= high < np.inf and 1 <= volume < np.inf):
        return NO_MINUTES
    random = np.random.default_rng((crc32(symbol.encode()), day))
    count = (hours[1] - hours[0]) // _MINUTE
    traded = min(count, int(volume))
    at = np.arange(count) if traded == count else np.sort(random.permutation(count)[:traded])
    prices = _prices(random, bar, traded)
    volumes = _volumes(random, at / count, volume)
    regular = Minutes(hours[0] + at * _MINUTE, {**prices, "volume": volumes})
    if not extended or volume < 10 * count:
        return regular
    before = _around(random, hours[0] - _PRE * _MINUTE, _PRE, opened, (low, high), volume)
    after = _around(random, hours[1], _POST, close, (low, high), volume)
    parts = (before, regular, after)
    return Minutes(
        np.concatenate([part.starts for part in parts]),
        {name: np.concatenate([part.columns[name] for part in parts]) for name in FIELDS},
    )


def _prices(random: np.random.Generator, bar: tuple[float, ...], count: int) -> dict[str, Floats]:
    """Return a walk from the day's open to its close that stays within the range and reaches both ends of it."""
    opened, high, low, close, _ = bar
    steps = random.standard_normal(count)
    walk = np.cumsum(steps - steps.mean()) * ((high - low) / (2 * np.sqrt(count)))
    closes = np.clip(np.round(opened + (close - opened) * np.arange(1, count + 1) / count + walk, _PLACES), low, high)
    closes[-1] = close
    opens = np.concatenate([[opened], closes[:-1]])
    reach = np.abs(random.standard_normal((2, count))) * ((high - low) / (8 * np.sqrt(count)))
    highs = np.clip(np.round(np.maximum(opens, closes) + reach[0], _PLACES), np.maximum(opens, closes), high)
    lows = np.clip(np.round(np.minimum(opens, closes) - reach[1], _PLACES), low, np.minimum(opens, closes))
    highs[int(np.argmax(highs))] = high
    lows[int(np.argmin(lows))] = low
    return {"open": opens, "high": highs, "low": lows, "close": closes}


def _volumes(random: np.random.Generator, part: Floats, volume: float) -> Floats:
    """Return whole shares, at least one per minute, more near both ends of the day; the rest is in the last minute."""
    weights = (1 + 6 * (part - 0.5) ** 2) * random.uniform(0.5, 1.5, len(part))
    volumes: Floats = np.floor((volume - len(part)) * (weights / weights.sum())) + 1
    volumes[-1] += volume - volumes.sum()
    return volumes


def _around(
    random: np.random.Generator, start: int, count: int, price: float, span: tuple[float, float], volume: float
) -> Minutes:
    """Return a few minutes outside the regular session, at prices near its first or last."""
    at = np.sort(random.permutation(count)[: random.integers(5, _THIN)])
    drift = random.standard_normal(len(at)) * (span[1] - span[0]) / 8
    closes = np.clip(np.round(price + drift, _PLACES), *span)
    shares = np.floor(random.uniform(1, max(2.0, volume / 5000), len(at)))
    return Minutes(
        start + at * _MINUTE,
        {**dict.fromkeys(("open", "high", "low", "close"), closes), "volume": shares},
    )
