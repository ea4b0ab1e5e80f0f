"""Invented series: sessions, prices and volumes from a seed."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from quantx.core.calendars import calendar

NEW_YORK = ZoneInfo("America/New_York")
CENTS = 2


@dataclass(frozen=True)
class Bar:
    """A session's prices and volume."""

    day: date
    open: float
    high: float
    low: float
    close: float
    volume: int

    def times(self, factor: float, digits: int) -> Bar:
        """Return the bar with other prices: of another share, or of another unit."""
        prices = [round(price * factor, digits) for price in (self.open, self.high, self.low, self.close)]
        return Bar(self.day, prices[0], prices[1], prices[2], prices[3], self.volume)


def sessions(first: str, last: str, exchange: str = "XNYS") -> Sequence[date]:
    """Return the sessions of an exchange between two days."""
    return calendar(exchange).sessions(date.fromisoformat(first), date.fromisoformat(last))


def walk(seed: str, days: Iterable[date], price: float = 50.0, *, step: float = 0.01, digits: int = CENTS) -> list[Bar]:
    """Return bars of a price that moves by at most `step` between sessions and by half of it within one."""
    chance = random.Random(seed)
    bars, volume = [], 10_000 * chance.randint(20, 90)
    for day in days:
        opened = price * (1 + step * (chance.random() - 0.5))
        price = opened * (1 + step * (chance.random() - 0.5))
        high = max(opened, price) * (1 + step * chance.random() / 4)
        low = min(opened, price) * (1 - step * chance.random() / 4)
        volume = max(10_000, volume + 1_000 * chance.randint(-9, 9))
        prices = [round(value, digits) for value in (opened, high, low, price)]
        bars.append(Bar(day, prices[0], prices[1], prices[2], prices[3], volume))
    return bars


def without_trades(bar: Bar, close: float) -> Bar:
    """Return a session without trades, as vendors write it: the last close four times, and no volume."""
    return replace(bar, open=close, high=close, low=close, close=close, volume=0)


def single(value: float) -> float:
    """Return a number in the precision of Yahoo's wire: a single-precision number, written with all its digits."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def seconds(day: date, at: str, zone: ZoneInfo = NEW_YORK) -> int:
    """Return an instant in Unix seconds."""
    return int(datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC).timestamp())
