"""The raw zone: one immutable Parquet object per worker batch, holding every reply exactly as sent.

The footer lists the replies and the tasks that they answer: the raw zone alone is enough to derive all tables again.
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

from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.errors import DamagedObject
from quantx.lake.digests import ZEROS, is_intact, seal
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
_BODY = "body"
_REPLIES, _DIGEST = b"quantx.replies", b"quantx.replies.sha256"
_OBJECT = b"quantx.object"  # the ULID in the path: an object in the place of another one is damage
# The digest of the whole object is an entry of the footer: its key, and how Parquet begins a value of 64 characters.
_SEAL = "quantx.object.sha256"
_SEALED = _SEAL.encode() + b"\x18\x40"
_EARLIER_ENTRIES = {_REPLIES, _DIGEST, b"ARROW:schema"}  # of objects without a digest of the whole


@dataclass(frozen=True)
class RawPage:
    """One row of a raw object: a page of a reply, and the first task that it answers."""

    task_id: int
    payload: Payload


def raw_path(source: str, dataset: str, ingest_date: str, ulid: str) -> str:
    """Return the path of a raw object."""
    return f"raw/source={source}/dataset={dataset}/ingest_date={ingest_date}/{ulid}.parquet"


def parse_raw_path(path: str) -> tuple[str, str, str]:
    """Return source, dataset and ULID of a raw object; ValueError for any other path.

    An object that stands for another one, without the replies that a tombstone deleted, has the ULID of that one.

    >>> parse_raw_path("raw/source=yahoo/dataset=bars/ingest_date=2024-01-12/01HKZ.parquet")
    ('yahoo', 'bars', '01HKZ')
    >>> parse_raw_path(path_without("raw/source=yahoo/dataset=bars/ingest_date=2024-01-12/01HKZ.parquet", "01M8P"))
    ('yahoo', 'bars', '01HKZ')
    """
    _, source, dataset, _, name = path.split("/")
    ulid = name.removesuffix(".parquet").partition(".")[0]
    return source.removeprefix("source="), dataset.removeprefix("dataset="), ulid


def path_without(path: str, tombstone: str) -> str:
    """Return the path of the object that stands for a raw object, without what a tombstone deleted."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.partition('.')[0]}.{tombstone}.parquet"


def write_batch(
    location: LakeLocation, path: str, pages: Sequence[RawPage], replies: Sequence[StoredReply] = ()
) -> int:
    """Store pages and the list of their replies as one new object; return its size in bytes. Row i is `pages[i]`."""
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for page in pages:
        p = page.payload
        values = (p.symbol, p.request, p.status, p.fetched_at, p.vendor_time, p.sha256, p.content_type, p.body)
        for name, value in zip(SCHEMA.names, (*values, page.task_id), strict=True):
            columns[name].append(value)
    buffer = pa.BufferOutputStream()
    table = pa.table(columns, schema=SCHEMA.with_metadata(_footer(path, replies)))
    with pq.ParquetWriter(
        buffer,
        table.schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=False,
        write_statistics=[name for name in SCHEMA.names if name != _BODY],  # of bodies: each would be copied four times
        write_page_checksum=True,  # for readers of some rows, and for any Parquet reader
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_SEAL: ZEROS.decode()})
    del table, columns  # the copies of the bodies
    body = seal(buffer.getvalue().to_pybytes(), _SEALED)
    location.put_new(path, body)
    return len(body)


def raw_damage(path: str, body: bytes) -> tuple[str | None, bool]:
    """Return what is damaged in a raw object (None: nothing), and whether a digest of the whole object proves it.

    Earlier programs wrote no such digest: their objects are decoded, and compared with the digests of their parts.
    """
    intact = is_intact(body, _SEALED)
    if intact is False:
        return "does not match its SHA-256", True
    if intact:
        ulid = parse_raw_path(path)[2].encode()
        named = (pq.read_metadata(pa.BufferReader(body)).metadata or {}).get(_OBJECT, ulid)
        return (None if named == ulid else "is another raw object"), True
    try:
        entries = pq.read_metadata(io.BytesIO(body)).metadata or {}
        if strange := entries.keys() - _EARLIER_ENTRIES:
            return f"has the unknown entry {min(strange)!a} in its footer", False
        _read_footer(path, body)
        for _ in _read_pages(path, body, None):
            pass
    except DamagedObject:
        return "can't be read, or does not match the SHA-256 of its replies", False
    except (pa.ArrowException, OSError, ValueError):
        return "can't be read as Parquet", False
    return None, False


def _footer(path: str, replies: Sequence[StoredReply]) -> dict[bytes, bytes]:
    """Return the footer's entries; the pages' checksums do not cover them, so that they have a digest of their own."""
    text = json.dumps([_to_json(reply) for reply in replies], default=lambda day: day.isoformat()).encode()
    ulid = parse_raw_path(path)[2].encode()
    return {_OBJECT: ulid, _REPLIES: text, _DIGEST: hashlib.sha256(text).hexdigest().encode()}


def _to_json(reply: StoredReply) -> dict[str, Any]:
    """Return a reply as the footer has it: without the parts that the object's path has."""
    fields = asdict(reply)
    series = fields.pop("series")
    del fields["path"]
    return fields | {"timeframe": series["timeframe"], "symbol": series["symbol"]}


def _from_json(path: str, fields: dict[str, Any]) -> StoredReply:
    source, dataset, _ = parse_raw_path(path)
    fields["series"] = Series(source, dataset, fields.pop("timeframe"), fields.pop("symbol"))
    fields["window"] = Window(*(date.fromisoformat(fields["window"][end]) for end in ("start", "end")))
    fields["fetched_at"] = datetime.fromisoformat(fields["fetched_at"])
    return StoredReply(path=path, **fields)


def read_footer(location: LakeLocation, path: str) -> list[StoredReply] | None:
    """Return the replies of a raw object; None where a program without footers wrote it. Raises DamagedObject."""
    return _read_footer(path, location.get(path))


def _read_footer(path: str, body: bytes) -> list[StoredReply] | None:
    try:
        metadata = pq.read_schema(io.BytesIO(body)).metadata or {}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedObject(f"the raw object {path} is damaged: it can't be read as Parquet") from error
    if _REPLIES not in metadata:
        return None
    if hashlib.sha256(metadata[_REPLIES]).hexdigest().encode() != metadata.get(_DIGEST):
        raise DamagedObject(f"the footer of the raw object {path} does not match its SHA-256")
    return [_from_json(path, fields) for fields in json.loads(metadata[_REPLIES])]


def list_raw(location: LakeLocation, source: str | None = None) -> list[str]:
    """Return the paths of all raw objects (of one source), in order.

    Of an object and those that stand for it, only the newest counts: the others wait to be removed.
    """
    found = sorted(
        p for p in location.paths("raw" if source is None else f"raw/source={source}") if p.endswith(".parquet")
    )
    return sorted({path.removesuffix(".parquet").partition(".")[0]: path for path in _oldest_first(found)}.values())


def _oldest_first(paths: Sequence[str]) -> list[str]:
    """Order objects so that those that stand for another one come after it, by the ULID of their tombstone."""
    return sorted(paths, key=lambda path: path.removesuffix(".parquet"))


def read_pages(location: LakeLocation, path: str, rows: Sequence[int] | None = None) -> Iterator[RawPage]:
    """Yield the pages of a raw object in order, or those at `rows`.

    Raises DamagedObject where a page differs from what was stored.
    """
    return _read_pages(path, location.get(path), rows)


def _read_pages(path: str, body: bytes, rows: Sequence[int] | None) -> Iterator[RawPage]:
    try:
        table = pq.ParquetFile(io.BytesIO(body), page_checksum_verification=True).read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:  # ValueError: names that are not text
        raise DamagedObject(f"the raw object {path} is damaged: it can't be read as Parquet") from error
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
        yield RawPage(row["task_id"], payload)
