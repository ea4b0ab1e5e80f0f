"""Preparation of features: its figures come from the training rows alone."""

from __future__ import annotations

import numpy as np
import pytest

from quantx.research.preprocessing import fit_preprocessing
from quantx.research.study import Preprocessing

NAN = float("nan")


def test_features_are_cut_off_filled_and_standardized_with_figures_of_training() -> None:
    train = np.array([[0.0], [1.0], [2.0], [3.0], [100.0], [NAN]])
    fitted = fit_preprocessing(Preprocessing(winsorize=0.25), train)
    # Quartiles 1 and 3; cut off: 1, 1, 2, 3, 3 and the median 2 for the null. Mean 2, deviation √(4/6).
    spread = np.sqrt(4 / 6)
    assert fitted.apply(train)[:, 0] == pytest.approx(np.array([-1, -1, 0, 1, 1, 0]) / spread)
    assert fitted.apply(np.array([[1e9], [NAN]]))[:, 0] == pytest.approx([1 / spread, 0.0])


def test_a_feature_without_values_or_without_spread_is_zero() -> None:
    train = np.array([[NAN, 5.0, 0.1], [NAN, 5.0, 0.1], [NAN, 5.0, 0.1]])
    for fill in ("median", "zero", "none"):
        fitted = fit_preprocessing(Preprocessing(fill=fill), train)
        assert fitted.apply(train) == pytest.approx(np.zeros((3, 3)), abs=1e-12)
        # In a test range it may have values: the model has learnt nothing of them.
        assert np.isfinite(fitted.apply(np.array([[3.0, 6.0, 0.2]]))).all()
        assert fitted.apply(np.array([[3.0, 5.0, 0.1]]))[0, 0] == 0


def test_nulls_stay_for_models_that_know_them() -> None:
    train = np.array([[1.0], [NAN], [3.0]])
    none = fit_preprocessing(Preprocessing(fill="none", winsorize=0, standardize=False), train)
    assert none.apply(train)[:, 0] == pytest.approx([1.0, NAN, 3.0], nan_ok=True)
