"""Files of minutes: QuantConnect's zips (`aapl/20140605_trade.zip`) and Alpha Vantage's CSVs (`AAPL_1min.csv.gz`)."""

from __future__ import annotations

import gzip
import re
import zipfile
from collections.abc import Iterable, Mapping
from datetime import date
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl

from quantx.core.symbols import US, canonical_symbol, venue_of
from quantx.sandbox.columns import FIELDS, Floats, Ints
from quantx.sandbox.hours import day_number, hours_of
from quantx.sandbox.market import PriceHistory, history
from quantx.sandbox.minutes import Minutes

Days = dict[tuple[str, int], Minutes]

_LEAN = re.compile(r"(?P<day>\d{8})_trade\.zip")
_ALPHAVANTAGE = re.compile(r"(?P<symbol>.+)_1min\.csv(\.gz)?")
_LEAN_PRICE = 10_000  # its prices are whole ten-thousandths of a dollar


def read_minutes(path: Path) -> Days:
    """Return the minutes in a file by symbol and day, nothing where its name is not that of a file of minutes.

    ValueError, OSError or a PolarsError where it can't be read; InvalidSymbol where its name contains none.
    """
    if match := _LEAN.fullmatch(path.name):
        symbol, day = canonical_symbol(path.parent.name), date.fromisoformat(match["day"])
        return {(symbol, day_number(day)): _read_lean(path.read_bytes(), day)}
    if match := _ALPHAVANTAGE.fullmatch(path.name):
        raw = path.read_bytes()
        return _read_alphavantage(canonical_symbol(match["symbol"]), gzip.decompress(raw) if match[2] else raw)
    return {}


def daily_history(symbol: str, days: Mapping[int, Minutes]) -> PriceHistory:
    """Return the daily bars to which the regular minutes of some days add up."""
    numbers = np.array(sorted(days), dtype=np.int64)
    opens, closes = hours_of(venue_of(symbol)).of(numbers)
    rows = [_daily_bar(days[int(day)], int(opens[i]), int(closes[i])) for i, day in enumerate(numbers)]
    return history(symbol, numbers, {name: np.array([row[i] for row in rows]) for i, name in enumerate(FIELDS)})


def by_symbol(minutes: Iterable[tuple[tuple[str, int], Minutes]]) -> dict[str, dict[int, Minutes]]:
    """Return minutes grouped by their symbol."""
    groups: dict[str, dict[int, Minutes]] = {}
    for (symbol, day), bars in minutes:
        groups.setdefault(symbol, {})[day] = bars
    return groups


def _daily_bar(minutes: Minutes, opened: int, closed: int) -> tuple[float, ...]:
    regular = np.flatnonzero((minutes.starts >= opened) & (minutes.starts < closed))
    if not regular.size:
        return (np.nan,) * len(FIELDS)
    column = {name: minutes.columns[name][regular] for name in FIELDS}
    return (
        float(column["open"][0]),
        float(column["high"].max()),
        float(column["low"].min()),
        float(column["close"][-1]),
        float(column["volume"].sum()),
    )


def _read_lean(raw: bytes, day: date) -> Minutes:
    """Return the minutes in rows of milliseconds since midnight in New York (a minute's start), prices, volume."""
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        text = archive.read(archive.namelist()[0])
    names = ["ms", *FIELDS]
    frame = pl.read_csv(text, has_header=False, new_columns=names, schema=dict.fromkeys(names, pl.Int64))
    local = pl.lit(day).cast(pl.Datetime("us")) + pl.duration(milliseconds="ms")
    whole = _minutes(frame.with_columns(_seconds(local).alias("start")))
    # Divided by NumPy: polars multiplies by the reciprocal, and 6448000 becomes 644.8000000000001.
    prices = {name: whole.columns[name] / _LEAN_PRICE for name in FIELDS[:4]}
    return Minutes(whole.starts, {**whole.columns, **prices})


def _read_alphavantage(symbol: str, raw: bytes) -> Days:
    """Return the minutes in rows that are newest first, stamped with the minute's end in New York (as in 2019)."""
    frame = pl.read_csv(raw, schema={"datetime": pl.String, **dict.fromkeys(FIELDS, pl.Float64)})
    local = pl.col("datetime").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us").dt.offset_by("-1m")
    frame = frame.with_columns(_seconds(local).alias("start"), local.dt.date().alias("day")).sort("start")
    return {(symbol, day_number(key[0])): _minutes(part) for key, part in frame.group_by("day")}


def _seconds(local: pl.Expr) -> pl.Expr:
    return local.dt.replace_time_zone(US.timezone).dt.epoch("s")


def _minutes(frame: pl.DataFrame) -> Minutes:
    starts: Ints = frame["start"].to_numpy().astype(np.int64)
    columns: dict[str, Floats] = {name: frame[name].to_numpy().astype(np.float64) for name in FIELDS}
    return Minutes(starts, columns)
