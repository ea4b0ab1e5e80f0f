"""Momentum: oscillators of prices and of money flow."""

from __future__ import annotations

from quantx.core.features.feature import RowMemory
from quantx.core.features.kernels import talib
from quantx.core.features.technical.indicator import WILDER, indicator

_BARS = ("high", "low", "close")
_STOCHASTIC = talib("stoch", *_BARS, fastk_period=14, slowk_period=3, slowk_matype=0, slowd_period=3, slowd_matype=0)
_STOCHASTIC_RSI = talib("stochrsi", "close", timeperiod=14, fastk_period=14, fastd_period=3, fastd_matype=0)

MOMENTUM = (
    indicator(
        "rsi_14",
        talib("rsi", "close", timeperiod=14),
        "100 · mean gain / (mean gain + mean loss), Wilder's means of 14 rows; 0 where no close changes",
        memory=WILDER,
    ),
    indicator(
        "stochastic_k",
        _STOCHASTIC,
        "mean of 3 rows of 100 · (close − lowest low of 14) / (highest high of 14 − lowest low of 14)",
        memory=RowMemory(17),
        output="slowk",
    ),
    indicator("stochastic_d", _STOCHASTIC, "mean of 3 rows of stochastic_k", memory=RowMemory(17), output="slowd"),
    indicator(
        "stochastic_rsi_k",
        _STOCHASTIC_RSI,
        "100 · (rsi_14 − its lowest of 14 rows) / (its highest − its lowest)",
        memory=WILDER,
        output="fastk",
    ),
    indicator(
        "stochastic_rsi_d",
        _STOCHASTIC_RSI,
        "mean of 3 rows of stochastic_rsi_k",
        memory=WILDER,
        output="fastd",
    ),
    indicator(
        "williams_r_14",
        talib("willr", *_BARS, timeperiod=14),
        "−100 · (highest high of 14 rows − close) / (highest high − lowest low)",
        memory=RowMemory(13),
    ),
    indicator(
        "cci_20",
        talib("cci", *_BARS, timeperiod=20),
        "(typical price − its mean of 20 rows) / (0.015 · its mean deviation)",
        memory=RowMemory(19),
    ),
    indicator(
        "mfi_14",
        talib("mfi", *_BARS, "volume", timeperiod=14),
        "100 · positive money flow / money flow of 14 rows",
        memory=RowMemory(14),
    ),
    indicator(
        "roc_10",
        talib("roc", "close", timeperiod=10),
        "100 · (close / close 10 rows before − 1)",
        memory=RowMemory(10),
    ),
    indicator(
        "momentum_10",
        talib("mom", "close", timeperiod=10),
        "close − close 10 rows before",
        memory=RowMemory(10),
        unit="price",
    ),
    indicator(
        "ultimate_oscillator",
        talib("ultosc", *_BARS, timeperiod1=7, timeperiod2=14, timeperiod3=28),
        "100 · (4 · a7 + 2 · a14 + a28) / 7, a = Σ buying pressure / Σ true range",
        memory=RowMemory(28),
    ),
    indicator(
        "balance_of_power",
        talib("bop", "open", *_BARS),
        "(close − open) / (high − low)",
        memory=RowMemory(0),
    ),
)
