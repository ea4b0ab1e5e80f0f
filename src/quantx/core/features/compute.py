"""Compute features of bars: kernels over each symbol's rows, forward-adjusted, in as-traded units."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.features.feature import Basis, Feature

PRICES = ("open", "high", "low", "close")
INDEX = ("symbol", "date", "time")  # of a row; daily bars have no time
_FACTOR: dict[Basis, pl.Expr] = {
    "traded": pl.lit(1.0),
    "split": pl.col("split_factor"),
    "total": pl.col("total_factor"),
}


def compute(features: Sequence[Feature], bars: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, date (minutes: and time) and a column per feature, a row per bar, in the order of the bars.

    `bars` has symbol, date, open, high, low, close and volume as traded (Float64), split_factor (S of the date) and
    total_factor (S / D: see quantx.core.features.feature), sorted by symbol and date. Nulls and NaN are no values.
    Minutes also have time, sorted by symbol and time.
    """
    if bars.is_empty():
        return bars.select(*_index(bars), *(pl.lit(None, pl.Float64).alias(each.name) for each in features))
    clean = bars.with_columns(pl.col(name).cast(pl.Float64).fill_nan(None) for name in (*PRICES, "volume"))
    symbols = clean.partition_by("symbol", maintain_order=True)
    return pl.concat([_of_symbol(features, rows) for rows in symbols])


def _of_symbol(features: Sequence[Feature], rows: pl.DataFrame) -> pl.DataFrame:
    """Return the features of one symbol."""
    result = rows.select(_index(rows))
    for basis in dict.fromkeys(each.basis for each in features):
        chosen = [each for each in features if each.basis == basis]
        adjusted = rows.with_columns(
            *(pl.col(name) * _FACTOR[basis] for name in PRICES),
            pl.col("volume") if basis == "traded" else pl.col("volume") / pl.col("split_factor"),
        )
        values = adjusted.select("split_factor", "total_factor", *(_value(each) for each in chosen))
        result = result.with_columns(values.select(_as_traded(each) for each in chosen))
    return result.select(*_index(rows), *(each.name for each in features))


def _index(bars: pl.DataFrame) -> list[str]:
    return [name for name in INDEX if name in bars.columns]


def _value(feature: Feature) -> pl.Expr:
    kernel = feature.kernel()
    value = kernel if feature.output is None else kernel.struct.field(feature.output)
    return value.fill_nan(None).alias(feature.name)


def _as_traded(feature: Feature) -> pl.Expr:
    """Return a value in the as-traded units of its session."""
    value = pl.col(feature.name)
    if feature.unit == "price":
        return value / _FACTOR[feature.basis]
    return value * pl.col("split_factor") if feature.unit == "shares" and feature.basis != "traded" else value
