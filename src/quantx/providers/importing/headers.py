"""The columns of files by the names that vendors and tools give them, and the layouts whose price basis is known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# By field: names in lower case, without anything but letters and digits.
NAMES: Mapping[str, tuple[str, ...]] = {
    "date": (
        *("date", "day", "datetime", "timestamp", "tradedate", "tradingday", "tradingdate", "pricedate"),
        *(
            "data",
            "datum",
            "fecha",
            "dateutc",
            "begins",
            "bartime",
            "opentime",
            "windowstart",
            "gmttime",
            "time",
            "unixtime",
        ),
    ),
    "clock": ("time", "clock", "hour", "godzina"),
    "open": ("open", "o", "openprice", "openingprice", "otwarcie", "pxopen", "first"),
    "high": ("high", "h", "highprice", "max", "najwyzszy", "pxhigh", "dayhigh"),
    "low": ("low", "l", "lowprice", "min", "najnizszy", "pxlow", "daylow"),
    "close": (
        *("close", "c", "closeprice", "closingprice", "closelast", "last", "lastprice", "pxlast", "zamkniecie"),
        "price",
    ),
    "volume": ("volume", "vol", "v", "wolumen", "volumeshares", "sharevolume", "pxvolume", "totalvolume"),
    "adj_close": ("adjclose", "adjustedclose", "adjustedcloseprice", "closeadj"),
    "dividend": ("dividend", "dividends", "exdividend", "divcash", "dividendamount", "exdividends"),
    "split": ("split", "splits", "splitratio", "splitfactor", "splitcoefficient", "stocksplits"),
    "symbol": ("symbol", "ticker", "code", "sym", "actsymbol", "name", "instrument", "stock", "tickersymbol"),
}


@dataclass(frozen=True)
class KnownHeader:
    """A header whose origin is known, and with it the basis of its prices. `source` is where that is documented."""

    name: str
    columns: frozenset[str]  # all of them are in the header, by their plain names
    basis: str
    source: str
    exact: bool = False  # the header has no other columns


# The more special ones first.
LAYOUTS = (
    KnownHeader(
        "Quandl WIKI",
        frozenset(("date", "open", "high", "low", "close", "volume", "exdividend", "splitratio")),
        "as_traded",
        "prices, ex-dividends and split ratios as traded (Quandl's description of WIKI/PRICES, until 2018)",
    ),
    KnownHeader(
        "Tiingo",
        frozenset(("date", "close", "open", "high", "low", "volume", "divcash", "splitfactor")),
        "as_traded",
        "api.tiingo.com/documentation/end-of-day: close is as traded, adjClose adjusted",
    ),
    KnownHeader(
        "Alpha Vantage adjusted",
        frozenset(("timestamp", "open", "high", "low", "close", "adjustedclose", "dividendamount", "splitcoefficient")),
        "as_traded",
        "alphavantage.co/documentation: raw (as-traded) values and events",
    ),
    KnownHeader(
        "zipline csvdir",
        frozenset(("date", "open", "high", "low", "close", "volume", "dividend", "split")),
        "as_traded",
        "zipline.ml4trading.io/bundles: csvdir has unadjusted prices with dividend and split",
        exact=True,
    ),
    KnownHeader(
        "yfinance with events",
        frozenset(("date", "open", "high", "low", "close", "adjclose", "volume", "dividends", "stocksplits")),
        "split_adjusted",
        "yfinance with auto_adjust=False, actions=True: Yahoo divides its prices by splits",
    ),
    KnownHeader(
        "yfinance adjusted",
        frozenset(("date", "open", "high", "low", "close", "volume", "dividends", "stocksplits")),
        "total_adjusted",
        "yfinance's default auto_adjust=True",
    ),
    KnownHeader(
        "Yahoo",
        frozenset(("date", "open", "high", "low", "close", "adjclose", "volume")),
        "split_adjusted",
        "help.yahoo.com/kb/SLN28256: close is adjusted for splits, adjusted close for splits and dividends",
        exact=True,
    ),
    KnownHeader(
        "Stooq bulk",
        frozenset(("ticker", "per", "date", "time", "open", "high", "low", "close", "vol", "openint")),
        "total_adjusted",
        "stooq.com/db/h: adjusted for splits and dividends",
        exact=True,
    ),
    KnownHeader(
        "Stooq",
        frozenset(("data", "otwarcie", "najwyzszy", "najnizszy", "zamkniecie", "wolumen")),
        "total_adjusted",
        "stooq.pl: adjusted for splits and dividends",
        exact=True,
    ),
    KnownHeader(
        "Stooq",
        frozenset(("data", "otwarcie", "najwyzszy", "najnizszy", "zamkniecie")),
        "total_adjusted",
        "stooq.pl: adjusted for splits and dividends",
        exact=True,
    ),
)


def plain(name: str) -> str:
    """Return a column's name in lower case, without brackets, blanks and signs.

    >>> plain("<TICKER>"), plain("Adj Close"), plain("Close/Last"), plain("ex-dividend")
    ('ticker', 'adjclose', 'closelast', 'exdividend')
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())


def columns_of(header: Sequence[str]) -> dict[str, str]:
    """Return the header's name of each field that it has; of several names the one that is listed first."""
    by_plain: dict[str, str] = {}
    for name in header:
        by_plain.setdefault(plain(name), name)
    found: dict[str, str] = {}
    for field, names in NAMES.items():
        column = next((by_plain[n] for n in names if n in by_plain and by_plain[n] not in found.values()), None)
        if column is not None:
            found[field] = column
    if "close" in found and plain(found["close"]) == "price" and not {"open", "high", "low"} <= found.keys():
        del found["close"]  # a price without a bar: of a trade or a quote
    return found


def layout_of(header: Sequence[str]) -> KnownHeader | None:
    """Return the known layout of a header, None for any other."""
    names = frozenset(map(plain, header))
    return next((x for x in LAYOUTS if (names == x.columns if x.exact else names >= x.columns)), None)


def repeated(header: Sequence[str]) -> str | None:
    """Return a name that a header has twice."""
    return next((name for name in header if name and list(header).count(name) > 1), None)
