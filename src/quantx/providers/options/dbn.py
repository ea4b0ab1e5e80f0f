"""The form DBN of Databento: a header, records in blocks, and their rows with the contract of each.

Only `Metadata.decode` and the layouts of the package are used: its decoder accepts cut files in silence, and a record
as an object costs more than its row. Each record's length and type are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import polars as pl

from quantx.errors import MalformedPayload
from quantx.providers.options import dbn_rows
from quantx.providers.options.dbn_header import DbnHeader, read_header
from quantx.providers.options.dbn_layouts import LAYOUTS, SOURCES, Layout
from quantx.providers.options.dbn_rows import Block, RowsOf, day_of, rejected
from quantx.providers.options.members import reading
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionMember
from quantx.providers.options.symbology import REASONS, Instruments

ROWS_PER_BLOCK = 262_144
_ZSTD = b"\x28\xb5\x2f\xfd"
_NANOSECONDS_OF_DAY = 86_400 * 10**9
_ROWS_OF: dict[str, RowsOf] = {"quotes_1m": dbn_rows.quotes, "trades": dbn_rows.trades}


class DbnForm:
    """DBN of the versions 1 to 3, plain or compressed with zstd."""

    name = "dbn"

    def recognizes(self, name: str, head: bytes) -> bool:
        """Return whether a member is named as DBN or begins as DBN."""
        return ".dbn" in name.lower().rpartition("/")[2] or head[:3] == b"DBN"

    def open(self, name: str, stream: IO[bytes], size: int) -> OptionMember:
        """Read the header of a member; MalformedPayload where it has none."""
        with reading(name):
            plain = _plain(stream)
            header = read_header(plain, name)
        return DbnMember(name, plain, header, size if plain is stream else None)


class DbnMember:
    """One open file of DBN."""

    def __init__(self, name: str, stream: Any, header: DbnHeader, size: int | None) -> None:
        self._name, self._stream, self._header = name, stream, header
        layout, skipped = _layout(header)
        self._layout = layout
        self._record = None if layout is None else layout.dtype(header.version, header.ts_out)
        self._instruments = Instruments(header.intervals if layout else ())
        self.contracts = self._instruments.contracts
        self.facts = MemberFacts(
            kind=None if layout is None else layout.kind,
            skipped=skipped,
            schema=header.schema or "several schemas",
            source=SOURCES.get(header.dataset, header.dataset),
            first=header.first,
            last=header.last,
            rows=None if size is None or self._record is None else (size - header.length) // self._record.itemsize,
        )

    def batches(self) -> Iterator[OptionBatch]:
        """Yield the rows by UTC day, which is the session; MalformedPayload where the records are damaged."""
        if self._layout is None:
            return
        for block in self._blocks(self._layout):
            days = block[self._layout.clock] // _NANOSECONDS_OF_DAY
            if days.min() == days.max():
                yield self._batch(block, int(days[0]), self._layout)
            else:
                for day in np.unique(days).tolist():
                    yield self._batch(block[days == day], day, self._layout)

    def _batch(self, block: Block, day: int, layout: Layout) -> OptionBatch:
        index = self._instruments.indices(block["instrument_id"], day)
        rows_of = _ROWS_OF[layout.kind]
        if index.min() >= 0:
            return OptionBatch(date=day_of(day), rows=rows_of(block, index))
        known = index >= 0
        reasons = pl.Series(index[~known]).replace_strict(REASONS, return_dtype=pl.String)
        rows = rows_of(block[known], index[known])
        return OptionBatch(date=day_of(day), rows=rows, rejected=rejected(block[~known], reasons))

    def _blocks(self, layout: Layout) -> Iterator[Block]:
        """Yield the records in blocks, whose lengths and types are those of the schema."""
        record = self._record
        assert record is not None
        at = 0
        while True:
            with reading(self._name):
                content = self._stream.read(ROWS_PER_BLOCK * record.itemsize)
            whole, rest = divmod(len(content), record.itemsize)
            block = np.frombuffer(content, record, whole)
            wrong = (block["length"] != record.itemsize // 4) | (block["rtype"] != layout.rtype)
            if wrong.any():
                raise MalformedPayload(
                    f"{self._name}: record {at + int(wrong.argmax()) + 1:,} is none of {self._header.schema};"
                    " download it again"
                )
            if rest:
                raise MalformedPayload(
                    f"{self._name} ends within record {at + whole + 1:,}; it is cut, download it again"
                )
            if not whole:
                return
            yield block
            at += whole


def _layout(header: DbnHeader) -> tuple[Layout | None, str | None]:
    """Return the layout of a file's records, or why no table takes them."""
    if header.schema is None:
        return None, "it is a live capture of several schemas; download the days as one schema each"
    if header.schema not in LAYOUTS:
        return None, f"no table takes the schema {header.schema}; {', '.join(LAYOUTS)} are read"
    if header.dataset not in SOURCES:
        return None, f"the dataset {header.dataset} has no listed options of shares, funds or indices"
    return LAYOUTS[header.schema], None


def _plain(stream: IO[bytes]) -> Any:
    """Return the decompressed bytes of a stream, which is read from its beginning."""
    import pyarrow as pa

    head = stream.read(len(_ZSTD))
    stream.seek(0)
    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd") if head == _ZSTD else stream
