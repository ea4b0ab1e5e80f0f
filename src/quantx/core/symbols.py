"""Canonical symbols, and the facts of a listing that follow from its symbol.

`AAPL`, `BRK.B`, `^GSPC` are American; a suffix names the exchange elsewhere: `0700.HK`, `7203.T`, `ASML.AS`.
Only texts that match a market's pattern are accepted (an allow-list). A symbol is therefore safe in a path, a message
or a query.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from quantx.errors import InvalidSymbol


@dataclass(frozen=True)
class Venue:
    """The venue of a symbol: facts that all listings with one suffix share."""

    market: str  # us, hk, jp or eu
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

MARKET_OF_CALENDAR = {venue.calendar: venue.market for venue in (US, *VENUES_BY_SUFFIX.values())}

# One pattern per market. American share classes and preferred series follow a dot (BRK.B, BAC.PRL). `T` and `L` after a
# dot are Tokyo and London; Tokyo's codes have four characters and start with a digit.
_PATTERNS = {
    "us": re.compile(r"\^?[A-Z][A-Z0-9]{0,6}(\.[A-Z]{1,3})?"),
    "hk": re.compile(r"[0-9]{4,5}\.HK"),
    "jp": re.compile(r"[0-9][0-9A-Z]{3}\.T"),
    "eu": re.compile(r"[A-Z0-9][A-Z0-9]{0,9}(-[A-Z0-9]{1,4})?\.[A-Z]{1,2}"),
}
_LONGEST = 16


@lru_cache(maxsize=65536)
def parse_symbol(text: str) -> str:
    """Return the canonical form of `text`, or raise InvalidSymbol.

    Letters become upper case and surrounding white space is removed; nothing else is changed.

    >>> parse_symbol("brk.b"), parse_symbol("0700.HK")
    ('BRK.B', '0700.HK')
    """
    text = text.strip()
    symbol = text.upper()
    # Check the text itself: the upper case of some foreign letters is ASCII.
    if len(symbol) <= _LONGEST and text.isascii():
        venue = _venue_by_suffix(symbol)
        if venue is not None and _PATTERNS[venue.market].fullmatch(symbol):
            return symbol
    raise InvalidSymbol(
        f"{text[:40]!a} is not a symbol of the markets us, hk, jp or eu; write it as in AAPL, BRK.B, 0700.HK, 7203.T or"
        " ASML.AS"
    )


def venue_of(symbol: str) -> Venue:
    """Return the venue of a symbol, or raise InvalidSymbol.

    >>> venue_of("7203.T").timezone
    'Asia/Tokyo'
    """
    venue = _venue_by_suffix(parse_symbol(symbol))
    assert venue is not None, "parse_symbol admits only symbols that have a venue"
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
        root, _, tail = wire.strip().upper().partition("-")
        tail = f"PR{tail[1:]}" if len(tail) == 2 and tail.startswith("P") else tail
        return parse_symbol(f"{root}.{tail}")


def hyphenated_symbol(symbol: str) -> str:
    """Return Yahoo's spelling of a canonical symbol: of an American one, a hyphen before the class of the share.

    >>> hyphenated_symbol("BRK.B"), hyphenated_symbol("BAC.PRL"), hyphenated_symbol("0700.HK")
    ('BRK-B', 'BAC-PL', '0700.HK')
    """
    symbol = parse_symbol(symbol)
    if venue_of(symbol).market != "us" or "." not in symbol:
        return symbol
    root, _, series = symbol.partition(".")
    return f"{root}-{series.replace('PR', 'P', 1) if series.startswith('PR') else series}"


def _venue_by_suffix(symbol: str) -> Venue | None:
    _, dot, suffix = symbol.rpartition(".")
    if not dot:
        return US
    if suffix in VENUES_BY_SUFFIX:
        return VENUES_BY_SUFFIX[suffix]
    return US if len(suffix) == 1 or suffix.startswith("PR") else None
