"""Canonical symbols, and the facts of a listing that follow from its symbol.

`AAPL`, `BRK.B` are American; a suffix names the exchange elsewhere: `0700.HK`, `7203.T`, `ASML.AS`. An index (`^GSPC`,
`^N225`) belongs to the exchange in the table of `indices`. A code of Hong Kong has four digits at least: the exchange's
own form `00700` and Stooq's `700` are the share `0700.HK`. Currency pairs (`EURUSD=X`), crypto currencies (`BTC-USD`)
and futures (`CL=F`, `CLZ26.NYM`) have the venue of their class in `asset_classes`.
Only texts that match a market's pattern are accepted (an allow-list). A symbol is therefore safe in a path, a message
or a query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

from quantx.core.asset_classes import (
    ASSET_CLASSES,
    class_of,
    classed_symbol,
    quoted_currency,
    symbol_of_pair,
    wire_of_class,
)
from quantx.core.indices import AMERICAN_INDICES, CURRENCIES_OF_INDICES, EXCHANGES_OF_INDICES
from quantx.errors import InvalidSymbol


@dataclass(frozen=True)
class Venue:
    """The venue of a symbol: facts that all listings with one suffix share."""

    market: str  # us, hk, jp, eu, fx, crypto or futures
    calendar: str  # ISO 10383 code of the exchange calendar
    timezone: str  # IANA zone of the exchange
    currency: str  # the usual currency of quotes (GBX = pence)


US = Venue("us", "XNYS", "America/New_York", "USD")

# The suffixes of Yahoo and Refinitiv.
VENUES_BY_SUFFIX = {
    "HK": Venue("hk", "XHKG", "Asia/Hong_Kong", "HKD"),
    "T": Venue("jp", "XTKS", "Asia/Tokyo", "JPY"),
    "AS": Venue("eu", "XAMS", "Europe/Amsterdam", "EUR"),
    "BR": Venue("eu", "XBRU", "Europe/Brussels", "EUR"),
    "CO": Venue("eu", "XCSE", "Europe/Copenhagen", "DKK"),
    "DE": Venue("eu", "XETR", "Europe/Berlin", "EUR"),
    "HE": Venue("eu", "XHEL", "Europe/Helsinki", "EUR"),
    "IR": Venue("eu", "XDUB", "Europe/Dublin", "EUR"),
    "L": Venue("eu", "XLON", "Europe/London", "GBX"),
    "LS": Venue("eu", "XLIS", "Europe/Lisbon", "EUR"),
    "MC": Venue("eu", "XMAD", "Europe/Madrid", "EUR"),
    "MI": Venue("eu", "XMIL", "Europe/Rome", "EUR"),
    "OL": Venue("eu", "XOSL", "Europe/Oslo", "NOK"),
    "PA": Venue("eu", "XPAR", "Europe/Paris", "EUR"),
    "PR": Venue("eu", "XPRA", "Europe/Prague", "CZK"),
    "ST": Venue("eu", "XSTO", "Europe/Stockholm", "SEK"),
    "SW": Venue("eu", "XSWX", "Europe/Zurich", "CHF"),
    "VI": Venue("eu", "XWBO", "Europe/Vienna", "EUR"),
    "WA": Venue("eu", "XWAR", "Europe/Warsaw", "PLN"),
}

VENUES_OF_INDICES = dict.fromkeys(sorted(AMERICAN_INDICES), US) | {
    index: replace(
        VENUES_BY_SUFFIX[suffix], currency=CURRENCIES_OF_INDICES.get(suffix, VENUES_BY_SUFFIX[suffix].currency)
    )
    for index, suffix in EXCHANGES_OF_INDICES.items()
}

# The markets of exchanges, and those of the classes without one.
MarketName = Literal["us", "hk", "jp", "eu", "fx", "crypto", "futures"]
MARKETS: tuple[str, ...] = get_args(MarketName)
# One venue for each class without an exchange; the currency is that of the symbol.
VENUES_OF_CLASSES = {
    each.name: Venue(each.market, str(each.calendar), str(each.timezone), "USD")
    for each in ASSET_CLASSES.values()
    if each.market is not None
}

VENUES = (US, *VENUES_BY_SUFFIX.values(), *VENUES_OF_CLASSES.values())
MARKET_OF_CALENDAR = {venue.calendar: venue.market for venue in VENUES}

# One pattern per market. American share classes and preferred series follow a dot (BRK.B, BAC.PRL). `T` and `L` after a
# dot are Tokyo and London; Tokyo's codes have four characters and start with a digit.
_PATTERNS = {
    "us": re.compile(r"[A-Z][A-Z0-9]{0,6}(\.[A-Z]{1,3})?|\^[A-Z][A-Z0-9]{0,8}"),
    "hk": re.compile(r"(?!0+\.)[0-9]{1,5}\.HK"),
    "jp": re.compile(r"[0-9][0-9A-Z]{3}\.T"),
    "eu": re.compile(r"[A-Z0-9][A-Z0-9]{0,9}(-[A-Z0-9]{1,4})?\.[A-Z]{1,2}"),
}
_LONGEST = 16
# A filer of the SEC, whose securities have symbols of their own: its CIK with ten digits. It files in New York's time.
_FILER = re.compile(r"CIK(?!0{10})[0-9]{10}")
# Suffixes that only vendors use (https://stooq.com/db/): the suffix of the same exchange here, "" for American symbols.
_SUFFIXES_OF_VENDORS = {"US": "", "JP": "T", "UK": "L"}


@lru_cache(maxsize=65536)
def parse_symbol(text: str) -> str:
    """Return the canonical form of `text`, or raise InvalidSymbol.

    Letters become upper case, surrounding white space is removed, and a code of Hong Kong gets its four digits.

    >>> parse_symbol("brk.b"), parse_symbol("0700.HK"), parse_symbol("00700.HK"), parse_symbol("5.HK")
    ('BRK.B', '0700.HK', '0700.HK', '0005.HK')
    """
    symbol = _canonical(text)
    if symbol is None:
        raise _not_a_symbol(text)
    if symbol.startswith("^") and symbol not in VENUES_OF_INDICES:
        raise InvalidSymbol(
            f"{symbol} is an index whose exchange is not known, so its sessions can't be either; the known ones, such"
            " as ^GSPC, ^N225, ^FTSE, ^HSI and ^GDAXI, are in the table of quantx.core.indices"
        )
    return symbol


def stored_symbol(text: str) -> str:
    """Return the canonical form of the symbol of a series, or raise InvalidSymbol.

    It admits also filers, and the indices that `parse_symbol` refuses and that an earlier version may have stored.

    >>> stored_symbol("00700.HK"), stored_symbol("^TWII"), stored_symbol("cik0000320193")
    ('0700.HK', '^TWII', 'CIK0000320193')
    """
    if text.isascii() and is_filer(text.strip().upper()):
        return text.strip().upper()
    symbol = _canonical(text)
    if symbol is None:
        raise _not_a_symbol(text)
    return symbol


def filer_symbol(cik: int | str) -> str:
    """Return the symbol of a filer of the SEC by its CIK; InvalidSymbol where it is none.

    >>> filer_symbol(320193), filer_symbol("0000320193")
    ('CIK0000320193', 'CIK0000320193')
    """
    symbol = f"CIK{str(cik).strip():0>10}"
    if not _FILER.fullmatch(symbol):
        raise InvalidSymbol(f"{str(cik)[:40]!a} is no CIK: a number of ten digits at most, as in 320193")
    return symbol


def is_filer(symbol: str) -> bool:
    """Return whether a symbol is that of a filer.

    >>> is_filer("CIK0000320193"), is_filer("AAPL")
    (True, False)
    """
    return _FILER.fullmatch(symbol) is not None


def _not_a_symbol(text: str) -> InvalidSymbol:
    code = text.strip()
    if is_filer(code.upper()):
        return InvalidSymbol(f"{code.upper()} is a filer of the SEC, which has no prices; write the symbol of a share")
    if code.isascii() and code.isdigit() and int(code) > 0 and len(code) <= 5:
        return InvalidSymbol(
            f"{code!a} is a code without its exchange; write {_canonical(f'{code}.HK')} for Hong Kong"
            + (f", {code}.T for Tokyo" if len(code) == 4 else "")
        )
    if (own := _of_vendor(text)) is not None:
        return InvalidSymbol(f"{text[:40]!a} is a vendor's form of the symbol {own}; write {own}")
    return InvalidSymbol(
        f"{text[:40]!a} is not a symbol of the markets us, hk, jp or eu, nor a pair, a crypto currency or a"
        " future; write it as in AAPL, BRK.B, 0700.HK, 7203.T, ASML.AS, EURUSD=X, BTC-USD or CL=F"
    )


@lru_cache(maxsize=65536)
def _canonical(text: str) -> str | None:
    """Return the canonical form of a text that matches a market's pattern, else None."""
    text = text.strip()
    symbol = text.upper()
    # Check the text itself: the upper case of some foreign letters is ASCII.
    if len(symbol) > _LONGEST or not text.isascii():
        return None
    if (classed := classed_symbol(symbol)) is not None:
        return classed
    venue = _venue_by_suffix(symbol)
    if venue is None or not _PATTERNS[venue.market].fullmatch(symbol):
        return None
    return f"{int(symbol.removesuffix('.HK')):04d}.HK" if venue.market == "hk" else symbol


def venue_of(symbol: str) -> Venue:
    """Return the venue of a symbol, or raise InvalidSymbol.

    A filer of the SEC has New York's venue. So has an index that is not in the table: an earlier version may have
    stored it so.

    >>> (
    ...     venue_of("7203.T").timezone,
    ...     venue_of("^N225").calendar,
    ...     venue_of("^FTSE").currency,
    ...     venue_of("BTC-EUR").currency,
    ... )
    ('Asia/Tokyo', 'XTKS', 'GBP', 'EUR')
    """
    canonical = stored_symbol(symbol)
    if (of_class := VENUES_OF_CLASSES.get(class_of(canonical))) is not None:
        return _venue_in(of_class, quoted_currency(canonical))
    venue = VENUES_OF_INDICES.get(canonical) or _venue_by_suffix(canonical)
    assert venue is not None, "stored_symbol admits only symbols that have a venue"
    return venue


def market_of(symbol: str) -> str | None:
    """Return the market of a symbol; None if it belongs to no supported market."""
    try:
        return venue_of(symbol).market
    except InvalidSymbol:
        return None


def canonical_symbol(wire: str) -> str:
    """Return the canonical form of a symbol in Yahoo's or a file name's spelling, or raise InvalidSymbol.

    >>> canonical_symbol("BRK-B"), canonical_symbol("BAC-PL"), canonical_symbol("NOVO-B.CO")
    ('BRK.B', 'BAC.PRL', 'NOVO-B.CO')
    """
    try:
        return parse_symbol(wire)
    except InvalidSymbol:
        symbol = _of_share_class(wire.strip().upper(), "-") if wire.isascii() else None
        if symbol is None:
            raise
        return symbol


def symbol_of(text: str) -> str:
    """Return the canonical symbol of a text in our form or in that of a vendor, or raise InvalidSymbol.

    Understood are Yahoo's hyphen (BRK-B), a slash (BRK/B, EUR/USD, BTC/USD), and Stooq's suffixes (AAPL.US, 7203.JP,
    VOD.UK).

    >>> symbol_of("brk/b"), symbol_of("700.hk"), symbol_of("7203.JP"), symbol_of("BRK-B.US"), symbol_of("eur/usd")
    ('BRK.B', '0700.HK', '7203.T', 'BRK.B', 'EURUSD=X')
    """
    try:
        return parse_symbol(text)
    except InvalidSymbol:
        symbol = _of_vendor(text)
        if symbol is None:
            raise
        return parse_symbol(symbol)


def _of_vendor(text: str) -> str | None:
    """Return the canonical symbol of a vendor's spelling; None if it is not one."""
    if not text.isascii():  # the upper case of some foreign letters is ASCII
        return None
    code, dot, suffix = text.strip().upper().rpartition(".")
    if dot and suffix in _SUFFIXES_OF_VENDORS:
        own = _SUFFIXES_OF_VENDORS[suffix]
        return _canonical(f"{code}.{own}") if own else _canonical(code) or _of_vendor(code)
    text = text.strip().upper()
    return symbol_of_pair(text) or _of_share_class(text, "-") or _of_share_class(text, "/")


def _of_share_class(text: str, separator: str) -> str | None:
    """Return the canonical symbol of an American class of shares written with another separator than a dot."""
    root, _, tail = text.partition(separator)
    tail = f"PR{tail[1:]}" if len(tail) == 2 and tail.startswith("P") else tail
    return _canonical(f"{root}.{tail}") if tail else None


def hyphenated_symbol(symbol: str) -> str:
    """Return Yahoo's spelling of a canonical symbol: of an American one, a hyphen before the class of the share.

    >>> (
    ...     hyphenated_symbol("BRK.B"),
    ...     hyphenated_symbol("BAC.PRL"),
    ...     hyphenated_symbol("0700.HK"),
    ...     hyphenated_symbol("JPY=X"),
    ... )
    ('BRK-B', 'BAC-PL', '0700.HK', 'JPY=X')
    """
    symbol = stored_symbol(symbol)
    if class_of(symbol) in VENUES_OF_CLASSES:
        return wire_of_class(symbol)
    if venue_of(symbol).market != "us" or "." not in symbol:
        return symbol
    root, _, series = symbol.partition(".")
    return f"{root}-{series.replace('PR', 'P', 1) if series.startswith('PR') else series}"


@lru_cache(maxsize=1024)
def _venue_in(venue: Venue, currency: str | None) -> Venue:
    return venue if currency is None else replace(venue, currency=currency)


def _venue_by_suffix(symbol: str) -> Venue | None:
    _, dot, suffix = symbol.rpartition(".")
    if not dot:
        return US
    if suffix in VENUES_BY_SUFFIX:
        return VENUES_BY_SUFFIX[suffix]
    return US if len(suffix) == 1 or suffix.startswith("PR") else None
