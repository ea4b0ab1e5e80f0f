"""The SEC's list of companies with a ticker: https://www.sec.gov/files/company_tickers.json (November 2026).

The SEC requires a contact in the request (https://www.sec.gov/os/accessing-edgar-data) and answers 403 without one.
"""

from __future__ import annotations

from quantx.errors import RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import american
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source, Spellings
from quantx.universes.texts import decode, json_rows, under_header


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the companies' tickers, without securities that have no symbol at vendors (units, warrants).

    The list writes some shares twice, as in AKO.B and AKO-B of one company: they are one member.
    """
    members: list[Member] = []
    spellings = Spellings()
    companies: dict[str, str] = {}
    left_out = 0
    rows = json_rows(decode(document), document.origin)
    for row in under_header(rows, ("cik_str", "ticker", "title"), document.origin):
        if not row["cik_str"].isdecimal():
            raise RefusedList(f"{document.origin} has the CIK {row['cik_str'][:20]!a}, which is not a number")
        symbol = american(row["ticker"])
        if symbol is None:
            left_out += 1
            continue
        company = companies.setdefault(symbol, row["cik_str"])
        if company != row["cik_str"]:
            raise RefusedList(f"{document.origin} has {symbol} twice, of the CIK {company} and {row['cik_str']}")
        if spellings.is_another(symbol, row["ticker"]):
            left_out += 1
        else:
            members.append((symbol, "us", row["title"].strip(), None, None))
    return MemberList(members, spellings.remarks, left_out)


SOURCE = Source(parse, ".json", "https://www.sec.gov/files/company_tickers.json", needs_contact=True)
