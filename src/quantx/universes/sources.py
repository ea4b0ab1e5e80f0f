"""All source types by name, and reading a universe by its declaration. A new type is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl

from quantx.errors import RefusedList
from quantx.universes import hkex, ishares, nasdaq_trader, sec_tickers, static, tables, wikipedia
from quantx.universes.declaration import UniverseSpec
from quantx.universes.files import read_file
from quantx.universes.protocol import MEMBERS, Document, LatestSymbol, MemberList, Source
from quantx.universes.web import Web

SOURCES: Mapping[str, Source] = {
    "static": static.SOURCE,
    "csv": tables.CSV,
    "json": tables.JSON,
    "excel": tables.EXCEL,
    "wikipedia": wikipedia.SOURCE,
    "nasdaq_trader": nasdaq_trader.SOURCE,
    "hkex": hkex.SOURCE,
    "ishares": ishares.SOURCE,
    "sec_tickers": sec_tickers.SOURCE,
}


def read_document(spec: UniverseSpec, folder: Path, web: Web) -> Document:
    """Return the document of a declaration; raise RefusedList if it can't be read."""
    source = SOURCES[spec.type]
    if not source.needs_document:
        return Document("the declaration", "\n".join(spec.symbols).encode(), "text/plain")
    if spec.path is not None:
        return read_file(folder / spec.path, f"the universe {spec.name}")
    url = spec.url or source.url
    assert url is not None, "the declaration requires it"
    if source.needs_contact and web.contact is None:
        raise RefusedList(f"the universe {spec.name}: {spec.type} requires a contact; set QUANTX_CONTACT to an e-mail")
    return web.fetch(url)


def same_symbol(symbol: str, day: date) -> str:
    """Return the symbol itself: its history is unknown."""
    return symbol


def parse_members(
    spec: UniverseSpec, document: Document, latest: LatestSymbol = same_symbol
) -> tuple[pl.DataFrame, MemberList]:
    """Return the members in a document as a sorted frame of MEMBERS; raise RefusedList with its problem."""
    listing = SOURCES[spec.type].parse(spec, document, latest)
    frame = pl.DataFrame(listing.members, schema=MEMBERS, orient="row")
    if frame.is_empty():
        raise RefusedList(f"the universe {spec.name} has no members; the last good list stays")
    unique = frame.unique(maintain_order=True)
    if unique.height < frame.height and spec.type not in ("static", "csv"):
        twice = frame.filter(frame.is_duplicated())["symbol"][0]
        raise RefusedList(f"the universe {spec.name} has {twice} twice")
    differing = unique.group_by("symbol", "member_from").len().filter(pl.col("len") > 1).sort("symbol")
    if differing.height:
        raise RefusedList(f"the universe {spec.name} has {differing['symbol'][0]} twice with different facts")
    return unique.sort("symbol", "member_from", nulls_last=False), listing


def read_members(spec: UniverseSpec, folder: Path, web: Web | None = None) -> pl.DataFrame:
    """Return the members of a universe; raise RefusedList with the problem of its source."""
    return parse_members(spec, read_document(spec, folder, web or Web()))[0]
