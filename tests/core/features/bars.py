"""Bars for the tests of features: recorded ones with their splits and dividends, and invented ones."""

from __future__ import annotations

import lzma
from datetime import date, timedelta

import numpy as np
import polars as pl
from tests.market_data import FOLDER

_WIKI = FOLDER / "daily_us_unadjusted_with_events_quandl_wiki"
_PRICES = ("Open", "High", "Low", "Close")


def recorded(symbol: str, *, without_events_after: date | None = None) -> pl.DataFrame:
    """Return the recorded bars of a symbol as traded, with the factors of its splits and dividends.

    `without_events_after` leaves out the later events: the factors as they were known on that date.
    """
    table = pl.read_csv(lzma.decompress((_WIKI / f"{symbol}.csv.xz").read_bytes()), infer_schema_length=None)
    rows = table.select(
        pl.lit(symbol).alias("symbol"),
        pl.col("Date").str.to_date().alias("date"),
        *(pl.col(name).cast(pl.Float64).alias(name.lower()) for name in (*_PRICES, "Volume")),
        split=pl.col("SplitRatio").cast(pl.Float64),
        cash=pl.col("ExDividend").cast(pl.Float64),
    ).sort("date")
    known = pl.lit(True) if without_events_after is None else pl.col("date") <= without_events_after
    split = pl.when(known).then(pl.col("split")).otherwise(1.0).cum_prod()
    kept = (1 - pl.col("cash") / pl.col("close").shift(1)).fill_null(1.0)
    dividends = pl.when(known).then(kept).otherwise(1.0).cum_prod()
    return rows.with_columns(split_factor=split, total_factor=split / dividends).drop("split", "cash")


def invented(rows: int, *, symbol: str = "QZAA", seed: int = 1) -> pl.DataFrame:
    """Return bars of a random walk without events."""
    chance = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.015, rows)))
    opens = close * np.exp(chance.normal(0, 0.005, rows))
    first = date(2015, 1, 1)
    return pl.DataFrame(
        {
            "symbol": [symbol] * rows,
            "date": [first + timedelta(days=n) for n in range(rows)],
            "open": opens,
            "high": np.maximum(opens, close) * np.exp(np.abs(chance.normal(0, 0.004, rows))),
            "low": np.minimum(opens, close) / np.exp(np.abs(chance.normal(0, 0.004, rows))),
            "close": close,
            "volume": np.round(1e6 * np.exp(chance.normal(0, 0.3, rows))),
            "split_factor": np.ones(rows),
            "total_factor": np.ones(rows),
        },
        schema_overrides={"date": pl.Date},
    )


def constant(rows: int, *, symbol: str = "QZCC") -> pl.DataFrame:
    """Return bars whose price never moves."""
    prices = (pl.lit(25.01).alias(name) for name in ("open", "high", "low", "close"))
    return invented(rows, symbol=symbol).with_columns(*prices)
