"""NASDAQ Trader's lists of symbols: `nasdaqlisted.txt`, and `otherlisted.txt` for New York's exchanges.

https://www.nasdaqtrader.com/trader.aspx?id=symboldirdefs (November 2026): fields separated by bars, with test issues
among the rows, and a last line `File Creation Time: …` whose number of bars has changed over the years. The site has
sent an HTML page with status 200 instead of the list (October 2025).
"""

from __future__ import annotations

from quantx.errors import RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import american
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source
from quantx.universes.symbology import kind_of
from quantx.universes.texts import check_lines, decode, under_header

_FOOTER = "File Creation Time"
_SYMBOLS = ("Symbol", "ACT Symbol")  # of the two lists


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the securities of a list, without test issues, units, warrants, rights and when-issued securities."""
    lines = [line for line in check_lines(decode(document), document.origin) if line.strip()]
    if not lines or not lines[-1].startswith(_FOOTER):
        raise RefusedList(f"{document.origin} does not end with the line {_FOOTER!r}: it is truncated, or another file")
    rows = [line.split("|") for line in lines[:-1]]
    symbols = next((c for c in _SYMBOLS if c in rows[0]), None) if rows else None
    if symbols is None:
        raise RefusedList(f"{document.origin} has no column {_SYMBOLS[0]!r}; it begins with {lines[0][:80]!a}")
    bad_line = next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if bad_line is not None:
        raise RefusedList(
            f"{document.origin} has {len(rows[bad_line - 1])} fields in line {bad_line}, not {len(rows[0])}"
        )
    members: list[Member] = []
    remarks: list[str] = []
    left_out = 0
    excluded: set[str] = set()
    funds: set[str] = set()
    columns = (symbols, "Security Name", "Test Issue", "ETF", *spec.only)
    for row in under_header(rows, columns, document.origin):
        symbol = american(row[symbols])
        if symbol is not None and row["ETF"] == "Y" and row["Test Issue"] == "N":
            funds.add(symbol)
        deselected = any(row[column].strip() not in values for column, values in spec.only.items())
        if symbol is None or deselected or (row["ETF"] == "Y" and not spec.etfs):
            left_out += 1
            continue
        kind = kind_of(row[symbols].strip(), row)
        remarks += [kind.remark] if kind.remark else []
        if kind.is_share:
            members.append((symbol, "us", row["Security Name"].strip(), None, None))
        else:
            left_out += 1
            excluded.add(symbol)
    return MemberList(members, remarks, left_out, frozenset(excluded), frozenset(funds))


SOURCE = Source(parse, ".txt", "https://www.nasdaqtrader.com/dynamic/SymDir/nasdaqlisted.txt", is_exchange=True)
