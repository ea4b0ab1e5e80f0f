"""Hong Kong's list of securities, a workbook of 19,000 rows of which 2,600 are shares.

https://www.hkex.com.hk/eng/services/trading/securities/securitieslists/ListOfSecurities.xlsx, read in December 2021:
the header is in row 3, codes are texts with leading zeros, and the sheet states a wrong size of itself.
"""

from __future__ import annotations

from quantx.errors import RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import hong_kong
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source
from quantx.universes.texts import under_header
from quantx.universes.workbook import read_workbook

_CODE, _NAME, _CATEGORY = "Stock Code", "Name of Securities", "Category"
_SHARES = {_CATEGORY: ("Equity",)}


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the shares of the list, or the rows that the declaration selects (`only`)."""
    selected = spec.only or _SHARES
    members: list[Member] = []
    left_out = 0
    rows = read_workbook(document.body, spec.sheet, document.origin)
    for row in under_header(rows, list(dict.fromkeys((_CODE, _NAME, _CATEGORY, *selected))), document.origin):
        if any(row[column].strip() not in values for column, values in selected.items()):
            left_out += 1
            continue
        symbol = hong_kong(row[_CODE])
        if symbol is None:
            raise RefusedList(
                f"{document.origin} has a share with the code {row[_CODE][:20]!a}, which is not a code of Hong Kong"
            )
        members.append((symbol, "hk", row[_NAME].strip(), None, None))
    return MemberList(members, left_out=left_out)


SOURCE = Source(
    parse,
    ".xlsx",
    "https://www.hkex.com.hk/eng/services/trading/securities/securitieslists/ListOfSecurities.xlsx",
    is_exchange=True,
)
