"""Synthetic members of archives of options, whose rows a test declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.core.option_tables import CONTRACT_COLUMNS, CONTRACT_ORDER
from quantx.core.table import INSTANT
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionKind

DAY = date(2025, 8, 6)
NEXT_DAY = date(2025, 8, 7)
RAW = "01K20000000000000000000001"
LATER_RAW = "01K30000000000000000000001"
LAST_RAW = "01K40000000000000000000001"
UNKNOWN = {"multiplier": pl.Float64, "deliverable": pl.String, "settlement": pl.String}

_TYPES = {
    "time": INSTANT,
    "last_time": INSTANT,
    "public_at": INSTANT,
    "publisher": pl.Int32,
    **dict.fromkeys(("bid_size", "ask_size", "last_size", "sequence", "size", "volume", "open_interest"), pl.Int64),
    **dict.fromkeys(("bid", "ask", "last", "price", "open", "high", "low", "close", "multiplier"), pl.Float64),
    **dict.fromkeys(("deliverable", "settlement"), pl.String),
}
_QUOTE = dict.fromkeys(("bid", "ask", "bid_size", "ask_size", "last", "last_size", "last_time"))


@dataclass
class ListedMember:
    """A member with declared batches; each row has the contract's index."""

    facts: MemberFacts
    contracts: pl.DataFrame
    content: Sequence[OptionBatch] = field(default=())

    def batches(self) -> Iterator[OptionBatch]:
        yield from self.content


@dataclass
class Holder:
    """The holder of a role that no other process wants."""

    state_id: str = "STATE"
    origin: Mapping[str, str | int] = field(default_factory=dict)

    def confirm(self) -> None:
        """The role is held."""

    def note_version(self, table: str, version: int) -> None:
        """Nothing is recorded."""


def at(hour: int, minute: int, day: date = DAY) -> datetime:
    """Return an instant of a day, UTC; New York is four hours behind."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def contracts(*symbols: str) -> pl.DataFrame:
    """Return contracts by their ids, in order; of standard roots."""
    rows = [
        {
            "underlying": symbol[:-15].rstrip("1"),
            "contract": symbol,
            "root": symbol[:-15],
            "expiration": datetime.strptime(symbol[-15:-9], "%y%m%d").date(),  # noqa: DTZ007
            "right": symbol[-9],
            "strike": int(symbol[-8:]) / 1000,
            "multiplier": None if symbol[:-15].endswith("1") else 100.0,
            "settlement": "PM",
        }
        for symbol in symbols
    ]
    schema = {"underlying": pl.String, **CONTRACT_COLUMNS, **UNKNOWN}
    return pl.DataFrame(rows, schema=schema).sort(CONTRACT_ORDER)


def batch(kind: OptionKind, rows: Sequence[Mapping[str, Any]], listed: pl.DataFrame, day: date = DAY) -> OptionBatch:
    """Return a batch of rows that name their contract in `of`."""
    places = {symbol: place for place, symbol in enumerate(listed["contract"])}
    filled = [
        {"contract_index": places[row["of"]], **(_QUOTE if kind == "quotes_1m" else {})}
        | {c: v for c, v in row.items() if c != "of"}
        for row in rows
    ]
    schema = {"contract_index": pl.UInt32, **{c: _TYPES[c] for c in filled[0] if c != "contract_index"}}
    return OptionBatch(date=day, rows=pl.DataFrame(filled, schema=schema))


def member(
    kind: OptionKind,
    listed: pl.DataFrame,
    *batches: OptionBatch,
    schema: str = "cbbo-1m",
) -> ListedMember:
    """Return a member of some batches."""
    days = sorted(each.date for each in batches) or [DAY]
    facts = MemberFacts(kind=kind, schema=schema, source="databento", first=days[0], last=days[-1], rows=None)
    return ListedMember(facts, listed, batches)
