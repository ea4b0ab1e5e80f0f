"""Convert the symbols of lists to canonical ones; None for a text that no vendor knows as a symbol."""

from __future__ import annotations

import re

from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import InvalidSymbol

# ABR$D at the exchanges, ABR-PD at the SEC and Yahoo, ABRpD at the consolidated tape: the preferred series D.
_PREFERRED = re.compile(r"([A-Z]{1,6})(?:\$|-P|\.PR)([A-Z]?)")
_CLASS = re.compile(r"([A-Z]{1,6})[-/ .]([A-Z])")
# Share classes that iShares writes without a dot.
_UNDOTTED = {"BRKB": "BRK.B", "BRKA": "BRK.A", "BFB": "BF.B", "BFA": "BF.A", "HEIA": "HEI.A", "LENB": "LEN.B"}
_ISHARES_MARKS = re.compile(r"(\*|\.[0-9]*)$")  # WFC* (Mexico's listing), GAS.2 (a reused ticker), MIL. (a dead one)


def american(text: str) -> str | None:
    """Return an American symbol in canonical form.

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
