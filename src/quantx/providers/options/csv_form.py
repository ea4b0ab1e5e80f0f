"""The CSV form of options: a file of one kind, whose columns are named as those of the table that takes it.

docs/how-to/import-option-csv.md has the columns. A file is read twice: for its contracts and dates, and for its rows.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import IO, Any

import polars as pl

from quantx.core.option_tables import CONTRACT_COLUMNS, CONTRACT_ORDER
from quantx.core.options.symbols import parse_contracts, with_terms
from quantx.errors import ConfigError, MalformedPayload
from quantx.providers.options.csv_columns import KINDS, PARTS, CsvColumns, contracts_of, fault, kind_of, read_column
from quantx.providers.options.kinds import ROWS_PER_BATCH, empty_rows
from quantx.providers.options.members import reading
from quantx.providers.options.protocol import MemberFacts, OptionBatch, OptionMember, Symbology
from quantx.providers.options.sessions import opening, session_after

WRONG_WIDTH = "the row has another number of fields than the header"
_NAMES = (".csv", ".csv.gz", ".csv.zst")
_PACKED = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f": "zstd"}
_BLOCK = 8 << 20
_TO_ASCII = bytes(range(128)) + b"?" * 128
_NO_DAY = date(1970, 1, 1)
_KNOWN = "; ".join(f"{each.kind}: {', '.join(each.required)}" for each in KINDS)


class CsvForm:
    """CSV of one kind, plain or compressed with gzip or zstd."""

    name = "csv"

    def __init__(self, source: str | None) -> None:
        self._source = source

    def recognizes(self, name: str, head: bytes) -> bool:
        """Return whether a member is named as CSV."""
        return name.lower().endswith(_NAMES)

    def open(self, name: str, stream: IO[bytes], size: int, symbology: Symbology | None = None) -> OptionMember:
        """Read the header, the contracts and the dates of a member.

        Raises MalformedPayload where the columns are not those of one kind, or the file is cut, and ConfigError where
        no source is named.
        """
        if self._source is None:
            raise ConfigError(f"{name} does not state where it comes from; name its source: --source NAME")
        text = _CsvText(name, stream)
        columns = kind_of(text.names)
        if columns is None:
            raise MalformedPayload(
                f"{name}: its columns {', '.join(text.names)[:200]} are not those of"
                f" one kind; beside symbol, or {', '.join(PARTS)}, these are needed: {_KNOWN}"
            )
        return CsvMember(text, columns, self._source)


class CsvMember:
    """One open CSV file."""

    def __init__(self, text: _CsvText, columns: CsvColumns, source: str) -> None:
        self._text, self._columns = text, columns
        symbols, days = set[str](), list[date]()
        for rows in text.blocks():
            symbols.update(contracts_of(rows).drop_nulls().unique())
            found = rows.select(_day(columns, text.names)).to_series().drop_nulls()
            days += [each for each in (found.min(), found.max()) if isinstance(each, date)]
        text.check_end()
        named = pl.Series("symbol", sorted(symbols), dtype=pl.String)
        read = pl.concat([named.to_frame(), parse_contracts(named)], how="horizontal").drop_nulls("contract")
        self.contracts = with_terms(
            read.unique("contract").sort(CONTRACT_ORDER).select("underlying", *CONTRACT_COLUMNS)
        )
        places = self.contracts.select("contract").with_row_index("contract_index")
        self._index = read.join(places, on="contract").select("symbol", "contract_index")
        self.facts = MemberFacts(
            kind=columns.kind,
            schema=f"csv {columns.kind}",
            source=source,
            first=min(days, default=_NO_DAY),
            last=max(days, default=_NO_DAY),
            rows=None,
        )

    def batches(self) -> Iterator[OptionBatch]:
        """Yield the rows by session; MalformedPayload where the file is damaged."""
        number = 0
        for block in self._text.blocks():
            for rows in block.iter_slices(ROWS_PER_BATCH):
                yield from self._batches(rows, number)
                number += len(rows)
        if self._text.wrong:
            refused = pl.select(reason=pl.repeat(WRONG_WIDTH, len(self._text.wrong)), row=pl.Series(self._text.wrong))
            yield OptionBatch(date=self.facts.first, rows=empty_rows(self._columns.kind), rejected=refused)

    def _batches(self, rows: pl.DataFrame, number: int) -> Iterator[OptionBatch]:
        names, types = self._text.names, self._columns.all
        texts = rows.rename({name: f"text_{name}" for name in rows.columns})
        values = rows.select(read_column(name, types[name]) for name in names if name in types)
        index = (
            contracts_of(rows)
            .alias("symbol")
            .to_frame()
            .join(self._index, on="symbol", how="left", maintain_order="left")
        )
        read = pl.concat([texts, values, index.select("contract_index")], how="horizontal").with_columns(
            pl.int_range(number + 1, number + len(rows) + 1, eager=True).alias("number"),
            _session(self._columns).fill_null(self.facts.first).alias("session"),
        )
        read = read.with_columns(reason=fault(self._columns, names))
        for (day,), found in read.partition_by("session", as_dict=True, maintain_order=True).items():
            assert isinstance(day, date)
            wrong = found.filter(pl.col("reason").is_not_null())
            as_json = pl.struct(pl.col(f"text_{name}").alias(name) for name in rows.columns).struct.json_encode()
            yield OptionBatch(
                date=day,
                rows=_rows(self._columns, found.filter(pl.col("reason").is_null()), day),
                rejected=None if wrong.is_empty() else wrong.select("reason", row=as_json),
            )


class _CsvText:
    """A file of CSV that is read in blocks, more than once."""

    def __init__(self, name: str, stream: IO[bytes]) -> None:
        self._name, self._stream = name, stream
        self._last = b""
        self.wrong: list[str] = []  # the rows of another width in the last reading, as JSON
        self._stated: list[str] = []
        with self._reader() as reader:
            self._stated = list(reader.schema.names)
        self.names = [each.strip().lower() for each in self._stated]
        if len(set(self.names)) < len(self.names):
            raise MalformedPayload(f"{name} has two columns of one name")

    def blocks(self) -> Iterator[pl.DataFrame]:
        """Yield the rows as texts."""
        self.wrong = []
        with self._reader() as reader:
            for batch in reader:
                rows = pl.from_arrow(batch)
                assert isinstance(rows, pl.DataFrame)
                yield rows.rename(dict(zip(rows.columns, self.names, strict=True)))

    def check_end(self) -> None:
        """Raise MalformedPayload where the file that was read does not end with a line end: it may be cut."""
        if not self._last.endswith((b"\n", b"\r")):
            raise MalformedPayload(f"{self._name} does not end with a line end, so that it may be cut; export it again")

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        import pyarrow as pa
        from pyarrow import csv

        def skip(row: Any) -> str:
            self.wrong.append(json.dumps({"row": row.text}))
            return "skip"

        self._stream.seek(0)
        with reading(self._name):
            texts = _Texts(_plain(self._stream))
            try:
                yield csv.open_csv(
                    pa.PythonFile(texts, "r"),
                    read_options=csv.ReadOptions(block_size=_BLOCK, use_threads=False),
                    parse_options=csv.ParseOptions(invalid_row_handler=skip),
                    convert_options=csv.ConvertOptions(column_types=dict.fromkeys(self._stated, pa.string())),
                )
            except pa.ArrowInvalid:
                raise MalformedPayload(f"{self._name} is no CSV; export it again") from None
            self._last = texts.last


class _Texts:
    """A stream of ASCII that keeps its last byte, and that pyarrow does not close.

    Other bytes become question marks: no value has one, and pyarrow loses a row whose text it can't decode.
    """

    closed = False

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        content: bytes = self._stream.read(size)
        if not self.last:
            content = content.removeprefix(codecs.BOM_UTF8)
        self.last = content[-1:] or self.last
        return content if content.isascii() else content.translate(_TO_ASCII)

    def close(self) -> None:
        """Leave the stream to its owner."""


class _Kept:
    """A stream that pyarrow does not close."""

    closed = False

    def __init__(self, stream: IO[bytes]) -> None:
        self.read = stream.read

    def close(self) -> None:
        """Leave the stream to its owner."""


def _plain(stream: IO[bytes]) -> Any:
    import pyarrow as pa

    head = stream.read(3)
    stream.seek(0)
    packed = _PACKED.get(head)
    return stream if packed is None else pa.CompressedInputStream(pa.PythonFile(_Kept(stream), "r"), packed)


def _day(columns: CsvColumns, names: Sequence[str]) -> pl.Expr:
    """Return the sessions of rows as texts state them."""
    key = "time" if "time" in columns.required else "date"
    return read_column(key, columns.all[key]).cast(pl.Date)


def _session(columns: CsvColumns) -> pl.Expr:
    """Return the sessions of rows that were read: their UTC days."""
    return pl.col("time" if "time" in columns.required else "date").cast(pl.Date)


def _rows(columns: CsvColumns, read: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return the rows of a table; what the file does not state is null."""
    if columns.kind == "open_interest":
        # Published in the morning after the session, where the file does not state when.
        usual = opening(pl.lit(session_after(day)))
        stated = pl.coalesce("public_at", usual) if "public_at" in read.columns else usual
        read = read.with_columns(public_at=stated)
    if columns.kind == "trades":
        missing = {"sequence": pl.col("number"), "publisher": pl.lit(0)}
        read = read.with_columns(**{name: each for name, each in missing.items() if name not in read.columns})
    empty = empty_rows(columns.kind)
    found = read.select(pl.col(name).cast(type_) for name, type_ in empty.schema.items() if name in read.columns)
    return pl.concat([empty, found], how="diagonal")
