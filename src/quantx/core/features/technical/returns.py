"""Returns and distances: where a price stands against its own past."""

from __future__ import annotations

from quantx.core.features.feature import Feature, RowMemory
from quantx.core.features.kernels import Rolling, above_low, below_high, change, momentum_before_last_month, overnight
from quantx.core.features.technical.indicator import indicator

_CLOSE = ("close",)
_VERSION = 2  # null where a price is not above zero
_JT = "N. Jegadeesh, S. Titman, Returns to buying winners and selling losers, 1993"
_GH = "T. George, C.-Y. Hwang, The 52-week high and momentum investing, 2004"


def _return(rows: int) -> Feature:
    formula = f"close / close {rows} rows before − 1, dividends included"
    return indicator(f"return_{rows}", Rolling(change, _CLOSE, rows), formula, memory=RowMemory(rows), version=_VERSION)


RETURNS = (
    *(_return(rows) for rows in (1, 5, 21, 63, 126, 252)),
    indicator(
        "momentum_12_1",
        Rolling(momentum_before_last_month, _CLOSE, 252),
        "close 21 rows before / close 252 rows before − 1",
        source=_JT,
        memory=RowMemory(252),
        version=_VERSION,
    ),
    indicator(
        "return_overnight",
        Rolling(overnight, ("open", "close"), 1),
        "open / close of the row before − 1, dividends included",
        memory=RowMemory(1),
        version=_VERSION,
    ),
    indicator(
        "high_252_distance",
        Rolling(below_high, ("high", "close"), 252),
        "close / highest high of 252 rows − 1",
        source=_GH,
        memory=RowMemory(251),
        version=_VERSION,
    ),
    indicator(
        "low_252_distance",
        Rolling(above_low, ("low", "close"), 252),
        "close / lowest low of 252 rows − 1",
        memory=RowMemory(251),
        version=_VERSION,
    ),
)
