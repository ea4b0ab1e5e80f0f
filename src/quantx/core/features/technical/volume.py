"""Volume: how much was traded, and with which price."""

from __future__ import annotations

from quantx.core.features.feature import CarriedMemory, RowMemory
from quantx.core.features.kernels import Rolling, dollar_volume, money_flow, talib, volume_ratio
from quantx.core.features.technical.indicator import RECURSIVE, indicator

_BARS = ("high", "low", "close", "volume")

VOLUME = (
    indicator(
        "obv",
        talib("obv", "close", "volume"),
        "sum of the volumes of rows with a higher close, less those with a lower one, from the first row's volume",
        memory=CarriedMemory(),
        basis="split",
        unit="shares",
    ),
    indicator(
        "ad",
        talib("ad", *_BARS),
        "sum of volume · ((close − low) − (high − close)) / (high − low)",
        memory=CarriedMemory(),
        basis="split",
        unit="shares",
    ),
    indicator(
        "adosc_3_10",
        talib("adosc", *_BARS, fastperiod=3, slowperiod=10),
        "exponential mean of ad of 3 rows − that of 10 rows",
        memory=RECURSIVE,
        basis="split",
        unit="shares",
    ),
    indicator(
        "chaikin_money_flow_20",
        Rolling(money_flow, _BARS, 20),
        "Σ volume · ((close − low) − (high − close)) / (high − low) of 20 rows / Σ volume",
        source="M. Chaikin; as StockCharts and LEAN compute it",
        memory=RowMemory(20),
    ),
    indicator(
        "volume_sma_20",
        talib("sma", "volume", timeperiod=20),
        "mean of 20 volumes",
        memory=RowMemory(20),
        basis="split",
        unit="shares",
    ),
    indicator(
        "volume_ratio_20",
        Rolling(volume_ratio, ("volume",), 20),
        "volume / mean of 20 volumes",
        memory=RowMemory(20),
    ),
    indicator(
        "dollar_volume_21",
        Rolling(dollar_volume, ("close", "volume"), 21),
        "mean of close · volume of 21 rows, in the currency of the price",
        memory=RowMemory(20),
        basis="split",
        unit="currency",
    ),
)
