"""Preparation of features, fitted on training rows alone: cut off tails, fill nulls, standardize."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantx.research.study import Preprocessing

    Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FittedPreprocessing:
    """The figures of the training rows, one of each kind per feature; they are applied in the order of the fields."""

    low: Matrix
    high: Matrix
    fill: Matrix  # NaN: nulls stay
    mean: Matrix
    deviation: Matrix

    def apply(self, features: Matrix) -> Matrix:
        """Return prepared features; NaN is a null."""
        cut = np.clip(features, self.low, self.high)
        filled = np.where(np.isnan(cut), self.fill, cut)
        return np.asarray((filled - self.mean) / self.deviation)


def fit_preprocessing(spec: Preprocessing, features: Matrix) -> FittedPreprocessing:
    """Return the figures of training rows (rows × features, NaN is a null).

    A feature without any value in training is 0 everywhere; one with a single value is not divided.
    """
    count = features.shape[1]
    none = np.isnan(features).all(axis=0)
    known = np.where(none, 0.0, features)
    low, high = np.full(count, -np.inf), np.full(count, np.inf)
    if spec.winsorize:
        low, high = np.nanquantile(known, [spec.winsorize, 1 - spec.winsorize], axis=0)
    low, high = np.where(none, 0.0, low), np.where(none, 0.0, high)
    cut = np.clip(known, low, high)
    fill = {"median": np.nanmedian(cut, axis=0), "zero": np.zeros(count), "none": np.full(count, np.nan)}[spec.fill]
    fill = np.where(none, 0.0, fill)
    filled = np.where(np.isnan(cut), fill, cut)
    mean, deviation = np.zeros(count), np.ones(count)
    if spec.standardize:
        mean, spread = np.nanmean(filled, axis=0), np.nanstd(filled, axis=0)
        # A constant column has a spread of rounding errors.
        deviation = np.where(spread > 1e-12 * np.maximum(1.0, np.abs(mean)), spread, 1.0)
    return FittedPreprocessing(low=low, high=high, fill=fill, mean=mean, deviation=deviation)
