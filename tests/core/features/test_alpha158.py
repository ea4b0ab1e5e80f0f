"""Alpha158 equals qlib's definitions, transcribed to pandas by name: qlib's operators, over full windows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.core.features.bars import invented

from quantx.core.features.compute import compute
from quantx.core.features.sets import SETS

ROWS, WINDOWS = 150, (5, 10, 20, 30, 60)


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Return bars with equal highs, equal lows and equal closes near each other, and vwap."""
    rough = invented(ROWS, seed=158)
    prices = (pl.col(name).round(0) for name in ("open", "high", "low", "close"))
    return rough.with_columns(*prices).with_columns(vwap=(pl.col("high") + pl.col("low") + pl.col("close")) / 3)


@pytest.fixture(scope="module")
def found(bars: pl.DataFrame) -> pl.DataFrame:
    return compute(SETS["alpha158"].features, bars)


def qlib(b: pd.DataFrame, d: int) -> dict[str, pd.Series]:
    """Return the rolling features of a window d as qlib's expressions say."""
    c, h, low, v = b.close, b.high, b.low, b.volume
    before, volume_before = c.shift(1), v.shift(1)
    days = np.arange(1.0, d + 1)

    def rolled(series: pd.Series, function: Callable[[np.ndarray], float]) -> pd.Series:
        return series.rolling(d).apply(function, raw=True)

    def line(y: np.ndarray) -> tuple[float, float]:
        slope, start = np.polyfit(days, y, 1)
        return float(slope), float(start)

    def share(series: pd.Series, sign: int) -> pd.Series:
        moves = series.diff()
        return (moves * sign).clip(lower=0).rolling(d).sum() / (moves.abs().rolling(d).sum() + 1e-12)

    up = (c > before).where(before.notna()).astype(float).rolling(d).mean()
    down = (c < before).where(before.notna()).astype(float).rolling(d).mean()
    high_at, low_at = rolled(h, lambda x: x.argmax() + 1.0), rolled(low, lambda x: x.argmin() + 1.0)
    lowest, highest = low.rolling(d).min(), h.rolling(d).max()
    move = (c / before - 1).abs() * v
    return {
        "ROC": c.shift(d) / c,
        "MA": c.rolling(d).mean() / c,
        "STD": c.rolling(d).std() / c,
        "BETA": rolled(c, lambda y: line(y)[0]) / c,
        "RSQR": rolled(c, lambda y: np.corrcoef(days, y)[0, 1] ** 2 if y.std() else np.nan),
        "RESI": rolled(c, lambda y: y[-1] - (line(y)[0] * d + line(y)[1])) / c,
        "MAX": highest / c,
        "MIN": lowest / c,
        "QTLU": c.rolling(d).quantile(0.8) / c,
        "QTLD": c.rolling(d).quantile(0.2) / c,
        "RANK": c.rolling(d).rank(pct=True),
        "RSV": (c - lowest) / (highest - lowest + 1e-12),
        "IMAX": high_at / d,
        "IMIN": low_at / d,
        "IMXD": (high_at - low_at) / d,
        "CORR": c.rolling(d).corr(np.log(v + 1)).where(c.rolling(d).std() > 2e-5),
        "CORD": (c / before).rolling(d).corr(np.log(v / volume_before + 1)).where((c / before).rolling(d).std() > 2e-5),
        "CNTP": up,
        "CNTN": down,
        "CNTD": up - down,
        "SUMP": share(c, 1),
        "SUMN": share(c, -1),
        "SUMD": share(c, 1) - share(c, -1),
        "VMA": v.rolling(d).mean() / (v + 1e-12),
        "VSTD": v.rolling(d).std() / (v + 1e-12),
        "WVMA": move.rolling(d).std() / (move.rolling(d).mean() + 1e-12),
        "VSUMP": share(v, 1),
        "VSUMN": share(v, -1),
        "VSUMD": share(v, 1) - share(v, -1),
    }


@pytest.mark.parametrize("window", WINDOWS)
def test_rolling_features_are_those_of_qlib(bars, found, window):
    expected = qlib(bars.to_pandas(), window)
    assert len(expected) == 29
    for name, series in expected.items():
        values = found[f"{name}{window}"].to_numpy()
        np.testing.assert_allclose(values, series.to_numpy(), rtol=1e-9, atol=1e-9, err_msg=f"{name}{window}")


def test_features_of_a_bar_are_those_of_qlib(bars, found):
    b = bars.to_pandas()
    top, bottom = np.maximum(b.open, b.close), np.minimum(b.open, b.close)
    reach, balance = b.high - b.low + 1e-12, 2 * b.close - b.high - b.low
    expected = {
        "KMID": (b.close - b.open) / b.open,
        "KLEN": (b.high - b.low) / b.open,
        "KMID2": (b.close - b.open) / reach,
        "KUP": (b.high - top) / b.open,
        "KUP2": (b.high - top) / reach,
        "KLOW": (bottom - b.low) / b.open,
        "KLOW2": (bottom - b.low) / reach,
        "KSFT": balance / b.open,
        "KSFT2": balance / reach,
        "OPEN0": b.open / b.close,
        "HIGH0": b.high / b.close,
        "LOW0": b.low / b.close,
        "VWAP0": b.vwap / b.close,
    }
    for name, series in expected.items():
        np.testing.assert_allclose(found[name].to_numpy(), series.to_numpy(), rtol=1e-12, atol=1e-12, err_msg=name)
    assert list(expected) == list(SETS["alpha158"].names[:13])
    assert len(SETS["alpha158"].names) == 158


def test_vwap_is_null_where_bars_have_none(bars):
    features = SETS["alpha158"].features
    assert compute(features, bars.drop("vwap"))["VWAP0"].is_null().all()


def test_a_window_without_a_move_or_a_volume_keeps_no_rounding_error():
    """Volumes that a split made fractions leave a rest in running sums, which is large beside 1e-12."""
    rows = invented(600, seed=7)
    still = pl.int_range(pl.len()) >= 500
    names = ("open", "high", "low", "close")
    rows = rows.with_columns(
        *(pl.when(still).then(1000 / 3).otherwise(pl.col(name) * 1e4 / 7).alias(name) for name in names),
        volume=pl.when(still).then(0.0).otherwise(pl.col("volume") * 1e4 / 7),
    )
    found = compute(SETS["alpha158"].features, rows).tail(30)
    for name in ("SUMP", "SUMN", "SUMD", "VSUMP", "VSUMN", "VSUMD", "VMA"):
        for window in WINDOWS:
            assert found[f"{name}{window}"].to_list() == [0.0] * 30, f"{name}{window}"
