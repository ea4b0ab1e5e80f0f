"""The mapping of symbols in the header of a DBN file, read as columns.

`Metadata.decode` makes a Python object of each day of each symbol: a header of 6 MB (a month of SPY) then takes 150 MB
of memory, and one of a year two gigabytes. The layout has widths that are fixed per file
(https://databento.com/docs/standards-and-conventions/databento-binary-encoding, Metadata).
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from quantx.providers.options.symbology import Intervals

FIXED = 100  # bytes before the parts of variable length
_WIDTH_V1 = 22
_WIDTH_AT = 16 + 2 + 3 * 8 + 3  # after dataset, schema, start, end, limit, both kinds of symbols, and ts_out
_LISTS = 3  # symbols, partly resolved, not found
_U32 = struct.Struct("<I")


def mapping_starts(metadata: memoryview, version: int) -> int:
    """Return the place of the mappings; struct.error where the lists before them do not fit."""
    width, at = _width(metadata, version), FIXED
    at += _U32.size + int(_U32.unpack_from(metadata, at)[0])
    for _ in range(_LISTS):
        at += _U32.size + int(_U32.unpack_from(metadata, at)[0]) * width
    return at


def read_intervals(metadata: memoryview, version: int, *, by_symbol: bool) -> Intervals:
    """Return which symbol each instrument id had on which days; struct.error or ValueError where the bytes do not fit.

    `by_symbol` is whether the keys of the mapping are symbols; else they are ids.
    """
    width = _width(metadata, version)
    interval = np.dtype([("start", "<u4"), ("end", "<u4"), ("value", f"S{width}")])
    at = mapping_starts(metadata, version)
    keys, parts = [], []
    (symbols,) = _U32.unpack_from(metadata, at)
    at += _U32.size
    for _ in range(symbols):
        (count,) = _U32.unpack_from(metadata, at + width)
        keys.append(bytes(metadata[at : at + width]).rstrip(b"\0").decode())
        at += width + _U32.size
        parts.append(np.frombuffer(metadata, interval, count, at))
        at += count * interval.itemsize
    found = np.concatenate(parts) if parts else np.empty(0, interval)
    key = np.repeat(np.arange(len(keys), dtype=np.uint32), [len(each) for each in parts])
    start, end = _days(found["start"]), _days(found["end"])
    if by_symbol:
        return Intervals(symbols=keys, symbol=key, instrument=found["value"].astype(np.int64), start=start, end=end)
    values, places = np.unique(found["value"], return_inverse=True)
    symbols = [each.decode() for each in values.tolist()]
    numbers = np.array([int(each) for each in keys], np.int64)
    return Intervals(symbols=symbols, symbol=places.astype(np.uint32), instrument=numbers[key], start=start, end=end)


def _width(metadata: memoryview, version: int) -> int:
    if version == 1:
        return _WIDTH_V1
    (width,) = struct.unpack_from("<H", metadata, _WIDTH_AT)
    if not 0 < width < 2**10:
        raise ValueError(width)
    return int(width)


def _days(dates: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Return days since 1970 of numbers such as 20250807; ValueError where one is no date."""
    year, month, day = dates // 10_000, dates // 100 % 100, dates % 100
    months = (year.astype(np.int64) - 1970) * 12 + month - 1
    found = months.astype("M8[M]").astype("M8[D]") + (day.astype(np.int64) - 1)
    if ((month < 1) | (month > 12)).any() or (found.astype("M8[M]").astype(np.int64) != months).any():
        raise ValueError(dates)
    return found.astype(np.int64)
