"""Volatility: ranges, bands and deviations. Deviations are those of one row, not of a year."""

from __future__ import annotations

import polars as pl

from quantx.core.features.feature import Feature, RowMemory
from quantx.core.features.kernels import Rolling, garman_klass, log_return_std, parkinson, talib
from quantx.core.features.technical.indicator import RECURSIVE, indicator

_BARS = ("high", "low", "close")
_BANDS = talib("bbands", "close", timeperiod=20, nbdevup=2.0, nbdevdn=2.0, matype=0)


def _percent_b(bands: pl.Expr) -> pl.Expr:
    lower = bands.struct.field("lowerband")
    return (pl.col("close") - lower) / (bands.struct.field("upperband") - lower)


def _width(bands: pl.Expr) -> pl.Expr:
    width = bands.struct.field("upperband") - bands.struct.field("lowerband")
    return width / bands.struct.field("middleband")


def _volatility(rows: int) -> Feature:
    formula = f"standard deviation of {rows} log returns, dividends included"
    return indicator(f"volatility_{rows}", Rolling(log_return_std, ("close",), rows), formula, memory=RowMemory(rows))


VOLATILITY = (
    indicator(
        "true_range",
        talib("trange", *_BARS),
        "max(high, close before) − min(low, close before)",
        memory=RowMemory(1),
        unit="price",
    ),
    indicator(
        "atr_14",
        talib("atr", *_BARS, timeperiod=14),
        "Wilder's mean of true_range, 14 rows",
        memory=RECURSIVE,
        unit="price",
    ),
    indicator("natr_14", talib("natr", *_BARS, timeperiod=14), "100 · atr_14 / close", memory=RECURSIVE),
    indicator(
        "bollinger_upper",
        _BANDS,
        "sma_20 + 2 · standard deviation (of the population) of 20 closes",
        memory=RowMemory(19),
        output="upperband",
        unit="price",
    ),
    indicator(
        "bollinger_lower",
        _BANDS,
        "sma_20 − 2 · standard deviation (of the population) of 20 closes",
        memory=RowMemory(19),
        output="lowerband",
        unit="price",
    ),
    indicator(
        "bollinger_b",
        _BANDS,
        "(close − bollinger_lower) / (bollinger_upper − bollinger_lower)",
        memory=RowMemory(19),
        output=_percent_b,
    ),
    indicator(
        "bollinger_width", _BANDS, "(bollinger_upper − bollinger_lower) / sma_20", memory=RowMemory(19), output=_width
    ),
    *(_volatility(rows) for rows in (21, 63, 252)),
    indicator(
        "parkinson_21",
        Rolling(parkinson, ("high", "low"), 21),
        "√(mean of ln(high / low)² of 21 rows / (4 ln 2))",
        source="M. Parkinson, The extreme value method for estimating the variance of the rate of return, 1980",
        memory=RowMemory(20),
    ),
    indicator(
        "garman_klass_21",
        Rolling(garman_klass, ("open", *_BARS), 21),
        "√(mean of ½ ln(high / low)² − (2 ln 2 − 1) ln(close / open)² of 21 rows)",
        source="M. Garman, M. Klass, On the estimation of security price volatilities from historical data, 1980",
        memory=RowMemory(20),
    ),
)
