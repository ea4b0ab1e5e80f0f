"""The Parquet files of one Delta table: written sorted, with exact statistics, in the encodings measured best."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, RemoveAction
from ulid import ULID

from quantx.core.tables import INSTANT, Table
from quantx.errors import LakeError
from quantx.lake.store import LakeLocation

_ROW_GROUP = 32_768
_AT_ONCE = 2


class TableFiles:
    """Writes, reads and removes the files of the table at `path`; a commit makes the changes visible."""

    def __init__(self, location: LakeLocation, path: str, table: Table) -> None:
        self._location = location
        self._path = path
        self.table = table

    def read(self, row: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a file, given its line of Delta's add actions; LakeError where it is missing or damaged."""
        body = self._location.get(f"{self._path}/{row['path']}")
        try:
            frame = pl.read_parquet(io.BytesIO(body), hive_partitioning=False)
        except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
            raise LakeError(f"the file {self._path}/{row['path']} is damaged: {error}") from error
        return frame.with_columns(
            pl.lit(row[f"partition.{p}"], dtype=self.table.schema[p]).alias(p) for p in self.table.partitions
        ).select([pl.col(c).cast(t) for c, t in self.table.schema.items()])

    def remove(self, row: Mapping[str, Any]) -> RemoveAction:
        """Return what removes a file from the table."""
        values = {p: str(row[f"partition.{p}"]) for p in self.table.partitions}
        return RemoveAction(row["path"], True, int(time.time() * 1000), row["size_bytes"], dict(values))

    def write(self, rows: pl.DataFrame) -> list[AddAction]:
        """Write `rows` as one sorted file per partition and return what adds them."""
        partitions = list(self.table.partitions)
        groups: Iterable[tuple[tuple[Any, ...], pl.DataFrame]]
        groups = rows.group_by(partitions) if partitions else [((), rows)]
        parts = [(key, part) for key, part in groups if part.height]
        # Two at a time: sorting and encoding leave Python free, and the store is waited for.
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(lambda pair: self._write_one(*pair), parts))

    def _write_one(self, key: tuple[Any, ...], part: pl.DataFrame) -> AddAction:
        partitions = list(self.table.partitions)
        values = {p: str(v) for p, v in zip(partitions, key, strict=True)}
        folder = "".join(f"{p}={quote(v, safe='')}/" for p, v in values.items())
        path = f"{folder}{ULID()}.parquet"
        body = _parquet(part.drop(partitions).sort(self.table.sort))
        self._location.put_new(f"{self._path}/{path}", body)
        return AddAction(path, len(body), values, int(time.time() * 1000), True, _statistics(part, partitions))


def _parquet(rows: pl.DataFrame) -> bytes:
    """Encode as measured best for bars: zstd 3, no dictionary on numbers, delta-packed integers."""
    texts = [c for c, t in rows.schema.items() if t == pl.String]
    integers = {c: "DELTA_BINARY_PACKED" for c, t in rows.schema.items() if t == pl.Int64}
    dates = {c: "DELTA_BINARY_PACKED" for c, t in rows.schema.items() if t in (pl.Date, INSTANT)}
    buffer = io.BytesIO()
    pq.write_table(
        rows.to_arrow(),
        buffer,
        compression="zstd",
        compression_level=3,
        row_group_size=_ROW_GROUP,
        use_dictionary=texts or False,
        column_encoding=integers | dates,
        store_schema=False,
    )
    return buffer.getvalue()


def _statistics(rows: pl.DataFrame, partitions: Sequence[str]) -> str:
    """Return Delta's file statistics, by which readers skip files."""
    columns = [c for c in rows.columns if c not in partitions and c not in ("row", "raw", "payload_sha256")]
    lowest, highest = rows.select(pl.col(columns).min()).row(0), rows.select(pl.col(columns).max()).row(0)
    return json.dumps(
        {
            "numRecords": rows.height,
            "minValues": {c: _plain(v) for c, v in zip(columns, lowest, strict=True) if v is not None},
            "maxValues": {c: _plain(v) for c, v in zip(columns, highest, strict=True) if v is not None},
            "nullCount": {c: rows[c].null_count() for c in columns},
        },
        allow_nan=False,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value
