"""Whether two values of an item are one value, written with different precision."""

from __future__ import annotations

import polars as pl

_COARSEST, _FINEST = 6, -4  # millions to hundredths of a cent
_MOST = 0.02  # a rounding changes no value by more


def agree_when_rounded(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Return whether two values differ by no more than half a unit of the coarser one's last digit.

    6.31 agrees with 6.3, and 10,918,312,000 with 10,918,000,000. The last digit of a value counts millions at most.
    """
    unit = pl.max_horizontal(_unit(one), _unit(other))
    apart = (one - other).abs()
    return (apart <= 0.5 * unit * (1 + 1e-9)) & (apart <= _MOST * pl.max_horizontal(one.abs(), other.abs()))


def _unit(value: pl.Expr) -> pl.Expr:
    """Return the largest power of ten, of those in question, that a value is a multiple of."""
    powers = range(_COARSEST, _FINEST - 1, -1)
    multiples = [
        pl.when(((value / 10.0**power) - (value / 10.0**power).round()).abs() <= 1e-6).then(pl.lit(10.0**power))
        for power in powers
    ]
    return pl.coalesce(*multiples, pl.lit(10.0 ** (_FINEST - 1)))
