"""The port of a source of members: a pure function from a document to members."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from quantx.universes.declaration import UniverseSpec

# The members of a source: one row per membership interval.
MEMBERS = {
    "symbol": pl.String,
    "market": pl.String,
    "name": pl.String,
    "member_from": pl.Date,  # null: since before the list began
    "member_to": pl.Date,  # null: still a member
}
Member = tuple[str, str, str | None, date | None, date | None]


@dataclass(frozen=True)
class Document:
    """A document of a source, byte for byte."""

    origin: str  # the address or the path
    body: bytes = field(repr=False)
    content_type: str = ""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class MemberList:
    """The members in a document."""

    members: Sequence[Member]
    remarks: Sequence[str] = ()  # contradictions in the document, for people
    left_out: int = 0  # excluded rows: test issues, warrants
    excluded: frozenset[str] = frozenset()  # the symbols of excluded rows: they are listed, but no members
    funds: frozenset[str] = frozenset()  # the symbols that the list marks as funds, members or not


class Spellings:
    """The first spelling of each share in a list: another spelling is a remark, not a second member."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._first: dict[tuple[str, date | None], str] = {}

    def is_another(self, symbol: str, spelling: str, begins: date | None = None) -> bool:
        """Return whether the list has the share already under another spelling; then note a remark."""
        first = self._first.setdefault((symbol, begins), spelling.strip().upper())
        if first == spelling.strip().upper():
            return False
        self.remarks.append(f"{first} and {spelling.strip()} are one share, {symbol}; the first is used")
        return True


# A symbol on a day → the last symbol of its security; the same symbol if its history is unknown.
LatestSymbol = Callable[[str, date], str]


@dataclass(frozen=True)
class Source:
    """One type of source."""

    parse: Callable[[UniverseSpec, Document, LatestSymbol], MemberList]  # pure; raises RefusedList
    suffix: str  # of the stored document
    url: str | None = None  # default address of the document
    _: KW_ONLY
    needs_document: bool = True  # False: the members are in the declaration
    is_exchange: bool = False  # a missing security may be delisted
    needs_contact: bool = False
    history_from_changes: bool = False  # past members come from changes: without a change a leaving member disappears
