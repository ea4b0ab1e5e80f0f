"""Kernels of Alpha158: expressions over the last `window` rows of a symbol, null until the window is full."""

from __future__ import annotations

import polars as pl

from quantx.core.features.alpha158.entry import EPSILON

_CLOSE, _VOLUME = pl.col("close"), pl.col("volume")
_FLAT = 2e-5  # qlib: a standard deviation up to this is none, and a correlation with it has no value


def earlier(window: int) -> pl.Expr:
    """Return the close `window` rows before."""
    return _CLOSE.shift(window)


def mean_close(window: int) -> pl.Expr:
    """Return the mean of the closes."""
    return _CLOSE.rolling_mean(window)


def line(window: int) -> pl.Expr:
    """Return the slope and the end of the line of least squares, and the sample standard deviation, of the closes."""
    import polars_talib as talib

    return pl.struct(
        slope=talib.linearreg_slope(_CLOSE, timeperiod=window),
        end=talib.linearreg(_CLOSE, timeperiod=window),
        deviation=_CLOSE.rolling_std(window),
    )


def extremes(window: int) -> pl.Expr:
    """Return the highest high and the lowest low."""
    return pl.struct(high=pl.col("high").rolling_max(window), low=pl.col("low").rolling_min(window))


def upper_quantile(window: int) -> pl.Expr:
    """Return the 80 % quantile of the closes, interpolated."""
    return _CLOSE.rolling_quantile(0.8, "linear", window_size=window)


def lower_quantile(window: int) -> pl.Expr:
    """Return the 20 % quantile of the closes, interpolated."""
    return _CLOSE.rolling_quantile(0.2, "linear", window_size=window)


def rank(window: int) -> pl.Expr:
    """Return the rank of the close among the closes / their count; ties have their mean rank."""
    return _CLOSE.rolling_rank(window, "average") / window


def reversed_aroon(window: int) -> pl.Expr:
    """Return Aroon of the reversed rows: of equal extremes it finds the first one, as qlib does."""
    import polars_talib as talib

    value: pl.Expr = talib.aroon(pl.col("high").reverse(), pl.col("low").reverse(), timeperiod=window - 1)
    return value.reverse().shift(window - 1)


def index(aroon: pl.Expr, field: str, window: int) -> pl.Expr:
    """Return the place of an extreme in its window, from 1, of a result of `reversed_aroon`."""
    return window - (aroon.struct.field(field) * (window - 1) / 100).round()


def correlation(window: int) -> pl.Expr:
    """Return the correlation of the closes and ln(volume + 1)."""
    activity = (_VOLUME + 1).log()
    flat = _CLOSE.rolling_std(window) <= _FLAT * _CLOSE
    return _correlation(_CLOSE, activity, flat | (activity.rolling_std(window) <= _FLAT), window)


def correlation_of_changes(window: int) -> pl.Expr:
    """Return the correlation of close / close before and ln(volume / volume before + 1)."""
    change, activity = _CLOSE / _CLOSE.shift(1), (_VOLUME / _VOLUME.shift(1) + 1).log()
    known = pl.when(activity.is_finite()).then(activity)
    flat = (change.rolling_std(window) <= _FLAT) | (known.rolling_std(window) <= _FLAT)
    return _correlation(change, known, flat, window)


def count_of_moves(window: int) -> pl.Expr:
    """Return the shares of rows with a higher and with a lower close than the row before."""
    before = _CLOSE.shift(1)
    return pl.struct(
        up=(before < _CLOSE).cast(pl.Float64).rolling_mean(window),
        down=(before > _CLOSE).cast(pl.Float64).rolling_mean(window),
    )


def sum_of_moves(window: int) -> pl.Expr:
    """Return the sums of the rises and of the falls of the close."""
    return _rises_and_falls(_CLOSE.diff(), window)


def sum_of_volume_moves(window: int) -> pl.Expr:
    """Return the sums of the rises and of the falls of the volume."""
    return _rises_and_falls(_VOLUME.diff(), window)


def mean_volume(window: int) -> pl.Expr:
    """Return the mean of the volumes; 0 where no volume of the window is above 0."""
    return _VOLUME.rolling_mean(window) * _any_above_zero(_VOLUME, window)


def volume_deviation(window: int) -> pl.Expr:
    """Return the sample standard deviation of the volumes."""
    return _VOLUME.rolling_std(window)


def weighted_move(window: int) -> pl.Expr:
    """Return the sample standard deviation / the mean of |close / close before − 1| · volume."""
    move = (_CLOSE / _CLOSE.shift(1) - 1).abs() * _VOLUME
    return move.rolling_std(window) / (move.rolling_mean(window) + EPSILON)


def _rises_and_falls(change: pl.Expr, window: int) -> pl.Expr:
    rises, falls = change.clip(lower_bound=0.0), (-change).clip(lower_bound=0.0)
    return pl.struct(
        up=rises.rolling_sum(window) * _any_above_zero(rises, window),
        down=falls.rolling_sum(window) * _any_above_zero(falls, window),
    )


def _any_above_zero(values: pl.Expr, window: int) -> pl.Expr:
    """Return whether a window has a value above 0.

    The sum of a window of zeros keeps rounding errors of the rows before it, which are large beside `EPSILON`.
    """
    return values.rolling_max(window) > 0


def _correlation(left: pl.Expr, right: pl.Expr, flat: pl.Expr, window: int) -> pl.Expr:
    return pl.when(~flat).then(pl.rolling_corr(left, right, window_size=window))
