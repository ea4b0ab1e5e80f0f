"""The set `minute`: features of the minutes of a session. No value depends on the day before.

No split or dividend lies between two minutes of a session, so that prices need no adjustment, and every feature is a
ratio. A session has as many rows as minutes with trades: 390 at most in New York, 510 in Paris, 1,440 where a market
never closes.
"""

from __future__ import annotations

from functools import partial

import polars as pl

from quantx.core.features.feature import Feature, FeatureSet, Kernel, RowMemory

_SESSION = RowMemory(1_439)  # the rows before the last minute of the longest session
_RSI = 14
_WINDOW = 30
_OWN = "own definition"


def _in_session(value: pl.Expr) -> pl.Expr:
    return value.over("date")


def _return_1() -> pl.Expr:
    close = pl.col("close")
    return _in_session(close / close.shift(1) - 1)


def _session_return() -> pl.Expr:
    return _in_session(pl.col("close") / pl.col("open").drop_nulls().first() - 1)


def _squared_return() -> pl.Expr:
    close = pl.col("close")
    return (close / close.shift(1)).log().pow(2)


def _realized_volatility() -> pl.Expr:
    """Return the square root of the sum of squared logarithmic returns, from the second minute on."""
    squared = _squared_return()
    return _in_session(pl.when(squared.is_not_null()).then(squared.cum_sum().sqrt()))


def _realized_volatility_of(window: int) -> pl.Expr:
    return _in_session(_squared_return().rolling_sum(window).sqrt())


def _vwap_deviation() -> pl.Expr:
    """Return the close over the volume-weighted mean price of the session so far; null until there is a volume."""
    volume = pl.col("volume")
    typical = (pl.col("high") + pl.col("low") + pl.col("close")) / 3
    traded = (typical * volume).cum_sum()
    shares = pl.when(typical.is_not_null()).then(volume).cum_sum()
    return _in_session(pl.when(shares > 0).then(pl.col("close") * shares / traded - 1))


def _rsi() -> pl.Expr:
    import polars_talib as talib

    return _in_session(talib.rsi(pl.col("close"), _RSI))


def _volume_ratio_of(window: int) -> pl.Expr:
    volume = pl.col("volume")
    mean = volume.rolling_mean(window).shift(1)
    return _in_session(pl.when(mean > 0).then(volume / mean))


def _range_position_of(window: int) -> pl.Expr:
    """Return where the close lies between the lowest low (0) and the highest high (1) of a window; null if equal."""
    lowest, highest = pl.col("low").rolling_min(window), pl.col("high").rolling_max(window)
    return _in_session(pl.when(highest > lowest).then((pl.col("close") - lowest) / (highest - lowest)))


def _feature(name: str, kernel: Kernel, inputs: tuple[str, ...], formula: str, source: str = _OWN) -> Feature:
    return Feature(
        name, kernel, inputs=inputs, formula=formula, source=source, memory=_SESSION, basis="traded", unit="ratio"
    )


MINUTE = FeatureSet(
    "minute",
    "Features of a session's minutes",
    (
        _feature("return_1", _return_1, ("close",), "close / close of the session's minute before − 1"),
        _feature("session_return", _session_return, ("open", "close"), "close / first open of the session − 1"),
        _feature(
            "realized_volatility",
            _realized_volatility,
            ("close",),
            "√Σ ln(close / close before)² over the session so far",
            "Andersen and Bollerslev 1998, realized volatility",
        ),
        _feature(
            f"realized_volatility_{_WINDOW}",
            partial(_realized_volatility_of, _WINDOW),
            ("close",),
            f"√Σ ln(close / close before)² over the last {_WINDOW} minutes of the session",
            "Andersen and Bollerslev 1998, realized volatility",
        ),
        _feature(
            "vwap_deviation",
            _vwap_deviation,
            ("high", "low", "close", "volume"),
            "close / VWAP − 1, VWAP = Σ volume · (high + low + close) / 3 / Σ volume over the session so far",
        ),
        _feature(
            f"rsi_{_RSI}",
            _rsi,
            ("close",),
            f"Wilder's relative strength index of {_RSI} minutes, begun anew with each session",
            "TA-Lib 0.6, RSI",
        ),
        _feature(
            f"volume_ratio_{_WINDOW}",
            partial(_volume_ratio_of, _WINDOW),
            ("volume",),
            f"volume / mean volume of the {_WINDOW} minutes before, of the session",
        ),
        _feature(
            f"range_position_{_WINDOW}",
            partial(_range_position_of, _WINDOW),
            ("high", "low", "close"),
            f"(close − lowest low) / (highest high − lowest low) of the last {_WINDOW} minutes of the session",
        ),
    ),
    timeframe="1m",
)
