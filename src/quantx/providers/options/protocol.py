"""The protocol of a form of option archives: members, their facts, and their rows in batches.

A form reads bytes whose size and SHA-256 the caller has checked. It decodes in batches of bounded size and stores
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import IO, Literal, Protocol

import polars as pl

OptionKind = Literal["quotes_1m", "quotes_1d", "trades", "ohlcv_1d", "open_interest", "contracts"]


@dataclass(frozen=True, kw_only=True)
class MemberFacts:
    """What the header of a member says, before its rows are read."""

    kind: OptionKind | None  # None: no table takes this schema; the member is named and skipped
    skipped: str | None = None  # why, where `kind` is None
    schema: str  # the form's own name of the content, as in cbbo-1m
    source: str  # the vendor's dataset as a source: databento
    first: date
    last: date  # inclusive
    rows: int | None  # where the form states it


@dataclass(frozen=True, kw_only=True)
class OptionBatch:
    """Decoded rows of one session, at most 262,144.

    `rows` has `contract_index` (UInt32, a row of the member's `contracts`) and the value columns of the table of the
    member's kind; undefined values are null. `rejected` has the rows that name no contract: `reason`, `row` (JSON).
    """

    date: date
    rows: pl.DataFrame
    rejected: pl.DataFrame | None = None


class OptionMember(Protocol):
    """One open member. The facts and the contracts come from its header; batches may be read once."""

    facts: MemberFacts
    # One row per contract in the order CONTRACT_ORDER: underlying, the columns of CONTRACT_COLUMNS, multiplier,
    # deliverable, settlement. A smaller `contract_index` sorts first.
    contracts: pl.DataFrame

    def batches(self) -> Iterator[OptionBatch]:
        """Yield the rows in the order of the member; MalformedPayload where the bytes are not what they claim."""
        ...


# Returns the vendor's mapping of symbols beside a member, for members without one of their own; None: there is none.
Symbology = Callable[[], bytes | None]


class OptionForm(Protocol):
    """A form of members, chosen by the first bytes and by the name."""

    name: str

    def recognizes(self, name: str, head: bytes) -> bool:
        """Return whether a member is of this form; `head` has its first 1,024 bytes."""
        ...

    def open(self, name: str, stream: IO[bytes], size: int, symbology: Symbology | None = None) -> OptionMember:
        """Open a member, which reads its header only; MalformedPayload where it is unreadable."""
        ...
