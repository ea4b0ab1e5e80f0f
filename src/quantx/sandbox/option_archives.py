"""Invented archives of options, as Databento's batch downloads are: a zip of DBN files with the lists beside them.

Prices follow Black's formula at one volatility; nothing of them is a market's.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

_NEW_YORK = ZoneInfo("America/New_York")
_OPEN = time(9, 30)
_SCALE = 1_000_000_000  # of prices, and nanoseconds of a second
_NO_PRICE, _NO_TIME = 2**63 - 1, 2**64 - 1
_MINUTE_QUOTES = 0xC1  # the record type of cbbo-1m
_FIRST_ID = 1000


@dataclass(frozen=True, kw_only=True)
class OptionSession:
    """A session of an underlying: all strikes of all expirations have a quote at the end of each minute."""

    underlying: str
    day: date
    spot: float
    strikes: Sequence[float]
    expirations: Sequence[date]
    minutes: int = 390
    volatility: float = 0.2

    @property
    def contracts(self) -> list[tuple[date, str, float]]:
        """Return expiration, right and strike of each contract."""
        return [(day, right, strike) for day in self.expirations for right in "CP" for strike in self.strikes]


@dataclass(frozen=True, kw_only=True)
class _Interval:
    """As databento_dbn expects the days of an instrument id."""

    start_date: date
    end_date: date  # exclusive
    symbol: str


@dataclass(frozen=True)
class _Mapping:
    """As databento_dbn expects a symbol with its instrument ids."""

    raw_symbol: str
    intervals: Sequence[_Interval]


def quotes_file(session: OptionSession) -> bytes:
    """Return the quotes of each minute as a DBN file of the schema cbbo-1m, compressed."""
    import databento_dbn as dbn
    import numpy as np
    import pyarrow as pa

    contracts, minutes = session.contracts, session.minutes
    begin = datetime.combine(session.day, _OPEN, _NEW_YORK).astimezone(UTC)
    ends = [int((begin + timedelta(minutes=n + 1)).timestamp()) * _SCALE for n in range(minutes)]
    rows = np.zeros(len(contracts) * minutes, dtype=np.dtype(list(dbn.CBBOMsg._dtypes)))  # noqa: SLF001 — its only layout
    rows["length"], rows["rtype"], rows["publisher_id"] = rows.dtype.itemsize // 4, _MINUTE_QUOTES, 30
    rows["instrument_id"] = np.tile(np.arange(len(contracts), dtype=np.uint32) + _FIRST_ID, minutes)
    rows["ts_event"], rows["price"] = _NO_TIME, _NO_PRICE
    rows["ts_recv"] = np.repeat(np.array(ends, dtype=np.uint64), len(contracts))
    drift = np.repeat(np.arange(minutes) % 5, len(contracts))  # cents
    middle = np.tile(np.array([_cents(session, *contract) for contract in contracts]), minutes) + drift
    rows["bid_px_00"], rows["ask_px_00"] = ((middle + edge) * (_SCALE // 100) for edge in (-1, 1))
    rows["bid_sz_00"] = rows["ask_sz_00"] = 10
    return bytes(pa.compress(_metadata(session) + rows.tobytes(), codec="zstd", asbytes=True))


def write_archive(path: Path, sessions: Sequence[OptionSession], *, modified: date | None = None) -> Path:
    """Write a zip with a file per session, manifest.json, condition.json and metadata.json; return its path."""
    files: dict[str, bytes] = {}
    for session in sessions:
        files[f"opra-pillar-{session.day:%Y%m%d}.cbbo-1m.{session.underlying}.dbn.zst"] = quotes_file(session)
    listed = [
        {"filename": n, "size": len(b), "hash": f"sha256:{hashlib.sha256(b).hexdigest()}"} for n, b in files.items()
    ]
    days = sorted({session.day for session in sessions})
    changed = modified and modified.isoformat()
    lists = {
        "manifest.json": {"job_id": "OPRA-INVENTED", "files": listed},
        "condition.json": [{"date": f"{d}", "condition": "available", "last_modified_date": changed} for d in days],
        "metadata.json": {"version": 1, "job_id": "OPRA-INVENTED", "query": {"dataset": "OPRA.PILLAR"}},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
        for name, content in lists.items():
            archive.writestr(name, json.dumps(content))
    return path


def _metadata(session: OptionSession) -> bytes:
    import databento_dbn as dbn

    symbols = [_osi(session.underlying, *contract) for contract in session.contracts]
    begin, end = session.day, session.day + timedelta(days=1)
    mappings: list[Any] = [
        _Mapping(each, [_Interval(start_date=begin, end_date=end, symbol=str(number))])
        for number, each in enumerate(symbols, start=_FIRST_ID)
    ]
    names: dict[str, Any] = {  # the texts of its enumerations
        "stype_in": dbn.SType.PARENT,
        "stype_out": dbn.SType.INSTRUMENT_ID,
        "schema": dbn.Schema.CBBO_1M,
    }
    return dbn.Metadata(
        dataset="OPRA.PILLAR",
        start=_nanoseconds(begin),
        end=_nanoseconds(end),
        symbols=[f"{session.underlying}.OPT"],
        mappings=mappings,
        version=3,
        **names,
    ).encode()


def _nanoseconds(day: date) -> int:
    return int(datetime.combine(day, time(), UTC).timestamp()) * _SCALE


def _osi(root: str, expiration: date, right: str, strike: float) -> str:
    return f"{root:<6}{expiration:%y%m%d}{right}{round(strike * 1000):08d}"


def _cents(session: OptionSession, expiration: date, right: str, strike: float) -> int:
    """Return the price of a contract in whole cents, by Black's formula without interest; at least 5."""
    deviation = session.volatility * math.sqrt(max((expiration - session.day).days, 1) / 365)
    d1 = math.log(session.spot / strike) / deviation + deviation / 2
    sign = 1 if right == "C" else -1
    value = sign * (session.spot * _normal(sign * d1) - strike * _normal(sign * (d1 - deviation)))
    return max(round(100 * value), 5)


def _normal(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))
