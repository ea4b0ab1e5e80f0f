"""The curated tables of published rates: one row per series, tenor or currency, and date.

A row is public from `public_at` on (UTC), the time that the publisher states for its date. A corrected value is a
revision: `as_of` returns what was known before.
"""

from __future__ import annotations

import polars as pl

from quantx.core.table import INSTANT, Table

RATES = Table(
    "rates",
    {
        "source": pl.String,
        "symbol": pl.String,  # of the series: UST
        "date": pl.Date,
        "tenor": pl.String,  # 1m, 1.5m … 30y
        "value": pl.Float64,
        "unit": pl.String,  # percent
        "public_at": INSTANT,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("source", "symbol", "tenor", "date"),
    sort=("symbol", "tenor", "date"),
    values=("value", "unit", "public_at"),
    null_is_unknown=False,
)

# Units of `quote` for one unit of `base`.
FX_RATES = Table(
    "fx_rates",
    {
        "source": pl.String,
        "symbol": pl.String,  # of the series: EUR
        "date": pl.Date,
        "base": pl.String,
        "quote": pl.String,
        "rate": pl.Float64,
        "public_at": INSTANT,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("source", "symbol", "base", "quote", "date"),
    sort=("symbol", "base", "quote", "date"),
    values=("rate", "public_at"),
    null_is_unknown=False,
)

RATE_TABLES = (RATES, FX_RATES)
