"""The set `technical`: indicators of one symbol's bars, by family."""

from __future__ import annotations

from quantx.core.features.feature import FeatureSet
from quantx.core.features.technical.momentum import MOMENTUM
from quantx.core.features.technical.returns import RETURNS
from quantx.core.features.technical.trend import TREND
from quantx.core.features.technical.volatility import VOLATILITY
from quantx.core.features.technical.volume import VOLUME

TECHNICAL = FeatureSet(
    "technical", "Indicators of a symbol's bars", (*RETURNS, *TREND, *MOMENTUM, *VOLATILITY, *VOLUME)
)

__all__ = ["TECHNICAL"]
