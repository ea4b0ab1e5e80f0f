"""Read single replies of raw objects as readers of a lake do: with Polars, without the libraries of the pipeline."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import polars as pl

from quantx.core.model import Payload
from quantx.errors import DamagedObject
from quantx.lake.store import LakeLocation

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_ULID = 26  # characters
_COLUMNS = ("symbol", "request", "status", "fetched_at", "vendor_time", "sha256", "content_type", "body")


@dataclass(frozen=True)
class RawReply:
    """One page of a reply, and its row in the raw object."""

    row: int
    payload: Payload


def time_of_ulid(ulid: str) -> datetime | None:
    """Return the instant (UTC) in a ULID, whose first ten characters are milliseconds since 1970; None for other texts.

    >>> time_of_ulid("01M8PV3893SAC0TPQRPZEKWXNG")
    datetime.datetime(2026, 11, 30, 18, 22, 25, 571000, tzinfo=datetime.timezone.utc)
    """
    if len(ulid) != _ULID or not set(ulid) <= set(_DIGITS):
        return None
    milliseconds = 0
    for digit in ulid[:10]:
        milliseconds = milliseconds * len(_DIGITS) + _DIGITS.index(digit)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def day_of_ulid(ulid: str) -> date | None:
    """Return the day (UTC) in a ULID; None for another text.

    >>> day_of_ulid("01M8PV3893SAC0TPQRPZEKWXNG")
    datetime.date(2026, 11, 30)
    """
    moment = time_of_ulid(ulid)
    return None if moment is None else moment.date()


def find_raw(location: LakeLocation, source: str, ulid: str, datasets: Sequence[str]) -> str | None:
    """Return the path of a raw object of a vendor by its ULID; None if there is none.

    `datasets` are those in whose folders it is expected. The ULID has the day; other folders are searched if the object
    is in none of these. Raises RawNotReadable without the right to read there.
    """
    day = day_of_ulid(ulid)
    for dataset in datasets if day is not None else ():
        path = f"raw/source={source}/dataset={dataset}/ingest_date={day}/{ulid}.parquet"
        if location.has(path):
            return path
    found = (p for p in location.paths(f"raw/source={source}") if p.endswith(".parquet"))
    named = [p for p in found if p.rpartition("/")[2].partition(".")[0] == ulid]
    return max(named, key=lambda path: path.removesuffix(".parquet"), default=None)  # the newest that stands for it


def read_replies(location: LakeLocation, path: str, symbols: Collection[str]) -> list[RawReply]:
    """Return the pages about some symbols in a raw object, in order.

    Raises DamagedObject if the object is missing or can't be read, or a page does not match its SHA-256.
    """
    body = location.get(path)
    try:
        pages = pl.read_parquet(io.BytesIO(body), columns=list(_COLUMNS), use_pyarrow=False).with_row_index("row")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DamagedObject(f"the raw object {path} is damaged: it can't be read as Parquet") from error
    named = pl.col("symbol").str.split(",").list.eval(pl.element().is_in(list(symbols))).list.any()
    return [_reply(path, page) for page in pages.filter(named).iter_rows(named=True)]


def _reply(path: str, page: dict[str, object]) -> RawReply:
    facts = {name: page[name] for name in _COLUMNS if name != "sha256"}
    payload = Payload(**facts)  # type: ignore[arg-type]
    if payload.sha256 != page["sha256"]:
        raise DamagedObject(f"row {page['row']} of the raw object {path} does not match its SHA-256")
    return RawReply(int(str(page["row"])), payload)
