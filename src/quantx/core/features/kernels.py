"""Kernels of features: data that names a function of TA-Lib, and expressions of Polars.

A kernel is an expression over the rows of one symbol, in order, without null or NaN in its inputs. Kernels that are
equal run once. TA-Lib's warm-up is NaN, which becomes null.

TA-Lib's functions run over arrays (ta-lib), in half the time of the same C code as Polars expressions (polars-talib);
these serve where ta-lib is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import numpy as np

_OUTPUTS = {
    "aroon": ("aroondown", "aroonup"),
    "bbands": ("upperband", "middleband", "lowerband"),
    "macd": ("macd", "macdsignal", "macdhist"),
    "stoch": ("slowk", "slowd"),
    "stochrsi": ("fastk", "fastd"),
}  # of the functions with several


@dataclass(frozen=True)
class Talib:
    """A function of TA-Lib over columns of bars."""

    function: str
    inputs: tuple[str, ...]
    parameters: tuple[tuple[str, float], ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs; none where the function has one."""
        return _OUTPUTS.get(self.function, ())

    def __call__(self) -> pl.Expr:
        """Return the expression; loads polars-talib (extra `pipeline`)."""
        import polars_talib

        value: pl.Expr = getattr(polars_talib, self.function)(*map(pl.col, self.inputs), **dict(self.parameters))
        return value

    def arrays(self, *columns: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """Return the outputs for one symbol's columns in the order of the inputs; loads ta-lib."""
        import talib

        result = getattr(talib, self.function.upper())(*columns, **dict(self.parameters))
        return tuple(result) if self.outputs else (result,)


@cache
def has_talib() -> bool:
    """Return whether kernels of TA-Lib can run over arrays."""
    try:
        import talib  # noqa: F401
    except ImportError:
        return False
    return True


def talib(function: str, *inputs: str, **parameters: float) -> Talib:
    """Return a kernel of TA-Lib: `talib("rsi", "close", timeperiod=14)`."""
    return Talib(function, inputs, tuple(parameters.items()))


@dataclass(frozen=True)
class Rolling:
    """An expression of Polars over columns of bars, with a number of rows."""

    formula: Callable[[int], pl.Expr]
    inputs: tuple[str, ...]
    count: int

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        return self.formula(self.count)


def return_of(later: pl.Expr, earlier: pl.Expr) -> pl.Expr:
    """Return later / earlier − 1; null where a price is not above zero, as the ratio may have the wrong sign."""
    return pl.when(earlier > 0, later > 0).then(later / earlier - 1)


def change(rows: int) -> pl.Expr:
    """Return close / close `rows` rows before − 1."""
    return return_of(pl.col("close"), pl.col("close").shift(rows))


def momentum_before_last_month(rows: int) -> pl.Expr:
    """Return close 21 rows before / close `rows` rows before − 1."""
    return return_of(pl.col("close").shift(21), pl.col("close").shift(rows))


def log_return_std(rows: int) -> pl.Expr:
    """Return the sample standard deviation of the last `rows` log returns."""
    return pl.col("close").log().diff().rolling_std(rows)


def parkinson(rows: int) -> pl.Expr:
    """Return √(mean of ln(high / low)² / (4 ln 2)) of the last rows."""
    square = (pl.col("high") / pl.col("low")).log() ** 2
    return _root(square.rolling_mean(rows) / (4 * pl.lit(2.0).log()))


def garman_klass(rows: int) -> pl.Expr:
    """Return √(mean of ½ ln(high / low)² − (2 ln 2 − 1) ln(close / open)²) of the last rows."""
    spread = (pl.col("high") / pl.col("low")).log() ** 2 / 2
    body = (pl.col("close") / pl.col("open")).log() ** 2 * (2 * pl.lit(2.0).log() - 1)
    return _root((spread - body).rolling_mean(rows))


def above_low(rows: int) -> pl.Expr:
    """Return close / the lowest low of the last rows − 1."""
    return return_of(pl.col("close"), pl.col("low").rolling_min(rows))


def below_high(rows: int) -> pl.Expr:
    """Return close / the highest high of the last rows − 1."""
    return return_of(pl.col("close"), pl.col("high").rolling_max(rows))


def volume_ratio(rows: int) -> pl.Expr:
    """Return volume / mean volume of the last rows."""
    return pl.col("volume") / pl.col("volume").rolling_mean(rows)


def dollar_volume(rows: int) -> pl.Expr:
    """Return the mean of close × volume of the last rows."""
    return (pl.col("close") * pl.col("volume")).rolling_mean(rows)


def money_flow(rows: int) -> pl.Expr:
    """Return Σ volume · ((close − low) − (high − close)) / (high − low) / Σ volume of the last rows."""
    place = (2 * pl.col("close") - pl.col("high") - pl.col("low")) / (pl.col("high") - pl.col("low"))
    flow = pl.when(pl.col("high") > pl.col("low")).then(place).otherwise(0.0) * pl.col("volume")
    return flow.rolling_sum(rows) / pl.col("volume").rolling_sum(rows)


def overnight(rows: int) -> pl.Expr:
    """Return open / close `rows` rows before − 1."""
    return return_of(pl.col("open"), pl.col("close").shift(rows))


def kaufman_decay(rows: int) -> pl.Expr:
    """Return the weight of the mean before in Kaufman's adaptive mean: 1 − α, as TA-Lib's KAMA takes α."""
    close = pl.col("close")
    way, moved = close.diff().abs().rolling_sum(rows), close - close.shift(rows)
    efficiency = pl.when((way <= moved) | (way < 1e-14)).then(1.0).otherwise((moved / way).abs())
    return 1 - (efficiency * (2 / 3 - 2 / 31) + 2 / 31) ** 2


def _root(variance: pl.Expr) -> pl.Expr:
    """Return the square root, of 0 where rounding makes the variance negative."""
    return variance.clip(lower_bound=0.0).sqrt()
