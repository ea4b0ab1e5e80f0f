"""A decoded copy of one data file: its form as bytes, and its columns as parts of a frame.

The bytes are a prelude (magic, lengths, SHA-256 of the head), the head (JSON: rows, columns, symbols and their ends),
the checksums of the blocks, and the columns, each from a multiple of 64 bytes. Texts, and instants of which there are
few, are codes of a list of values in the head.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import polars as pl

from quantx.core.ordering import sorted_by
from quantx.core.table import INSTANT, Table
from quantx.lake.table_version import LiveFile, day_of
from quantx.reader.cache.blocks import Blocks, DamagedCopy, FileBlocks, HeldBlocks, OpenFile, WholeColumns, checksums
from quantx.reader.cache.buffers import Format, bytes_of, series_of

_MAGIC = b"QXROWS02"
_PRELUDE = struct.Struct("<8sQQQ32s")  # magic, bytes of the head, of the checksums, of the columns, SHA-256 of the head
_ALIGNED = 64
_MOST_HEAD = 1 << 30  # bytes
_PLAIN: dict[Any, Format] = {pl.Float64: "d", pl.Int64: "q", pl.Int32: "i", pl.Date: "i", pl.Boolean: "B"}
_WIDTHS = {"d": 8, "q": 8, "i": 4, "B": 1, "H": 2, "I": 4}
_FEW = 1 << 16  # values whose codes have two bytes


@dataclass(frozen=True, slots=True)
class CopiedColumn:
    """A column of a copy."""

    dtype: pl.DataType
    format: Format | None  # of its values, or of the codes of `values`; None: every row has the only value
    start: int = 0
    present: int | None = None  # where the bytes begin that are 0 for null; None: no nulls, or these have a code
    values: pl.Series | None = None


class DecodedFile:
    """The rows of a data file, sorted by the table's order."""

    def __init__(
        self, blocks: Blocks, whole: WholeColumns, head: Mapping[str, Any], table: Table, partition: Mapping[str, Any]
    ) -> None:
        self._whole = whole
        self.damaged = False  # a read has found damage
        self.rows = int(head["rows"])
        self.by_day = bool(head["by_day"])  # the days of each symbol increase
        self._blocks = blocks
        ends = head["ends"]
        starts = [0, *ends[:-1]]
        self.places: dict[str | None, tuple[int, int]] = dict(
            zip(head["symbols"], zip(starts, ends, strict=True), strict=True)
        )
        self.columns: dict[str, CopiedColumn] = {}
        for name, dtype in table.schema.items():
            stored = head["columns"].get(name)
            if stored is None:  # a partition's, or declared after the file was written
                value = pl.Series([partition.get(name)], dtype=dtype)
                self.columns[name] = CopiedColumn(_instance(dtype), None, values=value)
            else:
                self.columns[name] = _column(_instance(dtype), stored)

    def read(self, column: CopiedColumn, start: int, end: int) -> memoryview:
        """Return the bytes of a column's values, or of its codes, in some rows; DamagedCopy if they are damaged."""
        assert column.format is not None
        width = _WIDTHS[column.format]
        held = self._whole.get((self, column.start))
        if held is not None:
            return held[start * width : end * width]
        return self._read(column.start + start * width, column.start + end * width)

    def read_present(self, column: CopiedColumn, start: int, end: int) -> memoryview | bytes:
        """Return a byte for each of some rows: 0 where the column is null."""
        if column.present is None:
            return b"\1" * (end - start)
        return self._read(column.present + start, column.present + end)

    def _read(self, start: int, end: int) -> memoryview:
        try:
            return self._blocks.read(start, end)
        except DamagedCopy:
            self.damaged = True
            raise

    def series(self, name: str, runs: Sequence[tuple[int, int]]) -> pl.Series:
        """Return a column in some runs of rows."""
        column = self.columns[name]
        if column.format is None:
            return _only(column).new_from_index(0, sum(end - start for start, end in runs)).alias(name)
        read = series_of(name, b"".join([self.read(column, *run) for run in runs]), column.format)
        if column.values is not None:
            return column.values.gather(read).alias(name)
        if column.present is not None:
            read = with_nulls(read, b"".join([self.read_present(column, *run) for run in runs]))
        return read.cast(column.dtype)

    def frame(self, names: Sequence[str], places: pl.Series, runs: Sequence[tuple[int, int]] = ()) -> pl.DataFrame:
        """Return columns in some rows, by their numbers: in the file, or in some runs of its rows put together."""
        columns = {name: self.columns[name] for name in names}
        stored = [self._stored(name, c, runs).alias(name) for name, c in columns.items() if c.format is not None]
        marks = {name: f"{name}__present" for name, c in columns.items() if c.values is None and c.present is not None}
        stored += [self._present(columns[name], runs).alias(mark) for name, mark in marks.items()]
        rows = pl.DataFrame(stored)[places] if stored else pl.DataFrame()
        found = []
        for name, column in columns.items():
            if column.format is None:
                found.append(_only(column).new_from_index(0, places.len()).alias(name))
            elif column.values is not None:
                found.append(column.values[rows[name]].alias(name))
            else:
                read = with_nulls(rows[name], rows[marks[name]]) if name in marks else rows[name]
                found.append(read.cast(column.dtype))
        return pl.DataFrame(found)

    def matches(self, name: str, condition: pl.Expr, runs: Sequence[tuple[int, int]] = ()) -> pl.Series:
        """Return whether each row of the file, or of some runs, meets a condition on one column.

        Of a column with codes the condition is evaluated once per value.
        """
        column = self.columns[name]
        if column.values is not None:
            of_values = column.values.alias(name).to_frame().select(condition.fill_null(False)).to_series()
            if column.format is None:
                return of_values.new_from_index(0, sum(b - a for a, b in runs) if runs else self.rows)
            return of_values[self._stored(name, column, runs)]
        read = self._stored(name, column, runs)
        if column.present is not None:
            read = with_nulls(read, self._present(column, runs))
        return read.cast(column.dtype).alias(name).to_frame().select(condition.fill_null(False)).to_series()

    def days(self, table: Table) -> pl.Series:
        """Return the days of all rows, without a copy."""
        name = day_of(table)
        column = self.columns[name]
        days = self._all(name, column)
        if column.present is not None:
            days = with_nulls(days, self.read_present(column, 0, self.rows))
        return days.cast(column.dtype)

    def _stored(self, name: str, column: CopiedColumn, runs: Sequence[tuple[int, int]]) -> pl.Series:
        """Return the stored values, or codes, of a column in some runs; of no runs, in all rows."""
        if not runs:
            return self._all(name, column)
        assert column.format is not None
        return series_of(name, b"".join([self.read(column, *run) for run in runs]), column.format)

    def _present(self, column: CopiedColumn, runs: Sequence[tuple[int, int]]) -> pl.Series:
        return series_of(
            "present", b"".join([self.read_present(column, *run) for run in runs or [(0, self.rows)]]), "B"
        )

    def _all(self, name: str, column: CopiedColumn) -> pl.Series:
        assert column.format is not None
        body = self.read(column, 0, self.rows)
        self._whole.keep((self, column.start), body)
        return series_of(name, body, column.format)


def _only(column: CopiedColumn) -> pl.Series:
    assert column.values is not None
    return column.values


def encode(frame: pl.DataFrame, table: Table, live: LiveFile) -> bytes:
    """Return the copy of a file of a table from its rows, without the partition columns."""
    frame = sorted_by(frame, [c for c in table.sort if c in frame.columns]).rechunk()
    body = bytearray()
    columns = {name: _encode_column(frame[name], body) for name in frame.columns}
    symbols, ends = _symbol_runs(frame, table)
    head = {
        "file": _name(table, live),
        "rows": frame.height,
        "by_day": _by_day(frame, table),
        "symbols": symbols,
        "ends": ends,
        "columns": columns,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(_PRELUDE.size + len(text)) % _ALIGNED)
    sums = checksums(body)
    digest = hashlib.sha256(text + sums).digest()
    prelude = _PRELUDE.pack(_MAGIC, len(text), len(sums), len(body), digest)
    return b"".join((prelude, text, sums, bytes(_padding(prelude, text, sums)), body))


def open_copy(body: bytes, table: Table, live: LiveFile, whole: WholeColumns) -> DecodedFile:
    """Return the copy of a file from its bytes; DamagedCopy if they are not its copy."""
    view = memoryview(body)
    head, sums, start, length = _head(lambda at, size: bytes(view[at : at + size]), table, live)
    if start + length != len(body) or checksums(view[start:]) != sums:
        raise DamagedCopy
    return DecodedFile(HeldBlocks(view[start:]), whole, head, table, live.partition)


def open_copy_file(file: OpenFile, table: Table, live: LiveFile, whole: WholeColumns) -> DecodedFile:
    """Return the copy of a file from an open file, of which it reads the head only; DamagedCopy if it is not a copy."""
    head, sums, start, length = _head(file.read, table, live)
    if file.size() != start + length:
        raise DamagedCopy
    return DecodedFile(FileBlocks(file, start, length, sums), whole, head, table, live.partition)


def _head(read: Callable[[int, int], bytes], table: Table, live: LiveFile) -> tuple[Mapping[str, Any], bytes, int, int]:
    """Return the head, the checksums, and where the columns begin and how long they are; DamagedCopy if damaged."""
    prelude = read(0, _PRELUDE.size)
    if len(prelude) < _PRELUDE.size:
        raise DamagedCopy
    magic, head, sums, length, digest = _PRELUDE.unpack(prelude)
    if magic != _MAGIC or head + sums > _MOST_HEAD:
        raise DamagedCopy
    body = read(len(prelude), head + sums)
    if hashlib.sha256(body).digest() != digest:
        raise DamagedCopy
    decoded = json.loads(body[:head])
    if decoded["file"] != _name(table, live):
        raise DamagedCopy
    return decoded, body[head:], len(prelude) + len(body) + _padding(prelude, body), length


def _name(table: Table, live: LiveFile) -> list[str | int]:
    """Return what names a file for ever: its path has its digest."""
    return [table.name, live.path, live.size]


def _padding(*parts: bytes | memoryview) -> int:
    return -sum(len(part) for part in parts) % _ALIGNED


def _column(dtype: pl.DataType, stored: Mapping[str, Any]) -> CopiedColumn:
    values = stored.get("values")
    if values is not None:
        numbers = dtype == INSTANT
        values = pl.Series(values, dtype=pl.Int64 if numbers else dtype).cast(dtype)
    return CopiedColumn(dtype, stored["format"], stored["start"], stored.get("present"), values)


def _encode_column(series: pl.Series, body: bytearray) -> dict[str, Any]:
    dtype = series.dtype
    if dtype in (pl.String, INSTANT):
        values = series.unique().sort()
        if dtype == pl.String or values.len() <= _FEW:
            return _encode_codes(series, values, body)
        return _encode_plain(series.to_physical(), "q", body)
    return _encode_plain(series.to_physical(), _PLAIN[dtype.base_type()], body)


def _encode_codes(series: pl.Series, values: pl.Series, body: bytearray) -> dict[str, Any]:
    listed = values.to_physical().to_list()
    if len(listed) == 1:
        return {"format": None, "start": 0, "values": listed}
    form: Format = "H" if len(listed) <= _FEW else "I"
    codes = pl.int_range(len(listed), dtype=pl.UInt16 if form == "H" else pl.UInt32, eager=True)
    places = pl.DataFrame({"value": values, "code": codes})
    rows = series.alias("value").to_frame()
    coded = rows.join(places, on="value", how="left", nulls_equal=True, maintain_order="left")
    return {"format": form, "start": _append(coded["code"], form, body), "values": listed}


def _encode_plain(series: pl.Series, form: Format, body: bytearray) -> dict[str, Any]:
    stored: dict[str, Any] = {"format": form}
    if series.null_count():
        stored["present"] = _append(series.is_not_null().cast(pl.UInt8), "B", body)
    filled = series.cast(pl.UInt8) if series.dtype == pl.Boolean else series
    stored["start"] = _append(filled.fill_null(0), form, body)
    return stored


def _append(series: pl.Series, form: Format, body: bytearray) -> int:
    """Append the values of a series without nulls; return where they begin."""
    body += bytes(-len(body) % _ALIGNED)
    start = len(body)
    body += bytes_of(series, form)
    return start


def _symbol_runs(frame: pl.DataFrame, table: Table) -> tuple[list[str | None], list[int]]:
    """Return the symbols of the sorted rows, and the end of each one's rows; of an order without symbols, one run."""
    if table.sort[0] != "symbol":
        return [None], [frame.height]
    runs = frame["symbol"].rle().struct.unnest()
    return runs["value"].to_list(), list(accumulate(runs["len"].to_list()))


def _by_day(frame: pl.DataFrame, table: Table) -> bool:
    """Return whether the days of each symbol increase, so that a search finds them."""
    day = day_of(table)
    if table.sort[0] != "symbol" or day not in frame.columns or frame[day].null_count():
        return False
    falls = (pl.col(day) < pl.col(day).shift()) & (pl.col("symbol") == pl.col("symbol").shift())
    return not frame.select(falls.any()).item()


def with_nulls(series: pl.Series, present: bytes | memoryview | pl.Series) -> pl.Series:
    """Return the series with null where a byte of `present` is 0."""
    kept = (present if isinstance(present, pl.Series) else series_of("present", present, "B")).cast(pl.Boolean)
    return series.to_frame().select(pl.when(kept).then(pl.col(series.name))).to_series()


def _instance(dtype: Any) -> pl.DataType:
    made: pl.DataType = dtype() if isinstance(dtype, type) else dtype
    return made
