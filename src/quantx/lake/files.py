"""The Parquet files of one Delta table: sorted, with exact statistics, in the encodings that measured best."""

from __future__ import annotations

import io
import json
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import polars as pl

from quantx.core.option_tables import is_of_options
from quantx.core.table import INSTANT, Table
from quantx.errors import DamagedObject
from quantx.lake.digests import sha256
from quantx.lake.file_changes import AddedFile, RemovedFile
from quantx.lake.pages import check_pages
from quantx.lake.store import LakeLocation

REPAIR = "`quantx verify --repair` repairs it"
_REPAIR_OF_OPTIONS = (
    "restore it from a backup, options are not derived again (`quantx verify --repair` mends one flipped bit)"
)
ROW_GROUP = 32_768
UNMEASURED = ("row", "sent", "raw", "payload_sha256")  # no reader skips files by them
NAMED = 16  # hex digits of a file's SHA-256 in its name: delta-rs does not give the digests of the log
_THREADS = 2


class TableFiles:
    """Write, read and remove the files of the table at `path`; a commit makes the changes visible."""

    def __init__(self, location: LakeLocation, path: str, table: Table) -> None:
        self._location = location
        self._path = path
        self.table = table

    def read(self, row: Mapping[str, Any]) -> pl.DataFrame:
        """Return the rows of a file, given its row of Delta's add actions; LakeError if it is missing or damaged."""
        frame = self.decoded(row["path"])
        constants = {p: row[f"partition.{p}"] for p in self.table.partitions}
        # Columns that were declared after the file was written are null.
        constants |= {c: None for c in self.table.schema if c not in frame.columns and c not in constants}
        return frame.with_columns(
            pl.lit(value, dtype=self.table.schema[c]).alias(c) for c, value in constants.items()
        ).select([pl.col(c).cast(t) for c, t in self.table.schema.items()])

    def decoded(self, path: str, size: int | None = None) -> pl.DataFrame:
        """Return the rows of a file below the table as stored there, without the partition columns.

        DamagedObject if the file is missing, or does not match its size (where given) or its digest.
        """
        full = f"{self._path}/{path}"
        body = intact_file(self._location, self.table, full)
        if size is not None and len(body) != size:
            raise damaged_file(self.table, full, f"has {len(body):,} bytes, not {size:,}")
        try:
            return decode(body, proven=named_digest(path) is not None)
        except DamagedObject as error:
            raise damaged_file(self.table, full, str(error)) from None

    def remove(self, row: Mapping[str, Any]) -> RemovedFile:
        """Return the removal of a file, given its row of Delta's add actions."""
        values = {p: str(row[f"partition.{p}"]) for p in self.table.partitions}
        return RemovedFile(path=row["path"], size=row["size_bytes"], partition=values)

    def write(self, rows: pl.DataFrame) -> list[AddedFile]:
        """Write `rows` as sorted files, one per partition or several of `rows_per_file`; return the added files."""
        parts = [(key, piece) for key, part in self._partitioned(rows) for piece in self._pieces(part)]
        # Two threads: encoding releases the GIL, and the store is slow.
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda pair: self._write_one(*pair), parts))

    def write_pieces(self, key: tuple[Any, ...], part: pl.DataFrame) -> list[AddedFile]:
        """Write sorted rows of the partition `key`, without its columns; return the added files."""
        return [self._write_one(key, piece) for piece in self._pieces(part)]

    def _write_one(self, key: tuple[Any, ...], part: pl.DataFrame) -> AddedFile:
        from ulid import ULID  # for writing only: a reader has no such library

        values = {p: str(v) for p, v in zip(self.table.partitions, key, strict=True)}
        folder = "".join(f"{p}={quote(v, safe='')}/" for p, v in values.items())
        body = _parquet(part)
        digest = sha256(body)
        path = f"{folder}{ULID()}-{digest[:NAMED]}.parquet"
        self._location.put_new(f"{self._path}/{path}", body)
        return AddedFile(
            path=path,
            size=len(body),
            sha256=digest,
            partition=values,
            statistics=statistics_of(part),
        )

    def _partitioned(self, rows: pl.DataFrame) -> list[tuple[tuple[Any, ...], pl.DataFrame]]:
        """Return the rows of each partition, sorted and without the partition columns."""
        partitions, sort = list(self.table.partitions), list(self.table.sort)
        if rows.is_empty():
            return []
        varying = [p for p in partitions if (rows[p] != rows[p][0]).any()]  # of most batches not the source
        groups: Iterable[tuple[tuple[Any, ...], pl.DataFrame]] = rows.group_by(varying) if varying else [((), rows)]
        return [(tuple(part[p][0] for p in partitions), _sorted(part.drop(partitions), sort)) for _, part in groups]

    def _pieces(self, part: pl.DataFrame) -> list[pl.DataFrame]:
        """Split sorted rows into files of about `rows_per_file` rows, never within a symbol."""
        target = self.table.rows_per_file
        if target is None or part.height <= target * 1.5:
            return [part]
        lengths = part.group_by("symbol", maintain_order=True).len()["len"]
        count = round(part.height / target)
        cuts = [0, *(int(end) for end in _cuts(lengths.cum_sum().to_list(), part.height, count)), part.height]
        return [part[a:b] for a, b in pairwise(cuts) if b > a]


def _cuts(ends: Sequence[int], height: int, count: int) -> list[int]:
    """Return the first ends after each of `count` equal parts."""
    return [ends[bisect_left(ends, height * n // count)] for n in range(1, count)]


def _sorted(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sort, unless the rows are sorted: most rows of vendors are, and the check is ten times cheaper."""
    in_order = pl.lit(True)
    for name in reversed(by):
        now, before = pl.col(name), pl.col(name).shift()
        in_order = (now > before) | ((now == before) & in_order)
    if rows.height < 2 or rows.select(in_order.slice(1).fill_null(False).all()).item():
        return rows
    return rows.sort(by)


def intact_file(location: LakeLocation, table: Table, path: str) -> bytes:
    """Return the bytes of a data file; DamagedObject where it is missing, or they do not fit the digest in its name."""
    try:
        body = location.get(path)
    except DamagedObject:
        raise damaged_file(table, path, "is missing") from None
    digest = named_digest(path)
    if digest is not None and not sha256(body).startswith(digest):
        raise damaged_file(table, path, "does not match its SHA-256")
    return body


def named_digest(path: str) -> str | None:
    """Return the first digits of the SHA-256 in the name of a data file; None where an earlier program wrote it.

    >>> named_digest("source=yahoo/01M8PDNGR2NF452JNVVXDA4WG9-3f2a90d4c7b15e68.parquet")
    '3f2a90d4c7b15e68'
    """
    digest = path.removesuffix(".parquet").rpartition("-")[2]
    return digest if len(digest) == NAMED else None


def damaged_file(table: Table, path: str, what: str) -> DamagedObject:
    """Return the error about a damaged data file."""
    step = _REPAIR_OF_OPTIONS if is_of_options(table.name) else REPAIR
    return DamagedObject(f"the table {table.name} is damaged: {path} {what}; {step}")


def decode(body: bytes, *, proven: bool = False) -> pl.DataFrame:
    """Return the rows of a Parquet file, without the partition columns; DamagedObject where a page is damaged.

    `proven`: a digest has proved the bytes, so that the checksums of the pages need no comparison.
    """
    if not proven:
        check_pages(body)
    try:
        return pl.read_parquet(io.BytesIO(body), hive_partitioning=False)
    except (OSError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise DamagedObject("can't be read as Parquet") from None


def _parquet(rows: pl.DataFrame) -> bytes:
    """Encode with the settings that measured best for bars: zstd 3, no dictionary on numbers, delta-packed integers."""
    import pyarrow.parquet as pq  # for writing only: a reader has no such library

    buffer = io.BytesIO()
    pq.write_table(rows.to_arrow(), buffer, row_group_size=ROW_GROUP, **parquet_options(rows.schema))
    return buffer.getvalue()


def parquet_options(schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> dict[str, Any]:
    """Return the options with which PyArrow writes rows of these columns."""
    texts = [c for c, t in schema.items() if t == pl.String]
    integers = {c: "DELTA_BINARY_PACKED" for c, t in schema.items() if t == pl.Int64}
    dates = {c: "DELTA_BINARY_PACKED" for c, t in schema.items() if t in (pl.Date, INSTANT)}
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": texts or False,
        "column_encoding": integers | dates,
        "store_schema": False,
        "write_page_checksum": True,  # any reader can find flipped bits; the log has the digest of the whole file
    }


def statistics_of(rows: pl.DataFrame) -> str:
    """Return Delta's file statistics, by which readers skip files; Delta has none for booleans."""
    columns = [c for c, t in rows.schema.items() if t != pl.Boolean and c not in UNMEASURED]
    bounds = rows.select(
        pl.col(columns).min().name.suffix(" lowest"), pl.col(columns).max().name.suffix(" highest")
    ).row(0)
    lowest, highest = bounds[: len(columns)], bounds[len(columns) :]
    return json.dumps(
        {
            "numRecords": rows.height,
            "minValues": {c: plain_value(v) for c, v in zip(columns, lowest, strict=True) if v is not None},
            "maxValues": {c: plain_value(v) for c, v in zip(columns, highest, strict=True) if v is not None},
            "nullCount": {c: rows[c].null_count() for c in columns},
        },
        allow_nan=False,
    )


def plain_value(value: Any) -> Any:
    """Return a bound as Delta's statistics have it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value
