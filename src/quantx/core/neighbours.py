"""Bars whose prices are far from those of the bars before and after them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

# A price that is so far from those before and after it is no trade, however busy the session: in 6,000 symbol-years of
# recordings only quotes of shares that hardly trade go so far and come back.
COMES_BACK = 20
_NEAR = 3  # bars on each side; so the bars of a short run are far from their neighbours, too


def beyond_neighbours(key: Sequence[str], factor: float) -> pl.Expr:
    """Return whether all prices of a bar are `factor` times those of bars on both sides, or such a part of them.

    Bars with a price of zero or below are no neighbours: there is no ratio to them.

    The frame has `key`, high and low, and is sorted by key and date. The neighbours are the three bars before and the
    three after, of the same key; a bar without one on each side is never beyond.
    """
    high, low = pl.col("high").fill_nan(None), pl.col("low").fill_nan(None)

    def near(column: pl.Expr, places: Sequence[int]) -> list[pl.Expr]:
        same = {n: pl.all_horizontal(pl.col(k) == pl.col(k).shift(n) for k in key) for n in places}
        return [pl.when(same[n] & (low.shift(n) > 0)).then(column.shift(n)) for n in places]

    sides = (range(1, _NEAR + 1), range(-1, -_NEAR - 1, -1))
    above = pl.all_horizontal(low > pl.min_horizontal(near(high, places)) * factor for places in sides)
    below = pl.all_horizontal(high * factor < pl.max_horizontal(near(low, places)) for places in sides)
    return ((above | below) & (low > 0)).fill_null(False)
