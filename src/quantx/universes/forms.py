"""Convert the symbols of lists to canonical ones: the forms of exchanges, vendors and index providers."""

from __future__ import annotations

import re

from quantx.core.asset_classes import symbol_of_pair
from quantx.core.symbols import US, VENUES_BY_SUFFIX, parse_symbol, venue_of
from quantx.errors import InvalidSymbol

# ABR$D at the exchanges, ABR-PD at the SEC and Yahoo, ABRpD at the consolidated tape: the preferred series D.
_PREFERRED = re.compile(r"([A-Z]{1,6})(?:\$|-P|\.PR)([A-Z]?)")
_CLASS = re.compile(r"([A-Z]{1,6})[-/ .]([A-Z])")
# BT.A, NOVO B and ERIC-B in Europe; a dot fills short tickers of London (BP.).
_EUROPEAN_CLASS = re.compile(r"([A-Z0-9]{1,10})[-/ .]([A-Z0-9]{1,4})")
# Share classes that iShares writes without a dot.
_UNDOTTED = {"BRKB": "BRK.B", "BRKA": "BRK.A", "BFB": "BF.B", "BFA": "BF.A", "HEIA": "HEI.A", "LENB": "LEN.B"}
_PAIRED = ("fx", "crypto")
_ISHARES_MARKS = re.compile(r"(\*|\.[0-9]*)$")  # WFC* (Mexico's listing), GAS.2 (a reused ticker), MIL. (a dead one)


def from_any_form(text: str, market: str) -> str:
    """Return the canonical symbol of a text in any of the forms of lists, or raise InvalidSymbol.

    `market` is the declared one of the list: it decides what a number or a class without an exchange's suffix means.

    >>> [from_any_form(text, "us") for text in ("BRK-B", "BRK/B", "BF B", "ABR$D", "BP.")]
    ['BRK.B', 'BRK.B', 'BF.B', 'ABR.PRD', 'BP']
    >>> [from_any_form(text, "eu") for text in ("BP..L", "BT.A.L", "ERIC B.ST", "NOVO-B.CO")]
    ['BP.L', 'BT-A.L', 'ERIC-B.ST', 'NOVO-B.CO']
    >>> from_any_form("5", "hk"), from_any_form("00700", "hk")
    ('0005.HK', '0700.HK')
    >>> from_any_form("eur/usd", "fx"), from_any_form("BTC/USD", "crypto")
    ('EURUSD=X', 'BTC-USD')
    """
    bare = " ".join(text.upper().split())
    if market in _PAIRED and (pair := symbol_of_pair(bare)) is not None:
        return pair
    code = hong_kong(bare) if market == "hk" else None
    if code is not None:
        return code
    try:
        symbol = parse_symbol(bare)
    except InvalidSymbol:
        symbol = _european(bare) or (american(bare.removesuffix(".")) if market == US.market else None) or ""
    if market != US.market and "." in symbol and venue_of(symbol) is US:
        raise InvalidSymbol(
            f"{text[:40]!a} is a share class without an exchange, and the market is {market}; add the suffix of the"
            " exchange, as in BT-A.L, or declare `symbol_suffix`"
        )
    return symbol or parse_symbol(text)


def _european(text: str) -> str | None:
    """Return the symbol of a text with a suffix outside of America, whatever separates the class."""
    root, _, suffix = text.rpartition(".")
    if suffix not in VENUES_BY_SUFFIX:
        return None
    root = root.strip().removesuffix(".").removesuffix("/")
    if match := _EUROPEAN_CLASS.fullmatch(root):
        root = f"{match[1]}-{match[2]}"
    try:
        return parse_symbol(f"{root}.{suffix}")
    except InvalidSymbol:
        return None


def american(text: str) -> str | None:
    """Return an American symbol in canonical form; None for a text that no vendor knows as a symbol.

    >>> american("BRK-B"), american("BRK/B"), american("ABR$D"), american("BAC-PL"), american("AACT+")
    ('BRK.B', 'BRK.B', 'ABR.PRD', 'BAC.PRL', None)
    """
    text = text.strip().upper()
    if match := _PREFERRED.fullmatch(text):
        text = f"{match[1]}.PR{match[2]}"
    elif match := _CLASS.fullmatch(text):
        text = f"{match[1]}.{match[2]}"
    try:
        symbol = parse_symbol(text)
    except InvalidSymbol:
        return None
    return symbol if venue_of(symbol).market == "us" else None


def from_ishares(text: str) -> str | None:
    """Return the canonical form of a ticker in iShares' holdings.

    >>> [from_ishares(t) for t in ("BRKB", "GAS.2", "MIL.", "WFC*", "SGAFT", "-")]
    ['BRK.B', 'GAS', 'MIL', 'WFC', 'SGAFT', None]
    """
    bare = _ISHARES_MARKS.sub("", text.strip().upper())
    return american(_UNDOTTED.get(bare, bare))


def hong_kong(text: str) -> str | None:
    """Return the canonical symbol of a stock code.

    >>> hong_kong("00700"), hong_kong("5"), hong_kong("80700"), hong_kong("n/a")
    ('0700.HK', '0005.HK', '80700.HK', None)
    """
    code = text.strip().removesuffix(".0")
    if not (code.isascii() and code.isdecimal()) or not 0 < int(code) < 100_000:
        return None
    return f"{int(code):04d}.HK"
