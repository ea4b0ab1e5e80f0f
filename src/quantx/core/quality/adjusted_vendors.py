"""Compare a vendor that has only adjusted prices with the as-traded bars of another one."""

from __future__ import annotations

import polars as pl

from quantx.core.prices import PRICES, dividend_steps, split_steps, with_factor
from quantx.core.quality.vendor_comparison import KEY


def in_traded_prices(adjusted: pl.DataFrame, bars: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return adjusted bars as if they were as traded, to compare them with the as-traded `bars` of another vendor.

    Both have symbol, date, open, high, low, close, volume and currency. The splits and dividends of `actions` are taken
    out of the prices, and the median ratio of the two closes gives the scale of a symbol: a vendor may have adjusted to
    another day. Volumes are null, because they are on another basis; a symbol without a common session has no rows.
    """
    sure = bars.select(*KEY, pl.col("close").alias("__close"), "currency")
    rows = adjusted.drop("currency").join(sure, on=KEY, how="left", maintain_order="left")
    rows = with_factor(rows, split_steps(actions), "__split")
    rows = with_factor(rows, dividend_steps(actions), "__dividend")
    traded = rows.with_columns(pl.col(*PRICES) * pl.col("__split") / pl.col("__dividend"))
    scale = (pl.col("__close") / pl.col("close")).median().over("symbol")
    return (
        traded.with_columns(pl.col(*PRICES) * scale)
        .drop_nulls("close")
        .select(
            *adjusted.drop("volume", "currency").columns, pl.lit(None, dtype=pl.Float64).alias("volume"), "currency"
        )
    )
