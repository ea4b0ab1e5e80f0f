"""The implied volatility and the greeks of a chain of quotes; a quote without them has the reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from quantx.core.options.black76 import greeks, implied_volatility
from quantx.core.options.expirations import years_until
from quantx.core.options.parity import EXPIRATION, forwards

GREEKS = ("delta", "gamma", "vega", "theta", "rho")
ADDED = ("years", "forward", "discount", "mid", "iv", *GREEKS, "reason")

EXPIRED = "expired"
NO_BID = "no bid"
NO_ASK = "no offer"
CROSSED = "bid above the offer"
BELOW_INTRINSIC = "the price is not above the intrinsic value at the forward"
ABOVE_BOUND = "the price is not below that of the forward (call) or of the strike (put)"
NOT_SOLVED = "no volatility gives the price"


def with_greeks(chain: pl.DataFrame, at: datetime, rate: float | None = None) -> pl.DataFrame:
    """Return the rows with years, forward, discount, mid, iv, delta, gamma, vega, theta, rho and reason.

    `chain` has root, expiration, settlement, right (C or P), strike, bid and ask; `at` is the aware instant of the
    quotes. The forward comes from put-call parity per root and expiration, the discount from the same line, or from
    `rate` (continuous, a year). iv is annual, over years of 365 days; units of the greeks: see `Greeks`. Where there is
    no volatility, iv and greeks are null and `reason` says why; else `reason` is null.
    """
    rows = chain.with_columns(years_until(chain, at), *_middle())
    found = forwards(rows, rate)
    rows = rows.join(found, on=EXPIRATION, how="left", maintain_order="left")
    rows = rows.with_columns(_reason(), undiscounted=pl.col("mid") / pl.col("discount"))
    rows = rows.with_columns(_bound())
    usable = rows["reason"].is_null().to_numpy()
    values = _values(
        {name: rows[name].to_numpy()[usable] for name in _INPUTS}, (rows["right"] == "C").to_numpy()[usable]
    )
    columns = []
    for name, column in values.items():
        whole = np.full(len(rows), np.nan)
        whole[usable] = column
        columns.append(pl.Series(name, whole).fill_nan(None))
    unsolved = pl.when(pl.col("reason").is_null() & pl.col("iv").is_null()).then(pl.lit(NOT_SOLVED))
    rows = rows.with_columns(columns).with_columns(reason=pl.coalesce("reason", unsolved))
    return rows.select(*(name for name in chain.columns if name not in ADDED), *ADDED)


_INPUTS = ("forward", "strike", "years", "undiscounted", "discount")


def _middle() -> tuple[pl.Expr, pl.Expr]:
    """Return the middle and the spread of a quote; null where a side is missing or they cross."""
    usable = (pl.col("bid") > 0) & (pl.col("ask") >= pl.col("bid"))
    middle, spread = (pl.col("bid") + pl.col("ask")) / 2, pl.col("ask") - pl.col("bid")
    return pl.when(usable).then(middle).alias("mid"), pl.when(usable).then(spread).alias("spread")


def _reason() -> pl.Expr:
    bid, ask = pl.col("bid"), pl.col("ask")
    return (
        pl.when(pl.col("years") <= 0)
        .then(pl.lit(EXPIRED))
        .when(bid.is_null() | (bid <= 0))
        .then(pl.lit(NO_BID))
        .when(ask.is_null() | (ask <= 0))
        .then(pl.lit(NO_ASK))
        .when(bid > ask)
        .then(pl.lit(CROSSED))
        .otherwise(pl.col("no_forward"))
        .alias("reason")
    )


def _bound() -> pl.Expr:
    """Return the reason where no volatility can give the price: it is below the intrinsic value, or too high."""
    call, price = pl.col("right") == "C", pl.col("undiscounted")
    difference = pl.col("forward") - pl.col("strike")
    intrinsic = pl.when(call).then(difference).otherwise(-difference).clip(lower_bound=0)
    most = pl.when(call).then("forward").otherwise("strike")
    bound = pl.when(price <= intrinsic).then(pl.lit(BELOW_INTRINSIC)).when(price >= most).then(pl.lit(ABOVE_BOUND))
    return pl.coalesce("reason", bound).alias("reason")


def _values(inputs: dict[str, Any], is_call: Any) -> dict[str, Any]:
    call = np.where(is_call, 1.0, -1.0)
    forward, strike, years, price, discount = (inputs[name].astype(np.float64) for name in _INPUTS)
    iv = implied_volatility(call, forward, strike, years, price)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = greeks(call, forward, strike, years, iv, discount)
    return {"iv": iv, **{name: getattr(found, name) for name in GREEKS}}
