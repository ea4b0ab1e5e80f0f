"""The header of a DBN file: its version, its metadata, and the symbols that it maps."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

from quantx.errors import MalformedPayload
from quantx.extras import extra
from quantx.providers.options.dbn_layouts import DAY, UNDEFINED_TIME, VERSIONS
from quantx.providers.options.dbn_mapping import FIXED, read_intervals
from quantx.providers.options.symbology import Intervals

_MAGIC = b"DBN"
_EPOCH = date(1970, 1, 1)
_PREFIX = 8  # DBN, the version, and the length of the metadata
# A month of SPY has 6 MB.
_LONGEST = 128 << 20
_LISTS = 5  # a definition of the schema, three lists of symbols, and the mappings


class Readable(Protocol):
    """A stream of which `read(n)` may return fewer bytes only at its end."""

    def read(self, nbytes: int, /) -> bytes:
        """Return the next bytes."""
        ...


@dataclass(frozen=True, kw_only=True)
class DbnHeader:
    """What a header states."""

    version: int
    length: int  # bytes of the whole header
    dataset: str
    schema: str | None  # None: a live capture of several schemas
    start: int  # nanoseconds since 1970
    end: int | None  # exclusive
    limit: int | None  # of records, in the request
    ts_out: bool
    intervals: Intervals

    @property
    def first(self) -> date:
        """Return the first UTC day."""
        return _day(self.start)

    @property
    def last(self) -> date:
        """Return the last UTC day, inclusive."""
        return self.first if self.end is None else _day(max(self.end - 1, self.start))

    def covers(self, day: date) -> bool:
        """Return whether the request covers a whole UTC day and has no limit of records."""
        midnight = (day - _EPOCH).days * DAY
        return self.limit is None and self.start <= midnight and self.end is not None and midnight + DAY <= self.end


def read_header(stream: Readable, name: str) -> DbnHeader:
    """Read the header of a stream of DBN; MalformedPayload where the stream does not begin with one."""
    prefix = stream.read(_PREFIX)
    if len(prefix) < _PREFIX or prefix[:3] != _MAGIC:
        raise MalformedPayload(f"{name} is no DBN: {_looks_like(prefix)}; download it again")
    version, length = prefix[3], int.from_bytes(prefix[4:], "little")
    if version not in VERSIONS:
        raise MalformedPayload(f"{name} has version {version} of DBN; versions 1 to {VERSIONS[-1]} are known")
    if length > _LONGEST:
        raise MalformedPayload(f"{name} states {length:,} bytes of metadata, which no file has; download it again")
    content = stream.read(length)
    if len(content) < length:
        raise MalformedPayload(f"{name} ends within its metadata; download it again")
    return _understood(prefix, memoryview(content), name)


def _understood(prefix: bytes, body: memoryview, name: str) -> DbnHeader:
    version = prefix[3]
    metadata = _decoded(prefix, bytes(body[:FIXED]), name)
    try:
        by_symbol = str(metadata.stype_out) == "instrument_id"
        intervals = read_intervals(body, version, by_symbol=by_symbol)
    except (struct.error, ValueError):
        raise MalformedPayload(f"{name} has damaged metadata; download it again") from None
    return DbnHeader(
        version=version,
        length=len(prefix) + len(body),
        dataset=metadata.dataset,
        schema=None if metadata.schema is None else str(metadata.schema),
        start=metadata.start,
        end=None if metadata.end == UNDEFINED_TIME else metadata.end,
        limit=metadata.limit,
        ts_out=metadata.ts_out,
        intervals=intervals,
    )


def _decoded(prefix: bytes, fixed: bytes, name: str) -> Any:
    """Return the metadata without its lists of symbols."""
    with extra("options", "reading DBN"):
        import databento_dbn
    body = fixed + bytes(_LISTS * 4)
    try:
        return databento_dbn.Metadata.decode(prefix[:4] + len(body).to_bytes(4, "little") + body)
    except (KeyboardInterrupt, SystemExit):
        raise
    # The package panics on some damaged bytes, with an exception that is no Exception.
    except BaseException:  # noqa: BLE001
        raise MalformedPayload(f"{name} has damaged metadata; download it again") from None


def _day(nanoseconds: int) -> date:
    return _EPOCH + timedelta(days=nanoseconds // DAY)


def _looks_like(head: bytes) -> str:
    if not head:
        return "it is empty"
    if head.lstrip()[:1] == b"<":
        return "it is a page of HTML or XML"
    if head.lstrip()[:1] in (b"{", b"["):
        return "it is JSON, perhaps an error of the vendor"
    return "it has no header of DBN"
