"""Trend: moving averages, and how strong and how old a trend is."""

from __future__ import annotations

import polars as pl

from quantx.core.features.feature import CarriedMemory, Feature, Output, RowMemory
from quantx.core.features.kernels import Rolling, kaufman_decay, talib
from quantx.core.features.technical.indicator import RECURSIVE, WILDER, carried_ema, indicator

_BARS = ("high", "low", "close")
_MACD = talib("macd", "close", fastperiod=12, slowperiod=26, signalperiod=9)
_AROON = talib("aroon", "high", "low", timeperiod=25)


def _sma(rows: int) -> Feature:
    kernel = talib("sma", "close", timeperiod=rows)
    return indicator(f"sma_{rows}", kernel, f"mean of {rows} closes", memory=RowMemory(rows - 1), unit="price")


def _ema(rows: int) -> Feature:
    kernel = talib("ema", "close", timeperiod=rows)
    formula = f"exponential mean of closes, α = 2 / {rows + 1}, from the mean of the first {rows}"
    return indicator(f"ema_{rows}", kernel, formula, memory=carried_ema(rows), unit="price")


def _distance(rows: int) -> Feature:
    kernel, output = talib("sma", "close", timeperiod=rows), _close_over
    return indicator(
        f"sma_{rows}_distance", kernel, f"close / sma_{rows} − 1", memory=RowMemory(rows - 1), output=output
    )


def _close_over(mean: pl.Expr) -> pl.Expr:
    return pl.col("close") / mean - 1


def _macd(name: str, output: Output, formula: str) -> Feature:
    return indicator(name, _MACD, formula, memory=RECURSIVE, output=output, unit="price")


TREND = (
    *(_sma(rows) for rows in (10, 20, 50, 100, 200)),
    *(_ema(rows) for rows in (12, 20, 26, 50, 100, 200)),
    *(_distance(rows) for rows in (20, 50, 200)),
    indicator(
        "dema_20",
        talib("dema", "close", timeperiod=20),
        "2 · EMA − EMA of the EMA, 20 rows",
        memory=RECURSIVE,
        unit="price",
    ),
    indicator(
        "tema_20",
        talib("tema", "close", timeperiod=20),
        "3 · EMA − 3 · EMA of the EMA + EMA of that, 20 rows",
        memory=RECURSIVE,
        unit="price",
    ),
    indicator(
        "kama_10",
        talib("kama", "close", timeperiod=10),
        "Kaufman's adaptive mean: α from 2/31 to 2/3 by the efficiency of 10 rows, squared",
        memory=CarriedMemory(count=11, decay=Rolling(kaufman_decay, ("close",), 10)),
        unit="price",
    ),
    _macd("macd", "macd", "exponential mean of 12 closes − that of 26, both from row 26: means of the closes up to it"),
    _macd("macd_signal", "macdsignal", "exponential mean of macd, 9 rows"),
    _macd("macd_histogram", "macdhist", "macd − macd_signal"),
    indicator(
        "ppo",
        talib("ppo", "close", fastperiod=12, slowperiod=26, matype=1),
        "100 · (ema_12 − ema_26) / ema_26",
        memory=RECURSIVE,
    ),
    indicator(
        "trix_15",
        talib("trix", "close", timeperiod=15),
        "change in % of a triple exponential mean of 15 rows",
        memory=RECURSIVE,
    ),
    indicator(
        "adx_14",
        talib("adx", *_BARS, timeperiod=14),
        "Wilder's mean of 100 · |+DI − −DI| / (+DI + −DI), 14 rows",
        memory=WILDER,
    ),
    indicator(
        "plus_di_14",
        talib("plus_di", *_BARS, timeperiod=14),
        "100 · Wilder's sum of upward moves / of true ranges",
        memory=WILDER,
    ),
    indicator(
        "minus_di_14",
        talib("minus_di", *_BARS, timeperiod=14),
        "100 · Wilder's sum of downward moves / of true ranges",
        memory=WILDER,
    ),
    indicator(
        "aroon_up_25",
        _AROON,
        "100 · (25 − rows since the highest high of 26 rows) / 25",
        memory=RowMemory(25),
        output="aroonup",
    ),
    indicator(
        "aroon_down_25",
        _AROON,
        "100 · (25 − rows since the lowest low of 26 rows) / 25",
        memory=RowMemory(25),
        output="aroondown",
    ),
)
