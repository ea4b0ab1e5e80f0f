"""Measures of the volatilities of one chain at fixed terms.

Each expiration has a smile: the volatilities of its options out of the money. Between two strikes a smile is linear;
between two expirations the total variance (volatility² · years) is linear in time, so that no term has an arbitrage
that its neighbours lack (J. Gatheral, The Volatility Surface, 2006, chapter 3). Outside of the quoted strikes and
expirations there is no value.
"""

from __future__ import annotations

import polars as pl

DAYS_PER_YEAR = 365
WING_DELTA = 0.25  # of the options that measure the skew, by the delta of the forward without discount
SMILE = ("root", "expiration", "years", "atm", "put_wing", "call_wing")

_GROUP = ("root", "expiration", "years")


def smiles(chain: pl.DataFrame) -> pl.DataFrame:
    """Return root, expiration, years, atm, put_wing and call_wing of each expiration, sorted by years.

    `chain` has root, expiration, right, strike, years, forward, discount, iv and delta, as `with_greeks` returns them.
    atm: the volatility at the forward, linear in ln(strike / forward). put_wing, call_wing: that of the put and of the
    call with 25 % delta, linear in delta. Null where no two quotes enclose the point.
    """
    moneyness = (pl.col("strike") / pl.col("forward")).log()
    call = pl.col("right") == "C"
    quoted = chain.filter(pl.col("iv").is_not_null() & (pl.col("years") > 0)).with_columns(
        moneyness=moneyness, size=(pl.col("delta") / pl.col("discount")).abs()
    )
    out = quoted.filter(pl.when(call).then(pl.col("moneyness") >= 0).otherwise(pl.col("moneyness") < 0))
    found = quoted.select(_GROUP).unique()
    for name, rows, along, point in (
        ("atm", out, "moneyness", 0.0),
        ("put_wing", out.filter(~call), "size", WING_DELTA),
        ("call_wing", out.filter(call), "size", WING_DELTA),
    ):
        values = rows.group_by(_GROUP).agg(_between(along, point).alias(name))
        found = found.join(values, on=_GROUP, how="left")
    return found.select(SMILE).sort("years", "root")


def at_term(smiles: pl.DataFrame, column: str, days: int) -> float | None:
    """Return the volatility of a column of `smiles` at a term in days; None where no two expirations enclose it."""
    known = smiles.filter(pl.col(column).is_not_null()).with_columns(variance=pl.col(column).pow(2) * pl.col("years"))
    term = days / DAYS_PER_YEAR
    known = known.group_by("years").agg(pl.col("variance").mean())  # of two roots that end at once
    variance = known.select(_between("years", term, value="variance")).item()
    return None if variance is None else float((variance / term) ** 0.5)


def _between(along: str, point: float, value: str = "iv") -> pl.Expr:
    """Return the value at a point of a column, linear between the nearest rows on both sides; null without both."""
    x, y = pl.col(along), pl.col(value)
    low, high = x <= point, x >= point
    x0, x1 = x.filter(low).max(), x.filter(high).min()
    y0, y1 = y.filter(x == x0).mean(), y.filter(x == x1).mean()
    share = pl.when(x1 > x0).then((point - x0) / (x1 - x0)).otherwise(0.0)
    return pl.when(x0.is_not_null() & x1.is_not_null()).then(y0 + share * (y1 - y0))
