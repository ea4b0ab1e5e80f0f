"""The declared shapes of Yahoo's charts: the fields of the replies recorded from 2021 to 2025.

Fields that every recording has are required. Those without a meaning for us are declared, too: what is not here is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quantx.providers.drift import Shape

_META = {
    "currency": "text|null",  # null for a delisted symbol (CAPIO.ST, 2024-10) and for some indices
    "symbol": "text",
    "exchangeName": "text",
    "fullExchangeName?": "text",  # not before 2024
    "instrumentType": "text",
    "firstTradeDate": "whole|null",
    "regularMarketTime": "whole|null",
    "hasPrePostMarketData?": "flag",
    "gmtoffset": "whole",
    "timezone": "text",
    "exchangeTimezoneName": "text",
    "regularMarketPrice?": "number|null",
    "fiftyTwoWeekHigh?": "number|null",
    "fiftyTwoWeekLow?": "number|null",
    "regularMarketDayHigh?": "number|null",
    "regularMarketDayLow?": "number|null",
    "regularMarketVolume?": "number|null",
    "longName?": "text|null",
    "shortName?": "text|null",
    "chartPreviousClose?": "number|null",
    "previousClose?": "number|null",  # of minute bars
    "scale?": "whole",  # of minute bars
    "priceHint": "whole",
    "currentTradingPeriod": "any",
    "tradingPeriods?": "any",  # of minute bars: a list, or an object of lists
    "dataGranularity": "text",
    "range": "text",
    "validRanges": ["text"],
    "synthetic?": "flag",  # the sandbox's mark of invented prices
}
_EVENTS = {
    "dividends?": {"*": {"amount": "number", "date": "whole", "currency?": "text"}},
    "splits?": {
        "*": {"date": "whole", "numerator": "number", "denominator": "number", "splitRatio": "text"},
    },
    "capitalGains?": {"*": {"amount": "number", "date": "whole", "currency?": "text"}},
}
_VALUES = ["number|null"]
_QUOTE = dict.fromkeys(("open", "high", "low", "close", "volume"), _VALUES)


def _chart(result: Mapping[str, Any]) -> Shape:
    return Shape("bars", {"chart": {"result": [{"meta": _META, "events?": _EVENTS, **result}], "error": "null"}})


CHART = _chart(
    {
        "timestamp": ["whole"],
        "indicators": {"quote": [_QUOTE], "adjclose?": [{"adjclose": _VALUES}]},  # minute bars have no adjclose
    }
)
# Of a delisted symbol, or of a window without a trade: no timestamps; the columns may be missing or empty.
CHART_WITHOUT_BARS = _chart(
    {
        "indicators": {
            "quote": [{f"{name}?": form for name, form in _QUOTE.items()}],
            "adjclose?": [{"adjclose?": _VALUES}],
        }
    }
)


def shape_of(document: Any) -> Shape:
    """Return the shape of a chart reply: with bars, or without."""
    match document:
        case {"chart": {"result": [{"timestamp": _}, *_]}}:
            return CHART
    return CHART_WITHOUT_BARS
