"""The set `fundamental`: ratios of statements and prices, as they were public before the close of each session.

A kernel is an expression over one row: the values that were the newest public ones on its date, in columns that are
named as in `revenue_ttm`, each with its currency in `revenue_ttm__unit`; `close` as traded, and `shares` of that day. A
stale value (quantx.core.fundamentals.ratios.fresh) is null. A ratio of amounts in two currencies is null.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet, RowMemory
from quantx.core.fundamentals.ratio_fields import MARKET_CAP, RATIOS
from quantx.core.fundamentals.ratios import same_currency

UNIT = "__unit"  # of the column with the currency of an amount
_NO_AMOUNTS = ("close", "shares")


@dataclass(frozen=True)
class Ratio:
    """The kernel of a ratio: its formula, where all its amounts are in one currency."""

    name: str

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        ratio = RATIOS[self.name]
        currencies = [f"{each}{UNIT}" for each in ratio.takes if each not in _NO_AMOUNTS]
        value = ratio.formula(*ratio.takes)
        return same_currency(value, *currencies) if currencies else value


def _ratio(name: str) -> Feature:
    ratio = RATIOS[name]
    summary = (ratio.formula.__doc__ or "").partition("\n")[0]
    return Feature(
        name,
        Ratio(name),
        inputs=ratio.takes,
        formula=summary.removeprefix("Return ").rstrip("."),
        source="quantx.core.fundamentals.ratios",
        memory=RowMemory(0),
        basis="traded",
        unit="currency" if name == MARKET_CAP else "ratio",
        kind="fundamental",
    )


FUNDAMENTAL = FeatureSet("fundamental", "Ratios of statements and prices", tuple(_ratio(name) for name in RATIOS))
