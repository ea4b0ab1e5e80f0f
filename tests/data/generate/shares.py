"""Invented shares: prices as traded, the splits and dividends that moved them, and vendors' ways to adjust them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from .series import CENTS, Bar, walk


@dataclass(frozen=True)
class Share:
    """A share as traded; `moves` are factors of its price that no event explains, from their day on."""

    symbol: str
    bars: Sequence[Bar]
    splits: Mapping[date, float] = field(default_factory=dict)
    dividends: Mapping[date, float] = field(default_factory=dict)

    def split_after(self, day: date) -> float:
        """Return how many shares of today one of that day has become."""
        ratio = 1.0
        for ex, value in self.splits.items():
            ratio *= value if ex > day else 1.0
        return ratio

    def paid_steps(self) -> dict[date, float]:
        """Return the step of Yahoo's adjusted close on each ex-date: 1 - dividend / close before."""
        steps, before = {}, None
        for bar in self.bars:
            if before and bar.day in self.dividends:
                close = before.close / self.splits.get(bar.day, 1.0)
                steps[bar.day] = 1 - self.dividends[bar.day] / close
            before = bar
        return steps

    def factor(self, steps: Mapping[date, float], day: date) -> float:
        """Return the product of the steps after a day."""
        product = 1.0
        for ex, step in steps.items():
            product *= step if ex > day else 1.0
        return product


def invented(
    symbol: str,
    days: Sequence[date],
    price: float,
    *,
    splits: Mapping[str, float] | None = None,
    dividends: Mapping[str, float] | None = None,
    moves: Mapping[str, float] | None = None,
    step: float = 0.012,
    digits: int = CENTS,
) -> Share:
    """Return a share whose price falls by each dividend and is divided by each split."""
    split = {date.fromisoformat(day): ratio for day, ratio in (splits or {}).items()}
    paid = {date.fromisoformat(day): amount for day, amount in (dividends or {}).items()}
    moved = {date.fromisoformat(day): factor for day, factor in (moves or {}).items()}
    bars: list[Bar] = []
    factor, close = 1.0, price
    for bar in walk(symbol, days, price, step=step, digits=8):
        factor *= moved.get(bar.day, 1.0) / split.get(bar.day, 1.0)
        if bar.day in paid:
            factor *= 1 - paid[bar.day] / (close / split.get(bar.day, 1.0))
        rows = 12 if bar.day in moved else 1  # a real fall is traded
        traded = bar.times(factor, digits)
        volume = round(bar.volume * rows / factor_of_splits(split, bar.day), -2)
        opened, high = traded.open, traded.high
        if moved.get(bar.day, 1.0) < 0.5:  # a crash trades through its prices
            opened, high = round(close * 0.95, digits), round(close * 0.97, digits)
        bars.append(Bar(bar.day, opened, high, traded.low, traded.close, int(volume)))
        close = traded.close
    return Share(symbol, bars, split, paid)


def factor_of_splits(splits: Mapping[date, float], day: date) -> float:
    """Return the part of today's number of shares that there was on a day."""
    ratio = 1.0
    for ex, value in splits.items():
        ratio *= value if ex > day else 1.0
    return ratio
