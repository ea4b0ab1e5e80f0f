"""Alpha158's features of a single bar: nine shapes, and four prices beside the close."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from quantx.core.features.alpha158.entry import EPSILON, alpha
from quantx.core.features.feature import Feature

_OPEN, _HIGH, _LOW, _CLOSE = (pl.col(name) for name in ("open", "high", "low", "close"))
_RANGE = _HIGH - _LOW + EPSILON
_BARS = ("open", "high", "low", "close")


def _top() -> pl.Expr:
    return _HIGH - pl.max_horizontal(_OPEN, _CLOSE)


def _bottom() -> pl.Expr:
    return pl.min_horizontal(_OPEN, _CLOSE) - _LOW


def _balance() -> pl.Expr:
    return 2 * _CLOSE - _HIGH - _LOW


def _shape(name: str, kernel: Callable[[], pl.Expr], formula: str) -> Feature:
    return alpha(name, kernel, _BARS, formula, rows=0)


def _price(name: str) -> Feature:
    def kernel() -> pl.Expr:
        return pl.col(name) / pl.col("close")

    return alpha(f"{name.upper()}0", kernel, tuple(dict.fromkeys((name, "close"))), f"{name} / close", rows=0)


BAR_FEATURES = (
    _shape("KMID", lambda: (_CLOSE - _OPEN) / _OPEN, "(close − open) / open"),
    _shape("KLEN", lambda: (_HIGH - _LOW) / _OPEN, "(high − low) / open"),
    _shape("KMID2", lambda: (_CLOSE - _OPEN) / _RANGE, "(close − open) / (high − low + 1e-12)"),
    _shape("KUP", lambda: _top() / _OPEN, "(high − max(open, close)) / open"),
    _shape("KUP2", lambda: _top() / _RANGE, "(high − max(open, close)) / (high − low + 1e-12)"),
    _shape("KLOW", lambda: _bottom() / _OPEN, "(min(open, close) − low) / open"),
    _shape("KLOW2", lambda: _bottom() / _RANGE, "(min(open, close) − low) / (high − low + 1e-12)"),
    _shape("KSFT", lambda: _balance() / _OPEN, "(2 · close − high − low) / open"),
    _shape("KSFT2", lambda: _balance() / _RANGE, "(2 · close − high − low) / (high − low + 1e-12)"),
    *(_price(name) for name in ("open", "high", "low", "vwap")),
)
