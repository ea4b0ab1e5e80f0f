"""The result of a query as a frame."""

from __future__ import annotations

import re
from datetime import date
from importlib.util import find_spec

import duckdb
import polars as pl

from quantx.errors import SqlError
from quantx.reader.sql.catalog import name

_WHOLE = pl.Decimal(38, 0)  # what DuckDB gives for the sum of whole numbers
_WITHOUT_FRAME = re.compile(r"\b(INTERVAL|UHUGEINT|BIT|UNION|VARIANT|GEOMETRY|BIGNUM|VARINT|TIME WITH TIME ZONE|MAP)\b")


_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = (date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH + 1)  # from the first to after the last
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000}


class FailedResult(Exception):
    """A query failed in the middle of its result; the text has DuckDB's."""


def to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Run a query and return its rows.

    Sums of whole numbers are Int64 where they fit. Columns of types that frames do not have, as intervals, are texts.
    Raises duckdb.Error or FailedResult where the query fails.
    """
    columns = relation.columns
    twice = next((c for i, c in enumerate(columns) if c in columns[:i]), None)
    if twice is not None:
        raise SqlError(f"two columns of the result have the name {twice!r}; rename one with AS")
    shown = [_readable(c, str(kind)) for c, kind in zip(columns, relation.types, strict=True)]
    if any("VARCHAR" in each for each in shown):
        relation = relation.project(", ".join(shown))
    frame = _read(relation)
    _check_times(frame)
    return frame.with_columns(
        *(_narrow(frame[c]) for c, kind in frame.schema.items() if kind == _WHOLE),
        *(pl.col(c).dt.convert_time_zone("UTC") for c, kind in frame.schema.items() if _has_zone(kind)),
    )


def _check_times(frame: pl.DataFrame) -> None:
    """Raise SqlError for a date or an instant that Python does not have, as infinity."""
    for column, kind in frame.schema.items():
        if not isinstance(kind, pl.Date | pl.Datetime) or kind == pl.Datetime("ns"):  # which all exist in Python
            continue
        per_day = _PER_DAY[kind.time_unit] if isinstance(kind, pl.Datetime) else 1
        stored = frame[column].to_physical()
        if not stored.is_between(_DAYS[0] * per_day, _DAYS[1] * per_day, closed="left").all():
            raise SqlError(f"{column!r} has times that are not in the years 1 to 9999; use {column}::VARCHAR")


def _read(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Read a result without pyarrow; with it where it is there: DuckDB 2.0 and NumPy print leaks at exit otherwise."""
    try:
        if find_spec("pyarrow") is None:
            return pl.DataFrame(relation)
        import pyarrow as pa

        return pl.DataFrame(pl.from_arrow(pa.RecordBatchReader.from_stream(relation).read_all()))
    except (pl.exceptions.PolarsError, OSError, ValueError, NotImplementedError) as error:
        raise FailedResult(str(error)) from None


def _readable(column: str, kind: str) -> str:
    quoted = name(column)
    return f"{quoted}::VARCHAR AS {quoted}" if _WITHOUT_FRAME.search(kind) else quoted


def _has_zone(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Datetime) and kind.time_zone not in (None, "UTC")


def _narrow(values: pl.Series) -> pl.Series:
    whole = values.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == values.null_count() else values.cast(pl.Float64)
