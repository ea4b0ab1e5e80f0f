"""What a source of members is: a document comes in, members come out, and nothing else happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from quantx.universes.declared import UniverseSpec

# Members as a source gives them: one row per interval of membership.
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
    """What a source gave, byte for byte."""

    origin: str  # the address or the path
    body: bytes = field(repr=False)
    content_type: str = ""

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the body."""
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Listing:
    """What a document says."""

    members: Sequence[Member]
    remarks: Sequence[str] = ()  # what does not fit together in it, for people
    left_out: int = 0  # rows of other things than members: test issues, warrants


# A symbol as it was on a day → the last symbol of who carried it then; the same symbol where nothing is known.
LatestSymbol = Callable[[str, date], str]


@dataclass(frozen=True)
class Source:
    """One type of source."""

    parse: Callable[[UniverseSpec, Document, LatestSymbol], Listing]  # pure; raises RefusedList
    suffix: str  # of the kept document
    url: str | None = None  # where the document lies, unless the declaration says otherwise
    takes_document: bool = True  # False: the members stand in the declaration
    is_exchange: bool = False  # who is missing there may be delisted
    needs_contact: bool = False
    tells_past_by_changes: bool = False  # who leaves without a change that says so is not told any more at all
