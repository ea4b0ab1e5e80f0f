"""Members that are listed in the declaration itself."""

from __future__ import annotations

from quantx.core.symbols import venue_of
from quantx.universes.declaration import UniverseSpec
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source, Spellings
from quantx.universes.tables import as_symbol, with_suffix


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the declared symbols; the document is a copy of them."""
    members: dict[str, Member] = {}
    spellings = Spellings()
    for position, text in enumerate(spec.symbols, 1):
        symbol = as_symbol(with_suffix(text.strip(), spec), spec, f"position {position} of `symbols`")
        if not spellings.is_another(symbol, text):
            members[symbol] = (symbol, venue_of(symbol).market, None, None, None)
    return MemberList(list(members.values()), spellings.remarks)


SOURCE = Source(parse, ".txt", needs_document=False)
