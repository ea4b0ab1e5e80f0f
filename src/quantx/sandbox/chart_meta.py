"""The `meta` block of a chart, with the fields of Yahoo's recordings of 2025."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from quantx.core.asset_classes import class_of
from quantx.core.symbols import US, Venue
from quantx.providers.yahoo import wire_symbol
from quantx.sandbox.columns import Floats
from quantx.sandbox.hours import day_number, hours_of
from quantx.sandbox.view import View

VALID_RANGES = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]

_EXCHANGES = {
    "XNYS": ("NMS", "NasdaqGS"),
    "XHKG": ("HKG", "HKSE"),
    "XTKS": ("JPX", "Tokyo"),
    "XLON": ("LSE", "LSE"),
    "XETR": ("GER", "XETRA"),
    "XPAR": ("PAR", "Paris"),
    "XAMS": ("AMS", "Amsterdam"),
}
# Of the classes without an exchange, and of Cboe's rates, which are in Chicago's zone (recorded in 2025 and 2026).
_PLACES_OF_CLASSES = {
    "currency_pair": ("CCY", "CCY"),
    "crypto": ("CCC", "CCC"),
    "future": ("NYM", "NY Mercantile"),
    "rate": ("CGI", "Cboe Indices"),
}
_PENCE = {"GBX": "GBp"}
_IN_CENTS = {"ZC=F": "USX"}
_AROUND_THE_CLOCK = ("currency_pair", "crypto", "future")  # their day ends at 23:59, as recorded
_TYPES = {
    "currency_pair": "CURRENCY",
    "crypto": "CRYPTOCURRENCY",
    "future": "FUTURE",
    "index": "INDEX",
    "rate": "INDEX",
    "equity": "EQUITY",
}
_AMERICAN_PRE, _AMERICAN_POST = 19_800, 14_400  # 04:00 to 09:30 and 16:00 to 20:00, as recorded
_YEAR = 365 * 86_400


def chart_meta(view: View, now: datetime, bars: dict[str, Floats], seen: int) -> dict[str, Any]:
    """Return the fields that do not depend on the window; `bars` are those sent, `seen` counts the begun ones."""
    past = view.history
    clock = int(now.timestamp())
    last = seen - 1
    hint = 2 if not bars["close"][last] < 1 else 4  # pence stocks have four decimals (recorded: APS.AX)
    year = slice(int(np.searchsorted(past.opens, clock - _YEAR)), seen)
    kind, code = class_of(past.symbol), past.venue.calendar
    exchange, full = _PLACES_OF_CLASSES.get(kind) or _EXCHANGES.get(code, (code, code))
    venue = replace(past.venue, timezone="America/Chicago") if kind == "rate" else past.venue
    volume = bars["volume"][last]
    meta: dict[str, Any] = {
        "currency": _IN_CENTS.get(past.symbol) or _PENCE.get(past.venue.currency, past.venue.currency),
        "symbol": wire_symbol(past.symbol),
        "exchangeName": exchange,
        "fullExchangeName": full,
        "instrumentType": _TYPES[kind],
        "firstTradeDate": int(past.opens[0]),
        "regularMarketTime": min(clock, int(past.closes[last]) - (60 if kind in _AROUND_THE_CLOCK else 0)),
        "hasPrePostMarketData": past.venue.market == "us" and kind == "equity",
        **_zone_fields(venue, now),
        "regularMarketPrice": _rounded(bars["close"][last], hint),
        "fiftyTwoWeekHigh": _rounded(_extreme(np.fmax, bars["high"][year]), hint),
        "fiftyTwoWeekLow": _rounded(_extreme(np.fmin, bars["low"][year]), hint),
        "regularMarketDayHigh": _rounded(bars["high"][last], hint),
        "regularMarketDayLow": _rounded(bars["low"][last], hint),
        "regularMarketVolume": None if np.isnan(volume) else int(volume),
        "longName": past.name,
        "shortName": past.name,
        "priceHint": hint,
        "currentTradingPeriod": _trading_period(venue, now),
        "dataGranularity": "1d",
    }
    return {**meta, "synthetic": True} if past.synthetic else meta


def delisted_meta(view: View, now: datetime) -> dict[str, Any]:
    """Return the meta block of a delisted symbol, in the form recorded for CAPIO.ST in October 2024.

    Its zone is New York for every exchange.
    """
    past = view.history
    return {
        "currency": None,
        "symbol": wire_symbol(past.symbol),
        "exchangeName": "YHD",
        "fullExchangeName": "YHD",
        "instrumentType": "MUTUALFUND",
        "firstTradeDate": None,
        "regularMarketTime": int(past.closes[-1]),
        "hasPrePostMarketData": False,
        **_zone_fields(US, now),
        "longName": past.name,
        "priceHint": 2,
        "currentTradingPeriod": _trading_period(US, now),
        "dataGranularity": "1d",
        "range": "",
        "validRanges": ["1mo", "3mo", "6mo", "ytd", "1y", "2y", "5y", "10y", "max"],
        **({"synthetic": True} if past.synthetic else {}),
    }


def _zone_fields(venue: Venue, now: datetime) -> dict[str, Any]:
    local = now.astimezone(hours_of(venue).zone)
    offset = local.utcoffset()
    assert offset is not None, "a zoned time has an offset"
    return {
        "gmtoffset": int(offset.total_seconds()),
        "timezone": local.tzname(),
        "exchangeTimezoneName": venue.timezone,
    }


def _trading_period(venue: Venue, now: datetime) -> dict[str, Any]:
    """Return the session of the clock's local day or the last one before it, as recorded on a Saturday."""
    hours = hours_of(venue)
    zone = _zone_fields(venue, now)
    opened, closed = hours.latest(day_number(now.astimezone(hours.zone).date()))
    before, after = (_AMERICAN_PRE, _AMERICAN_POST) if venue.market == "us" else (0, 0)
    spans = {"pre": (opened - before, opened), "regular": (opened, closed), "post": (closed, closed + after)}
    return {
        name: {"timezone": zone["timezone"], "start": start, "end": end, "gmtoffset": zone["gmtoffset"]}
        for name, (start, end) in spans.items()
    }


def _extreme(which: np.ufunc, values: Floats) -> float:
    return float(which.reduce(values)) if values.size else float("nan")


def _rounded(value: float, places: int) -> float | None:
    return None if np.isnan(value) else round(float(value), places)


def previous_close(close: Floats, first: int) -> float | None:
    """Return the close before the window, three decimals; the first close of all where the window begins with it."""
    return _rounded(close[max(0, first - 1)], 3)
