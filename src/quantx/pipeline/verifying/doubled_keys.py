"""Rows of a table with the same key: two committers on one table can leave them.

Files are sorted, so that equal keys of one file are neighbours. Only files whose symbols and times overlap can share a
key. Both keep the check small: no table is held in memory as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from quantx.core.table import DAYS, Table
from quantx.errors import DamagedObject
from quantx.lake.replay import DataFile
from quantx.lake.store import LakeLocation

_TIMES = (*DAYS, "time")
_SYMBOLS = ("symbol", "instrument", "contract")


def doubled_keys(location: LakeLocation, path: str, table: Table, files: Sequence[DataFile]) -> pl.DataFrame:
    """Return the keys that several rows of these files have, with the number of their rows in `len`.

    Files that can't be read are passed over: they are damaged.
    """
    found = [pl.DataFrame(schema={c: table.schema[c] for c in table.key} | {"len": pl.UInt32})]
    for group in overlapping(files, table):
        parts = [rows for file in group if (rows := _keys(location, path, table, file)) is not None]
        if not parts:
            continue
        keys = pl.concat(parts) if len(parts) > 1 else _beside_equals(parts[0], table)
        counted = keys.group_by(table.key).len().filter(pl.col("len") > 1)
        found.append(counted.cast({"len": pl.UInt32}))
    return pl.concat(found).sort(table.key)


def overlapping(files: Sequence[DataFile], table: Table) -> Iterator[list[DataFile]]:
    """Yield files of one partition whose times and symbols overlap."""
    partitions = defaultdict[tuple[Any, ...], list[DataFile]](list)
    for file in files:
        partitions[tuple(sorted(file.partition.items()))].append(file)
    for same in partitions.values():
        groups = [same]
        for names in (_TIMES, _SYMBOLS):
            column = next((c for c in names if c in table.key), None)
            if column is not None:
                groups = [part for group in groups for part in _chains(group, column)]
        yield from groups


def _chains(files: Sequence[DataFile], column: str) -> Iterator[list[DataFile]]:
    """Yield the files whose ranges of a column form a chain; a file with nulls is beside all."""
    bounds = [
        (f.statistics.get("minValues", {}).get(column), f.statistics.get("maxValues", {}).get(column)) for f in files
    ]
    nulls = [f.statistics.get("nullCount", {}).get(column) for f in files]
    if any(low is None or high is None for low, high in bounds) or any(nulls):
        yield list(files)
        return
    chain: list[DataFile] = []
    end = None
    for (low, high), file in sorted(zip(bounds, files, strict=True), key=lambda pair: pair[0]):
        if chain and low > end:
            yield chain
            chain, end = [], None
        chain.append(file)
        end = high if end is None else max(end, high)
    yield chain


def _keys(location: LakeLocation, path: str, table: Table, file: DataFile) -> pl.DataFrame | None:
    columns = [c for c in table.key if c not in table.partitions]
    try:
        body = pa.BufferReader(location.get(f"{path}/{file.path}"))
        rows = pl.DataFrame(pq.read_table(body, columns=columns, use_threads=False, page_checksum_verification=True))
    except (DamagedObject, pa.ArrowException, OSError, ValueError, pl.exceptions.PolarsError):
        return None
    constants = [pl.lit(file.partition.get(p)).cast(table.schema[p]).alias(p) for p in table.key if p in file.partition]
    return rows.with_columns(constants).select(pl.col(c).cast(table.schema[c]) for c in table.key)


def _beside_equals(keys: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the rows of a sorted file whose neighbour has equal values in the columns by which it is sorted."""
    by = [c for c in table.sort if c in table.key]
    if not by:
        return keys
    after = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(-1)) for c in by)
    before = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(1)) for c in by)
    return keys.filter(after | before)
