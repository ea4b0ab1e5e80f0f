"""The set `technical`: indicators of one symbol's bars, on TA-Lib's algorithms."""

from __future__ import annotations

import polars as pl

from quantx.core.features.feature import CarriedMemory, Feature, FeatureSet, RowMemory

_TALIB = "TA-Lib 0.6, {}"


def _return_1() -> pl.Expr:
    return pl.col("close") / pl.col("close").shift(1) - 1


def _sma_20() -> pl.Expr:
    return pl.col("close").rolling_mean(20)


def _obv() -> pl.Expr:
    import polars_talib as talib

    value: pl.Expr = talib.obv(pl.col("close"), pl.col("volume"))
    return value


TECHNICAL = FeatureSet(
    "technical",
    "Indicators of a symbol's bars",
    (
        Feature(
            "return_1",
            _return_1,
            inputs=("close",),
            formula="close / close of the row before − 1",
            source="definition",
            memory=RowMemory(1),
        ),
        Feature(
            "sma_20",
            _sma_20,
            inputs=("close",),
            formula="mean of the last 20 closes",
            source=_TALIB.format("SMA"),
            memory=RowMemory(19),
            unit="price",
        ),
        Feature(
            "obv",
            _obv,
            inputs=("close", "volume"),
            formula="sum of the volumes of rows with a higher close, less those with a lower one",
            source=_TALIB.format("OBV"),
            memory=CarriedMemory(),
            basis="split",
            unit="shares",
        ),
    ),
)
