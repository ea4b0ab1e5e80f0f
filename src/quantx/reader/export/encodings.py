"""Encode exported rows as Parquet, JSON or CSV; equal rows give equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from quantx.extras import extra
from quantx.reader.export.layouts import Encoding, ExportLayout

if TYPE_CHECKING:  # of an extra: only Parquet needs it, for types that Polars does not write
    import pyarrow as pa

_INSTANT = "%Y-%m-%dT%H:%M:%S%.6fZ"  # as `quantx query --format csv` writes it
_FORMULA = r"^[=+\-@\t\r\n]"  # a spreadsheet takes a text that begins so for a formula
Slices = Callable[[int, int], bytes]  # the file of the rows from an offset, with a length


def check_libraries(layout: ExportLayout) -> None:
    """Raise MissingExtra where a library is not installed that writes the files of a layout."""
    if layout.reference or any(files.encoding == "parquet" for files in layout.bars.values()):
        with extra("pandas", f"the layout {layout.name}"):
            import pyarrow.parquet  # noqa: F401


def encoder(rows: pl.DataFrame, encoding: Encoding, dictionaries: tuple[str, ...] = ()) -> Slices:
    """Return a function that encodes slices of `rows`.

    `dictionaries` are columns of few values that pandas compares with the partition of the same name: in Parquet they
    have pyarrow's type of such a partition. Each must have one value in all of `rows`.
    """
    if encoding == "parquet":
        table = _arrow(rows, dictionaries)
        return lambda at, length: _parquet(table.slice(at, length))
    texts = _plain_texts(rows) if encoding == "csv" else _without_instants(rows)
    write = _csv if encoding == "csv" else json_bytes
    return lambda at, length: write(texts.slice(at, length))


def parquet_bytes(rows: pl.DataFrame) -> bytes:
    """Return rows as a Parquet file."""
    return _parquet(_arrow(rows, ()))


def json_bytes(rows: pl.DataFrame) -> bytes:
    """Return rows as a JSON array of objects, one per line; dates and instants in ISO 8601."""
    lines = _without_instants(rows).write_ndjson().rstrip("\n")
    return f"[\n{lines.replace(chr(10), f',{chr(10)}')}\n]\n".encode()


def _parquet(table: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_dictionary(f.type)]
    buffer = io.BytesIO()
    # Without dictionaries of prices a file of a year is written in two thirds of the time, and is smaller.
    pq.write_table(table, buffer, compression="zstd", compression_level=3, use_dictionary=texts or False)
    return buffer.getvalue()


def _arrow(rows: pl.DataFrame, dictionaries: tuple[str, ...]) -> pa.Table:
    """Return the rows with the types that all readers know."""
    import pyarrow as pa

    table = rows.to_arrow()
    table = table.cast(
        pa.schema(pa.field(f.name, pa.string() if rows.schema[f.name] == pl.String else f.type) for f in table.schema)
    )
    for name in dictionaries:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(at).dictionary_encode())
    return table.replace_schema_metadata(None)


def _without_instants(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.strftime(_INSTANT))


def _plain_texts(rows: pl.DataFrame) -> pl.DataFrame:
    """Put an apostrophe before texts that a spreadsheet would run as a formula; numbers stay numbers."""
    text = pl.col(pl.String)
    return rows.with_columns(pl.when(text.str.contains(_FORMULA)).then("'" + text).otherwise(text).name.keep())


def _csv(rows: pl.DataFrame) -> bytes:
    return rows.write_csv(datetime_format=_INSTANT).encode()
