"""The raw zone: one immutable Parquet object per worker batch, holding every reply exactly as sent.

The footer tells which tasks the replies answer, so that the raw zone alone is enough to derive all tables again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from quantx.core.model import Payload, Window
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
_REPLIES, _DIGEST = b"quantx.replies", b"quantx.replies.sha256"


@dataclass(frozen=True)
class Landing:
    """One reply and the task that asked for it."""

    task_id: int
    payload: Payload


@dataclass(frozen=True)
class Answered:
    """A task and the pages of a raw object that answer it."""

    task_id: int
    run_id: str
    timeframe: str
    symbol: str
    window: Window
    row: int  # the first page
    rows: int  # pages, one after the other
    fetched_at: datetime
    size: int  # bytes of the pages; of one that others share, its share
    malformed: str | None = None  # why it can't be read: then it is evidence only


def raw_path(source: str, dataset: str, ingest_date: str, ulid: str) -> str:
    """Return the path of a raw object."""
    return f"raw/source={source}/dataset={dataset}/ingest_date={ingest_date}/{ulid}.parquet"


def parse_raw_path(path: str) -> tuple[str, str, str]:
    """Return source, dataset and ULID of a raw object; ValueError where the path is none.

    >>> parse_raw_path("raw/source=yahoo/dataset=bars/ingest_date=2024-01-12/01HKZ.parquet")
    ('yahoo', 'bars', '01HKZ')
    """
    _, source, dataset, _, name = path.split("/")
    return source.removeprefix("source="), dataset.removeprefix("dataset="), name.removesuffix(".parquet")


def write_batch(location: LakeLocation, path: str, batch: Sequence[Landing], answered: Sequence[Answered] = ()) -> int:
    """Store a batch as one new object and return its size in bytes; row i is `batch[i]`."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for landing in batch:
        p = landing.payload
        values = (p.symbol, p.request, p.status, p.fetched_at, p.vendor_time, p.sha256, p.content_type, p.body)
        for name, value in zip(SCHEMA.names, (*values, landing.task_id), strict=True):
            columns[name].append(value)
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns, schema=SCHEMA.with_metadata(_told(answered))),
        buffer,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_page_checksum=True,  # a SHA-256 covers the body; this covers what is said about it
    )
    location.put_new(path, buffer.getvalue())
    return buffer.tell()


def _told(answered: Sequence[Answered]) -> dict[bytes, bytes]:
    """Return what the footer says; the pages' checksums do not cover it, so that it has one of its own."""
    text = json.dumps([asdict(each) for each in answered], default=lambda day: day.isoformat()).encode()
    return {_REPLIES: text, _DIGEST: hashlib.sha256(text).hexdigest().encode()}


def read_answered(location: LakeLocation, path: str) -> list[Answered] | None:
    """Return which tasks a raw object answers, None where it was stored before that was told; DamagedObject."""
    try:
        told = pq.read_schema(io.BytesIO(location.get(path))).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedObject(f"the raw object {path} is damaged: {error}") from error
    if _REPLIES not in told:
        return None
    if hashlib.sha256(told[_REPLIES]).hexdigest().encode() != told.get(_DIGEST):
        raise DamagedObject(f"the footer of the raw object {path} does not match its SHA-256")
    return [_answered(each) for each in json.loads(told[_REPLIES])]


def _answered(told: dict[str, Any]) -> Answered:
    window = Window(*(date.fromisoformat(told["window"][end]) for end in ("start", "end")))
    return Answered(**told | {"window": window, "fetched_at": datetime.fromisoformat(told["fetched_at"])})


def list_raw(location: LakeLocation, source: str | None = None) -> list[str]:
    """Return the paths of all raw objects (of one source), in order."""
    return sorted(
        p for p in location.paths("raw" if source is None else f"raw/source={source}") if p.endswith(".parquet")
    )


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
