"""The set `alpha158`: the features of qlib's Alpha158, with qlib's names and definitions.

A feature is null until its window is full (qlib computes it from one row on), and where its inputs lack a value.
"""

from __future__ import annotations

from quantx.core.features.alpha158.bars import BAR_FEATURES
from quantx.core.features.alpha158.rolling import ROLLING_FEATURES
from quantx.core.features.feature import FeatureSet

ALPHA158 = FeatureSet("alpha158", "qlib's Alpha158", (*BAR_FEATURES, *ROLLING_FEATURES))

__all__ = ["ALPHA158"]
