"""Invented DBN files of options: records as they are given, in each version, and a session of quotes of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Records = npt.NDArray[np.void]
Symbols = Mapping[str, Sequence[tuple[date, date, int]]]
# Of one version: the schema's record type and the class of databento_dbn.
_CLASSES = {
    "cbbo-1m": (0xC1, ("CBBOMsg",) * 3),
    "trades": (0x00, ("TradeMsg",) * 3),
    "ohlcv-1s": (0x20, ("OHLCVMsg",) * 3),
    "ohlcv-1m": (0x21, ("OHLCVMsg",) * 3),
    "ohlcv-1h": (0x22, ("OHLCVMsg",) * 3),
    "ohlcv-1d": (0x23, ("OHLCVMsg",) * 3),
    "statistics": (0x18, ("StatMsgV1", "StatMsgV1", "StatMsg")),
    "definition": (0x13, ("InstrumentDefMsgV1", "InstrumentDefMsgV2", "InstrumentDefMsg")),
    "mbp-1": (0x01, ("MBP1Msg",) * 3),
}
_DAY = 86_400 * 10**9
_PUBLISHER = 30
_FIRST_ID = 16_000_000
_STEP = 1000  # between strikes, thousandths
_CENT = 10**7


def records(schema: str, version: int = 3, **columns: Any) -> Records:
    """Return records of a schema; fields that are not given are undefined.

    >>> records("ohlcv-1d", instrument_id=[1, 2], volume=[10, 20])["rtype"].tolist()
    [35, 35]
    """
    import databento_dbn

    rtype, classes = _CLASSES[schema]
    dtype = np.dtype(getattr(databento_dbn, classes[version - 1])._dtypes)  # noqa: SLF001 - its only layouts
    made = np.zeros(max(np.size(values) for values in columns.values()), dtype)
    for name in dtype.names or ():
        kind = dtype[name]
        if (kind.kind == "i" and kind.itemsize > 1) or kind == np.dtype("u8"):
            made[name] = np.iinfo(kind).max
    made["length"], made["rtype"], made["publisher_id"] = dtype.itemsize // 4, rtype, _PUBLISHER
    for name, values in columns.items():
        made[name] = values
    return made


def header(schema: str, symbols: Symbols, *, first: date, days: int = 1, version: int = 3, **metadata: Any) -> bytes:
    """Return the header of a DBN file; `symbols` has the days (end exclusive) on which each symbol had an id."""
    import databento_dbn as dbn

    start = nanoseconds(first)
    mappings = [
        SimpleNamespace(raw_symbol=symbol, intervals=[_interval(*span) for span in spans])
        for symbol, spans in symbols.items()
    ]
    stated: dict[str, Any] = {
        "dataset": "OPRA.PILLAR",
        "start": start,
        "end": start + days * _DAY,
        "stype_in": dbn.SType.RAW_SYMBOL,
        "stype_out": dbn.SType.INSTRUMENT_ID,
        "schema": dbn.Schema.from_str(schema),
        "symbols": list(symbols),
        "partial": [],
        "not_found": [],
        "mappings": mappings,
        "version": version,
    }
    return bytes(dbn.Metadata(**(stated | metadata)).encode())


def dbn_file(content: Records, head: bytes, *, compressed: bool = False) -> bytes:
    """Return a DBN file of a header and of records."""
    plain = head + content.tobytes()
    return compress(plain) if compressed else plain


def compress(content: bytes) -> bytes:
    """Return content as one frame of zstd."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def nanoseconds(day: date, minutes: float = 0) -> int:
    """Return the nanoseconds since 1970 of a UTC day and minutes after its midnight."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) * 10**9 + round(minutes * 60 * 10**9)


def chain_symbols(root: str, day: date, contracts: int) -> dict[str, list[tuple[date, date, int]]]:
    """Return the OSI symbols of a chain on a day, each with its id: expirations in weeks, strikes around 500."""
    per_expiration = 400
    found = {}
    for number in range(contracts):
        expiration = day + timedelta(days=7 * (1 + number // per_expiration))
        place = number % per_expiration
        strike = 400_000 + _STEP * (place // 2)
        symbol = f"{root:<6}{expiration:%y%m%d}{'CP'[place % 2]}{strike:08d}"
        found[symbol] = [(day, day + timedelta(days=1), _FIRST_ID + number)]
    return found


def write_session(path: Path, root: str, day: date, *, contracts: int, minutes: int = 391, seed: int = 1) -> None:
    """Write a compressed cbbo-1m file of a session: each contract at each minute from 09:30, in the order of time."""
    import pyarrow as pa

    drawn = np.random.default_rng(seed)
    bids = drawn.integers(50, 5000, contracts)
    start = nanoseconds(day, 13 * 60 + 30)
    with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "zstd") as stream:
        stream.write(header("cbbo-1m", chain_symbols(root, day, contracts), first=day))
        for minute in range(minutes):
            bids = np.maximum(bids + drawn.integers(-2, 3, contracts), 1)
            stream.write(_minute(bids, start + minute * 60 * 10**9, drawn).tobytes())


def _minute(bids: npt.NDArray[np.int64], end: int, drawn: np.random.Generator) -> Records:
    contracts = len(bids)
    traded = drawn.random(contracts) < 0.05
    return records(
        "cbbo-1m",
        instrument_id=np.arange(contracts) + _FIRST_ID,
        ts_recv=np.full(contracts, end, np.uint64),
        ts_event=np.where(traded, np.uint64(end - 10**9), np.uint64(np.iinfo(np.uint64).max)),
        price=np.where(traded, bids * _CENT, np.iinfo(np.int64).max),
        size=np.where(traded, drawn.integers(1, 50, contracts), 0),
        bid_px_00=bids * _CENT,
        ask_px_00=(bids + drawn.integers(1, 6, contracts)) * _CENT,
        bid_sz_00=drawn.integers(1, 500, contracts),
        ask_sz_00=drawn.integers(1, 500, contracts),
    )


def _interval(start: date, end: date, instrument: int) -> SimpleNamespace:
    return SimpleNamespace(start_date=start, end_date=end, symbol=str(instrument))
