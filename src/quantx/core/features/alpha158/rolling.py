"""Alpha158's rolling features: 29 operators over windows of 5, 10, 20, 30 and 60 rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from quantx.core.features.alpha158 import windows
from quantx.core.features.alpha158.entry import EPSILON, alpha
from quantx.core.features.feature import Feature
from quantx.core.features.kernels import Rolling

WINDOWS = (5, 10, 20, 30, 60)
_CLOSE, _HIGH_LOW, _RANGE, _VOLUME = ("close",), ("high", "low"), ("high", "low", "close"), ("volume",)
_BOTH = ("close", "volume")
_EXACT_ZERO = 2  # version: a window without any move, or any volume, gives 0 and no rounding error


@dataclass(frozen=True)
class Operator:
    """A function of a window, in two steps: a kernel, and what each row makes of the kernel's result."""

    name: str
    formula: str  # d: the window
    kernel: Callable[[int], pl.Expr]
    inputs: tuple[str, ...]
    row: Callable[[pl.Expr, int], pl.Expr]
    before: int = 0  # rows that the terms of the window need before it
    version: int = 1

    def feature(self, window: int) -> Feature:
        """Return the feature of a window."""

        def output(result: pl.Expr) -> pl.Expr:
            return self.row(result, window)

        kernel = Rolling(self.kernel, self.inputs, window)
        formula = self.formula.replace(" d", f" {window}")
        name = f"{self.name}{window}"
        rows = window - 1 + self.before
        return alpha(name, kernel, self.inputs, formula, rows=rows, output=output, version=self.version)


def _over_close(field: str | None = None) -> Callable[[pl.Expr, int], pl.Expr]:
    def row(result: pl.Expr, _window: int) -> pl.Expr:
        return (result if field is None else result.struct.field(field)) / pl.col("close")

    return row


def _over_volume(result: pl.Expr, _window: int) -> pl.Expr:
    return result / (pl.col("volume") + EPSILON)


def _as_it_is(result: pl.Expr, _window: int) -> pl.Expr:
    return result


def _of_up_and_down(share: Callable[[pl.Expr, pl.Expr], pl.Expr]) -> Callable[[pl.Expr, int], pl.Expr]:
    def row(result: pl.Expr, _window: int) -> pl.Expr:
        return share(result.struct.field("up"), result.struct.field("down"))

    return row


def _r_square(result: pl.Expr, window: int) -> pl.Expr:
    """Return slope² · variance of the row numbers / variance of the close; null where the close hardly moves."""
    slope, deviation = result.struct.field("slope"), result.struct.field("deviation")
    moved = deviation > 2e-5 * pl.col("close")
    return pl.when(moved).then(slope**2 * (window * (window + 1) / 12) / deviation**2)


def _residual(result: pl.Expr, _window: int) -> pl.Expr:
    return (pl.col("close") - result.struct.field("end")) / pl.col("close")


def _place(result: pl.Expr, _window: int) -> pl.Expr:
    low, high = result.struct.field("low"), result.struct.field("high")
    return (pl.col("close") - low) / (high - low + EPSILON)


def _index(field: str) -> Callable[[pl.Expr, int], pl.Expr]:
    def row(result: pl.Expr, window: int) -> pl.Expr:
        return windows.index(result, field, window) / window

    return row


def _index_difference(result: pl.Expr, window: int) -> pl.Expr:
    return (windows.index(result, "aroonup", window) - windows.index(result, "aroondown", window)) / window


_UP = _of_up_and_down(lambda up, down: up / (up + down + EPSILON))
_DOWN = _of_up_and_down(lambda up, down: down / (up + down + EPSILON))
_UP_LESS_DOWN = _of_up_and_down(lambda up, down: (up - down) / (up + down + EPSILON))

OPERATORS = (
    Operator("ROC", "close d rows before / close", windows.earlier, _CLOSE, _over_close(), 1),
    Operator("MA", "mean of d closes / close", windows.mean_close, _CLOSE, _over_close()),
    Operator("STD", "standard deviation of d closes / close", windows.line, _CLOSE, _over_close("deviation")),
    Operator("BETA", "slope of the line through d closes / close", windows.line, _CLOSE, _over_close("slope")),
    Operator("RSQR", "R² of the line through d closes", windows.line, _CLOSE, _r_square),
    Operator("RESI", "(close − end of the line through d closes) / close", windows.line, _CLOSE, _residual),
    Operator("MAX", "highest high of d rows / close", windows.extremes, _RANGE, _over_close("high")),
    Operator("MIN", "lowest low of d rows / close", windows.extremes, _RANGE, _over_close("low")),
    Operator("QTLU", "80 % quantile of d closes / close", windows.upper_quantile, _CLOSE, _over_close()),
    Operator("QTLD", "20 % quantile of d closes / close", windows.lower_quantile, _CLOSE, _over_close()),
    Operator("RANK", "rank of the close among d closes / d, ties averaged", windows.rank, _CLOSE, _as_it_is),
    Operator(
        "RSV", "(close − lowest low) / (highest high − lowest low + 1e-12) of d rows", windows.extremes, _RANGE, _place
    ),
    Operator(
        "IMAX", "place of the first highest high in d rows / d", windows.reversed_aroon, _HIGH_LOW, _index("aroonup")
    ),
    Operator(
        "IMIN", "place of the first lowest low in d rows / d", windows.reversed_aroon, _HIGH_LOW, _index("aroondown")
    ),
    Operator(
        "IMXD",
        "(place of the first highest high − of the first lowest low) in d rows / d",
        windows.reversed_aroon,
        _HIGH_LOW,
        _index_difference,
    ),
    Operator("CORR", "correlation of close and ln(volume + 1) in d rows", windows.correlation, _BOTH, _as_it_is),
    Operator(
        "CORD",
        "correlation of close / close before and ln(volume / volume before + 1) in d rows",
        windows.correlation_of_changes,
        _BOTH,
        _as_it_is,
        1,
    ),
    Operator(
        "CNTP",
        "share of higher closes than before in d rows",
        windows.count_of_moves,
        _CLOSE,
        _of_up_and_down(lambda up, _down: up),
        1,
    ),
    Operator(
        "CNTN",
        "share of lower closes than before in d rows",
        windows.count_of_moves,
        _CLOSE,
        _of_up_and_down(lambda _up, down: down),
        1,
    ),
    Operator(
        "CNTD",
        "share of higher closes − share of lower ones in d rows",
        windows.count_of_moves,
        _CLOSE,
        _of_up_and_down(lambda up, down: up - down),
        1,
    ),
    Operator(
        "SUMP",
        "Σ rises of the close / (Σ of its changes + 1e-12) in d rows",
        windows.sum_of_moves,
        _CLOSE,
        _UP,
        1,
        _EXACT_ZERO,
    ),
    Operator(
        "SUMN",
        "Σ falls of the close / (Σ of its changes + 1e-12) in d rows",
        windows.sum_of_moves,
        _CLOSE,
        _DOWN,
        1,
        _EXACT_ZERO,
    ),
    Operator(
        "SUMD",
        "(Σ rises − Σ falls of the close) / (Σ of its changes + 1e-12) in d rows",
        windows.sum_of_moves,
        _CLOSE,
        _UP_LESS_DOWN,
        1,
        _EXACT_ZERO,
    ),
    Operator("VMA", "mean of d volumes / (volume + 1e-12)", windows.mean_volume, _VOLUME, _over_volume, 0, _EXACT_ZERO),
    Operator(
        "VSTD", "standard deviation of d volumes / (volume + 1e-12)", windows.volume_deviation, _VOLUME, _over_volume
    ),
    Operator(
        "WVMA",
        "standard deviation / (mean + 1e-12) of |close / close before − 1| · volume in d rows",
        windows.weighted_move,
        _BOTH,
        _as_it_is,
        1,
    ),
    Operator(
        "VSUMP",
        "Σ rises of the volume / (Σ of its changes + 1e-12) in d rows",
        windows.sum_of_volume_moves,
        _VOLUME,
        _UP,
        1,
        _EXACT_ZERO,
    ),
    Operator(
        "VSUMN",
        "Σ falls of the volume / (Σ of its changes + 1e-12) in d rows",
        windows.sum_of_volume_moves,
        _VOLUME,
        _DOWN,
        1,
        _EXACT_ZERO,
    ),
    Operator(
        "VSUMD",
        "(Σ rises − Σ falls of the volume) / (Σ of its changes + 1e-12) in d rows",
        windows.sum_of_volume_moves,
        _VOLUME,
        _UP_LESS_DOWN,
        1,
        _EXACT_ZERO,
    ),
)

ROLLING_FEATURES = tuple(operator.feature(window) for operator in OPERATORS for window in WINDOWS)
