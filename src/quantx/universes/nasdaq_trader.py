"""NASDAQ Trader's lists of symbols: `nasdaqlisted.txt`, and `otherlisted.txt` for New York's exchanges.

https://www.nasdaqtrader.com/trader.aspx?id=symboldirdefs (November 2026): fields with bars between, test issues among
them, and a last line `File Creation Time: …` with a number of bars that has changed over the years. A page of HTML with
status 200 has been seen in place of the list (October 2025).
"""

from __future__ import annotations

from quantx.errors import RefusedList
from quantx.universes.declared import UniverseSpec
from quantx.universes.forms import american
from quantx.universes.protocol import Document, LatestSymbol, Listing, Member, Source
from quantx.universes.texts import check_lines, decode, under_header

_FOOTER = "File Creation Time"
_SYMBOLS = ("Symbol", "ACT Symbol")  # of the two lists


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> Listing:
    """Return the securities of a list; test issues are left out, and what has no symbol for vendors (units, warrants)."""
    lines = [line for line in check_lines(decode(document), document.origin) if line.strip()]
    if not lines or not lines[-1].startswith(_FOOTER):
        raise RefusedList(f"{document.origin} does not end with the line {_FOOTER!r}: it is cut off, or no such list")
    rows = [line.split("|") for line in lines[:-1]]
    symbols = next((c for c in _SYMBOLS if c in rows[0]), None) if rows else None
    if symbols is None:
        raise RefusedList(f"{document.origin} has no column {_SYMBOLS[0]!r}; it begins with {lines[0][:80]!a}")
    wrong = next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if wrong is not None:
        raise RefusedList(f"{document.origin} has {len(rows[wrong - 1])} fields in line {wrong}, not {len(rows[0])}")
    members: list[Member] = []
    left_out = 0
    columns = (symbols, "Security Name", "Test Issue", "ETF", *spec.only)
    for row in under_header(rows, columns, document.origin):
        symbol = american(row[symbols])
        unwanted = any(row[column].strip() not in values for column, values in spec.only.items())
        if symbol is None or unwanted or row["Test Issue"] != "N" or (row["ETF"] == "Y" and not spec.etfs):
            left_out += 1
        else:
            members.append((symbol, "us", row["Security Name"].strip(), None, None))
    return Listing(members, left_out=left_out)


SOURCE = Source(parse, ".txt", "https://www.nasdaqtrader.com/dynamic/SymDir/nasdaqlisted.txt", is_exchange=True)
