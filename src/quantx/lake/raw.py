"""The raw zone: one immutable Parquet object per worker batch, holding every reply exactly as sent."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quantx.core.model import Payload
from quantx.errors import DamagedObject
from quantx.lake.store import LakeLocation

_INSTANT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("request", pa.string()),
        ("status", pa.int32()),
        ("fetched_at", _INSTANT),
        ("vendor_time", _INSTANT),
        ("sha256", pa.string()),
        ("content_type", pa.string()),
        ("body", pa.large_binary()),
        ("task_id", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Landing:
    """One reply and the task that asked for it."""

    task_id: int
    payload: Payload


def raw_path(source: str, dataset: str, ingest_date: str, ulid: str) -> str:
    """Return the path of a raw object."""
    return f"raw/source={source}/dataset={dataset}/ingest_date={ingest_date}/{ulid}.parquet"


def write_batch(location: LakeLocation, path: str, batch: Sequence[Landing]) -> int:
    """Store a batch as one new object and return its size in bytes; row i is `batch[i]`."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for landing in batch:
        p = landing.payload
        values = (p.symbol, p.request, p.status, p.fetched_at, p.vendor_time, p.sha256, p.content_type, p.body)
        for name, value in zip(SCHEMA.names, (*values, landing.task_id), strict=True):
            columns[name].append(value)
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=SCHEMA),
        buffer,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_page_checksum=True,  # a SHA-256 covers the body; this covers what is said about it
    )
    location.put_new(path, buffer.getvalue())
    return buffer.tell()


def read_batch(location: LakeLocation, path: str, rows: Sequence[int] | None = None) -> Iterator[Landing]:
    """Yield the replies of a raw object in order (or those at `rows`); DamagedObject where one is not as it was stored."""
    try:
        table = pq.ParquetFile(io.BytesIO(location.get(path)), page_checksum_verification=True).read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are no text
        raise DamagedObject(f"the raw object {path} is damaged: {error}") from error
    if table.schema != SCHEMA:
        raise DamagedObject(f"the raw object {path} has other columns than a batch of replies")
    wanted = range(table.num_rows) if rows is None else rows
    if table.num_rows <= max(wanted, default=0):
        raise DamagedObject(
            f"the raw object {path} is damaged: it has {table.num_rows} replies, not {max(wanted, default=0) + 1}"
        )
    for i in wanted:
        row = {name: table.column(name)[i].as_py() for name in SCHEMA.names}
        payload = Payload(
            symbol=row["symbol"],
            request=row["request"],
            status=row["status"],
            fetched_at=row["fetched_at"].astimezone(UTC),
            content_type=row["content_type"],
            body=row["body"],
            vendor_time=row["vendor_time"].astimezone(UTC) if row["vendor_time"] else None,
        )
        if payload.sha256 != row["sha256"]:
            raise DamagedObject(f"row {i} of the raw object {path} does not match its SHA-256")
        yield Landing(row["task_id"], payload)
