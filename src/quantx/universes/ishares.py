"""Holdings of an iShares index fund: the members of its index, as of the file's day.

The files begin with some lines about the fund and end with notes (November 2026); mirrors have only the table. Cash,
futures and untraded rights are rows of the table, too. Old files have odd tickers: `GAS.2`, `MIL.`, `WFC*`.
"""

from __future__ import annotations

from quantx.errors import RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import from_ishares
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source
from quantx.universes.texts import csv_rows, decode, under_header

_HEADERS = (("Ticker", "Name", "Asset Class", "Exchange"), ("symbol", "name", "asset_class", "exchange"))
_UNTRADED = "NO MARKET"  # rights of a past merger, at a price of a cent


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the shares among the holdings."""
    rows = csv_rows(decode(document), spec.separator, document.origin)
    columns = next((h for h in _HEADERS if any({*h} <= {c.strip() for c in row} for row in rows[:40])), _HEADERS[0])
    ticker, name, kind, exchange = columns
    members: dict[str, Member] = {}
    remarks: list[str] = []
    left_out = 0
    for row in under_header(rows, columns, document.origin):
        symbol = from_ishares(row[ticker]) if row[kind].strip() == "Equity" else None
        if symbol is None or row[exchange].strip().upper().startswith(_UNTRADED):
            left_out += 1
        elif symbol in members and members[symbol][2] != row[name].strip():
            remarks.append(f"{symbol} is the ticker of {members[symbol][2]} and {row[name].strip()}; the first is used")
        else:
            members[symbol] = (symbol, "us", row[name].strip(), None, None)
    if len(remarks) > len(members) / 20:
        raise RefusedList(f"{document.origin} has many tickers twice: {'; '.join(remarks[:3])}")
    return MemberList(list(members.values()), remarks, left_out)


SOURCE = Source(
    parse,
    ".csv",
    "https://www.ishares.com/us/products/239726/ishares-core-sp-500-etf/1467271812596.ajax"
    "?fileType=csv&fileName=IVV_holdings&dataType=fund",
)
