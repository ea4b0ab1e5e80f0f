"""The form DBN of Databento: a header, records in blocks, and their rows with the contract of each.

Only `Metadata.decode` and the layouts of the package are used: its decoder accepts cut files in silence, and a record
as an object costs more than its row.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import IO, Protocol

import numpy as np
import polars as pl

from quantx.errors import MalformedPayload
from quantx.providers.options.dbn_days import DailyBars, OpenInterest
from quantx.providers.options.dbn_definitions import Definitions
from quantx.providers.options.dbn_header import DbnHeader, read_header
from quantx.providers.options.dbn_layouts import DAY, LAYOUTS, NO_DAY, SOURCES, RecordLayout
from quantx.providers.options.dbn_records import blocks, plain_stream
from quantx.providers.options.dbn_rows import (
    NO_TRADE,
    Block,
    Index,
    Streamed,
    day_of,
    no_trades,
    quotes,
    rejected,
    trades,
)
from quantx.providers.options.kinds import empty_rows
from quantx.providers.options.members import reading
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionMember, Symbology
from quantx.providers.options.sessions import session_before
from quantx.providers.options.symbology import NO_INTERVALS, REASONS, InstrumentMap, read_symbology

NO_TIME = "the record has no time"


class DbnForm:
    """DBN of the versions 1 to 3, plain or compressed with zstd."""

    name = "dbn"

    def recognizes(self, name: str, head: bytes) -> bool:
        """Return whether a member is named as DBN or begins as DBN."""
        return ".dbn" in name.lower().rpartition("/")[2] or head[:3] == b"DBN"

    def open(self, name: str, stream: IO[bytes], size: int, symbology: Symbology | None = None) -> OptionMember:
        """Read the header of a member; MalformedPayload where it has none."""
        with reading(name):
            plain = plain_stream(stream)
            header = read_header(plain, name)
        intervals = header.intervals
        if not len(intervals) and symbology is not None and (content := symbology()) is not None:
            intervals = read_symbology(content, "symbology.json")
        layout, skipped = _layout(header)
        rows = None
        if layout is not None and plain is stream:
            rows = (size - header.length) // layout.dtype(header.version, header.ts_out).itemsize
        session = session_before if layout is not None and layout.kind == "open_interest" else _same_day
        facts = MemberFacts(
            kind=None if layout is None else layout.kind,
            skipped=skipped,
            schema=header.schema or "several schemas",
            source=SOURCES.get(header.dataset, header.dataset),
            first=session(header.first),
            last=session(header.last),
            rows=rows,
        )
        instruments = InstrumentMap(intervals if layout is not None else NO_INTERVALS)
        return DbnMember(
            name=name,
            facts=facts,
            header=header,
            layout=layout,
            instruments=instruments,
            read=iter(()) if layout is None else blocks(plain, name, header, layout, size),
        )


class DbnMember:
    """One open file of DBN."""

    def __init__(
        self,
        *,
        name: str,
        facts: MemberFacts,
        header: DbnHeader,
        layout: RecordLayout | None,
        instruments: InstrumentMap,
        read: Iterator[Block],
    ) -> None:
        self._name, self._header, self._layout, self._instruments, self._read = name, header, layout, instruments, read
        self.facts = facts
        self.contracts = instruments.contracts

    def batches(self) -> Iterator[OptionBatch]:
        """Yield the rows by UTC day, which is the session; MalformedPayload where the records are damaged."""
        if self._layout is None:
            return
        rows, clock = self._rows_of_kind(self._layout), self._layout.clock
        for block in self._read:
            if not len(self._instruments):
                raise MalformedPayload(
                    f"{self._name} maps no symbols in its header; put the symbology.json of its download beside it"
                )
            days = block[clock] // DAY
            if days.min() == days.max():
                yield from self._take(int(days[0]), block, rows)
            else:
                for day in np.unique(days).tolist():
                    yield from self._take(day, block[days == day], rows)
        yield from rows.rest()

    def _take(self, day: int, block: Block, rows: RowsOfKind) -> Iterator[OptionBatch]:
        index = self._instruments.indices(block["instrument_id"], day)
        if index.min() >= 0:
            yield from rows.take(day_of(day), block, index)
            return
        known = index >= 0
        if day == NO_DAY:
            reasons = pl.repeat(NO_TIME, len(block), eager=True)
        else:
            reasons = pl.Series(index[~known]).replace_strict(REASONS, return_dtype=pl.String)
        session = self._header.last if day == NO_DAY else day_of(day)
        yield OptionBatch(date=session, rows=empty_rows(self.facts.kind), rejected=rejected(block[~known], reasons))
        if known.any():
            yield from rows.take(day_of(day), block[known], index[known])

    def _rows_of_kind(self, layout: RecordLayout) -> RowsOfKind:
        if layout.kind == "quotes_1m":
            return Streamed(quotes)
        if layout.kind == "trades":
            return Streamed(trades, NO_TRADE, no_trades)
        if layout.kind == "ohlcv_1d":
            return DailyBars(self.contracts, self._is_whole)
        if layout.kind == "open_interest":
            return OpenInterest(self.contracts)
        return Definitions(self.contracts)

    def _is_whole(self, day: date) -> bool:
        """Return whether the file has all bars of a day, as far as its header states."""
        return self._header.schema == "ohlcv-1d" or self._header.covers(day)


class RowsOfKind(Protocol):
    """The rows of one kind, made of records whose contracts are known."""

    def take(self, day: date, block: Block, index: Index) -> Iterator[OptionBatch]:
        """Take the records of a day, and yield the batches that are complete."""
        ...

    def rest(self) -> Iterator[OptionBatch]:
        """Yield the batches that remain when the file ends."""
        ...


def _same_day(day: date) -> date:
    return day


def _layout(header: DbnHeader) -> tuple[RecordLayout | None, str | None]:
    """Return the layout of a file's records, or why no table takes them."""
    if header.schema is None:
        return None, "it is a live capture of several schemas; download each schema as a file"
    if header.schema not in LAYOUTS:
        return None, f"no table takes the schema {header.schema}; {', '.join(LAYOUTS)} are read"
    if header.dataset not in SOURCES:
        return None, f"the dataset {header.dataset} has no listed options on shares, funds or indices"
    return LAYOUTS[header.schema], None
