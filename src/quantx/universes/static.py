"""Members that are listed in the declaration itself."""

from __future__ import annotations

from quantx.core.symbols import venue_of
from quantx.universes.declaration import UniverseSpec
from quantx.universes.protocol import Document, LatestSymbol, MemberList, Source
from quantx.universes.tables import as_symbol


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the declared symbols; the document is a copy of them."""
    symbols = dict.fromkeys(as_symbol(text) for text in spec.symbols)
    return MemberList([(symbol, venue_of(symbol).market, None, None, None) for symbol in symbols])


SOURCE = Source(parse, ".txt", needs_document=False)
