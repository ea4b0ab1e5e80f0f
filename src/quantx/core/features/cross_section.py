"""The set `cross_section`: where a member of a universe stands among the members of the same date.

A kernel is an expression over the rows of one universe: a row per date and member (as of that date), with the values of
other sets in columns that are named as in `technical.momentum_12_1`, and `sector`, which is null where it is not known.
A member without a value has none here either, and does not count for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet, RowMemory

DATE, SECTOR = "date", "sector"
SMALLEST_SECTOR = 5  # members with a value; the mean of fewer says little
_TAIL = 0.01


@dataclass(frozen=True)
class Standing:
    """The kernel of one comparison of one value."""

    compare: Callable[[pl.Expr], pl.Expr]
    column: str

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        return self.compare(pl.col(self.column))


def rank(value: pl.Expr) -> pl.Expr:
    """Return (rank − ½) / number of members with a value: from 0 (lowest) to 1, ties averaged."""
    return (value.rank("average").over(DATE) - 0.5) / value.count().over(DATE)


def z_score(value: pl.Expr) -> pl.Expr:
    """Return (value − mean) / sample standard deviation of the date; null where all are equal."""
    return _standard(value, [pl.col(DATE)])


def winsorised_z_score(value: pl.Expr) -> pl.Expr:
    """Return the z-score of values that are clipped to the 1 % and 99 % quantiles of the date."""
    low, high = (value.quantile(share, "linear").over(DATE) for share in (_TAIL, 1 - _TAIL))
    return _standard(value.clip(low, high), [pl.col(DATE)])


def sector_z_score(value: pl.Expr) -> pl.Expr:
    """Return the z-score among the members of the same sector; null for an unknown one, and for fewer than five."""
    sector = [pl.col(DATE), pl.col(SECTOR)]
    enough = pl.col(SECTOR).is_not_null() & (value.count().over(sector) >= SMALLEST_SECTOR)
    return pl.when(enough).then(_standard(value, sector))


def _standard(value: pl.Expr, group: list[pl.Expr]) -> pl.Expr:
    """Return a z-score within a group; rounding can make a deviation of equal values, so their range decides."""
    differ = value.max().over(group) > value.min().over(group)
    return pl.when(differ).then((value - value.mean().over(group)) / value.std().over(group))


_VALUES: Mapping[str, str] = {
    "momentum_12_1": "technical.momentum_12_1",
    "return_21": "technical.return_21",
    "return_5": "technical.return_5",
    "volatility_252": "technical.volatility_252",
    "high_252_distance": "technical.high_252_distance",
    "dollar_volume_21": "technical.dollar_volume_21",
    "market_cap": "fundamental.market_cap",
    "book_to_market": "fundamental.book_to_market",
    "earnings_yield": "fundamental.earnings_yield",
    "gross_profitability": "fundamental.gross_profitability",
}
_COMPARISONS: Mapping[str, tuple[Callable[[pl.Expr], pl.Expr], str]] = {
    "rank": (rank, "(rank − ½) / members with a value, from 0 to 1"),
    "z": (z_score, "(value − mean of the date) / standard deviation of the date"),
    "z_winsorised": (winsorised_z_score, "z-score of values clipped to the 1 % and 99 % quantiles of the date"),
    "z_sector": (sector_z_score, "z-score among the members of the sector, at least five"),
}


def _standing(value: str, comparison: str) -> Feature:
    column, (compare, formula) = _VALUES[value], _COMPARISONS[comparison]
    return Feature(
        f"{value}_{comparison}",
        Standing(compare, column),
        inputs=(column, *((SECTOR,) if comparison == "z_sector" else ())),
        formula=f"{formula}, of {column}",
        source="definition",
        memory=RowMemory(0),
        basis="traded",
        kind="cross_section",
    )


CROSS_SECTION = FeatureSet(
    "cross_section",
    "Standing among the members of a universe",
    tuple(_standing(value, comparison) for value in _VALUES for comparison in _COMPARISONS),
)
