"""The declared shapes of Alpha Vantage's replies, by function: recordings of 2017 to 2020 and its documentation (2026).

All values are texts.
"""

from __future__ import annotations

from quantx.providers.drift import Shape

_PRICES = {"1. open": "text", "2. high": "text", "3. low": "text", "4. close": "text"}
_SERIES = {"1. Information": "text", "2. Symbol": "text", "3. Last Refreshed": "text"}
_DAILY = {**_SERIES, "4. Output Size": "text", "5. Time Zone": "text"}
_DATES = dict.fromkeys(("declaration_date", "record_date", "payment_date"), "text")

SHAPES = {
    "TIME_SERIES_DAILY": Shape(
        "bars", {"Meta Data": _DAILY, "Time Series (Daily)": {"*": {**_PRICES, "5. volume": "text"}}}
    ),
    "TIME_SERIES_DAILY_ADJUSTED": Shape(
        "adjusted_bars",
        {
            "Meta Data": _DAILY,
            "Time Series (Daily)": {
                "*": {
                    **_PRICES,
                    "5. adjusted close": "text",
                    "6. volume": "text",
                    "7. dividend amount": "text",
                    "8. split coefficient": "text",
                }
            },
        },
    ),
    "TIME_SERIES_INTRADAY": Shape(
        "minutes",
        {
            "Meta Data": {**_SERIES, "4. Interval": "text", "5. Output Size": "text", "6. Time Zone": "text"},
            "Time Series (1min)": {"*": {**_PRICES, "5. volume": "text"}},
        },
    ),
    "SPLITS": Shape("splits", {"symbol": "text", "data": [{"effective_date": "text", "split_factor": "text"}]}),
    "DIVIDENDS": Shape(
        "dividends", {"symbol": "text", "data": [{"ex_dividend_date": "text", "amount": "text", **_DATES}]}
    ),
}
