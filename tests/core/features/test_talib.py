"""Kernels of TA-Lib equal TA-Lib's own functions, with the same warm-up: over arrays and as Polars expressions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.core.features.bars import invented

from quantx.core.features.compute import compute
from quantx.core.features.kernels import Talib
from quantx.core.features.sets import SETS

talib = pytest.importorskip("talib", reason="TA-Lib for Python is not installed")
abstract = pytest.importorskip("talib.abstract")
FEATURES = [f for f in SETS["technical"].features if isinstance(f.kernel, Talib) and not callable(f.output)]


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    return invented(600)


@pytest.fixture(scope="module")
def found(bars: pl.DataFrame) -> pl.DataFrame:
    return compute(FEATURES, bars)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda each: each.name)
def test_a_kernel_is_the_function_of_talib(feature, bars, found):
    kernel = feature.kernel
    columns = (bars[name].to_numpy() for name in kernel.inputs)
    result = getattr(talib, kernel.function.upper())(*columns, **dict(kernel.parameters))
    if feature.output is not None:
        result = result[abstract.Function(kernel.function.upper()).output_names.index(feature.output)]
    np.testing.assert_allclose(found[feature.name].to_numpy(), result, rtol=1e-12, atol=1e-12)


def test_polars_expressions_give_the_same_where_talib_is_not_installed(bars, found, monkeypatch):
    monkeypatch.setattr("quantx.core.features.compute.has_talib", lambda: False)
    assert_frame_equal(compute(FEATURES, bars), found, rel_tol=1e-12, abs_tol=1e-12)
