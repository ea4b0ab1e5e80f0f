"""The declared shapes of FMP's replies: recordings of 2023 and its documentation (2026).

Fields that are not read may be missing or null.
"""

from __future__ import annotations

from quantx.providers.drift import Shape

_PRICES = dict.fromkeys(("open", "high", "low", "close", "volume"), "number|null")
_BARS = {"symbol": "text", "date": "text", **_PRICES, "change?": "number|null", "changePercent?": "number|null"}

SHAPES = {
    "bars": Shape("bars", [{**_BARS, "vwap?": "number|null"}]),
    "splits": Shape(
        "splits",
        [{"symbol": "text", "date": "text", "numerator": "number", "denominator": "number", "splitType?": "text|null"}],
    ),
    "dividends": Shape(
        "dividends",
        [
            {
                "symbol": "text",
                "date": "text",
                "adjDividend": "number",
                "dividend?": "number|null",
                "recordDate?": "text|null",
                "paymentDate?": "text|null",
                "declarationDate?": "text|null",
                "yield?": "number|null",
                "frequency?": "text|null",
            }
        ],
    ),
}
# The rows of the older api/v3, which is not fetched any more.
EARLIER_BARS = Shape(
    "bars",
    [
        {
            "date": "text",
            **_PRICES,
            "adjClose": "number|null",
            "unadjustedVolume?": "number|null",
            "change?": "number|null",
            "changePercent?": "number|null",
            "vwap?": "number|null",
            "label?": "text|null",
            "changeOverTime?": "number|null",
        }
    ],
)
