"""Dividends derived from a Yahoo file: Adj Close / Close is constant between ex-dates and changes at each.

Both columns have six decimals, so the quotient is exact to half a unit of the sixth place of each. Rows are one segment
while some factor lies within the tolerance of all of them; so a new segment begins at the smallest change that rounding
can't explain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from quantx.sandbox.columns import Floats, Ints
from quantx.sandbox.hours import day_of
from quantx.sandbox.market import Dividend

_ROUNDING = 5e-7
_TOLERANCE = 3.0  # times the rounding
# Yahoo's factors wander by up to 6e-7 of themselves (single precision, measured over 365 files of March 2024, where no
# step lies between 1e-6 and 4.6e-5: the smallest real dividend).
_WANDER = 1.5e-6


@dataclass(frozen=True)
class FileDividends:
    """The dividends of a file; `explained` is False where no dividend can cause some change of the factor."""

    dividends: tuple[Dividend, ...]
    explained: bool


def implied_dividends(days: Ints, close: Floats, adjclose: Floats) -> FileDividends:
    """Return the dividends that turn `close` into `adjclose` by Yahoo's rule; rows are in order of time."""
    rows = np.flatnonzero(np.isfinite(close) & np.isfinite(adjclose) & (close > 0) & (adjclose != 0))
    if not rows.size:
        return FileDividends((), True)
    factor = adjclose[rows] / close[rows]
    slack = np.abs(factor) * (_TOLERANCE * (_ROUNDING / np.abs(adjclose[rows]) + _ROUNDING / close[rows]) + _WANDER)
    starts, factors = _segments(factor, slack)
    dividends = []
    # A file that ends before its last ex-date has a last factor below 1, which none of its rows explains.
    explained = abs(factors[-1] - 1) <= float(slack[-1])
    for start, before, after in zip(starts[1:], factors, factors[1:], strict=False):
        last_close = float(close[rows[start - 1]])
        amount = last_close * (1 - before / after) if after else 0.0
        if 0 < amount < last_close:
            dividends.append(Dividend(day_of(int(days[rows[start]])), amount))
        else:
            explained = False
    return FileDividends(tuple(dividends), explained)


def _segments(factor: Floats, slack: Floats) -> tuple[list[int], list[float]]:
    """Return the first rows of the segments and their factors: means weighted by price, and 1 for the last."""
    lows, highs = (factor - slack).tolist(), (factor + slack).tolist()
    starts, low, high = [0], lows[0], highs[0]
    for i in range(1, len(lows)):
        low, high = max(low, lows[i]), min(high, highs[i])
        if low > high:
            starts.append(i)
            low, high = lows[i], highs[i]
    weights = 1 / slack**2
    totals = np.add.reduceat(weights, starts)
    means: list[float] = (np.add.reduceat(weights * factor, starts) / totals).tolist()
    if abs(means[-1] - 1) <= slack[-1]:
        means[-1] = 1.0
    return starts, means
