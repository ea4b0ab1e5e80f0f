"""Recorded minute bars in the form of a vendor's adapter: frames of VENDOR_BARS with `series`, and their facts."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.symbols import venue_of
from quantx.pipeline.curating.normalize_minutes import FACTS
from quantx.providers.protocol import VENDOR_BARS

from .market_data import either

# The minutes of AAPL in LEAN's files, by session.
AAPL_MINUTES = either(
    {"2014-06-05": 686, "2014-06-06": 783, "2014-06-09": 834}, {"2014-06-05": 500, "2014-06-06": 520, "2014-06-09": 540}
)
# The minutes of thin shares in Alpha Vantage's files, from 2019-02-11 to 2019-02-15.
SLV_MINUTES = either([339, 333, 358, 370, 376], [340, 331, 352, 366, 374])
AMT_MINUTES = either([363, 377, 353, 370, 373], [360, 368, 350, 365, 362])
NEW_YORK = ZoneInfo("America/New_York")
Bar = tuple[datetime, float | None, float | None, float | None, float | None, float | None]


def lean(folder: Path, symbol: str, days: Iterable[str]) -> list[Bar]:
    """Read LEAN's files, return bars: the files have milliseconds of New York's day and prices times 10,000."""
    bars: list[Bar] = []
    for day in days:
        path = folder / "minute_us_lean" / symbol.lower() / f"{day.replace('-', '')}_trade.zip"
        midnight = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK)
        with zipfile.ZipFile(path) as archive:
            (name,) = archive.namelist()
            for row in csv.reader(io.TextIOWrapper(archive.open(name))):
                at = (midnight + timedelta(milliseconds=int(row[0]))).astimezone(UTC)
                bars.append((at, *(int(x) / 10_000 for x in row[1:5]), float(row[5])))
    return bars


def alpha_vantage(folder: Path, symbol: str) -> list[Bar]:
    """Read a file of Alpha Vantage, return bars: it has naive stamps of New York at each minute's end, newest first."""
    path = folder / "minute_us_alphavantage_2019-02" / f"{symbol}_1min.csv.gz"
    bars: list[Bar] = []
    for row in csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())):
        end = datetime.fromisoformat(row["datetime"]).replace(tzinfo=NEW_YORK)
        prices = (float(row[c]) for c in ("open", "high", "low", "close"))
        bars.append(((end - timedelta(minutes=1)).astimezone(UTC), *prices, float(row["volume"])))
    return bars


def vendor_frame(symbol: str, bars: Sequence[Bar], series: int = 0) -> pl.DataFrame:
    """Return bars as an adapter returns them."""
    zone = ZoneInfo(venue_of(symbol).timezone)
    rows = [(symbol, at, at.astimezone(zone).date() if at else None, *values, None, series) for at, *values in bars]
    return pl.DataFrame(rows, schema={**VENDOR_BARS, "series": pl.Int64}, orient="row")


def facts_of(
    symbol: str,
    *,
    start: str = "1990-01-01",
    end: str = "2030-01-01",
    as_of: datetime = datetime(2026, 1, 5, 12, tzinfo=UTC),
    series: int = 0,
    raw: str = "01RAW",
    currency: str | None = "USD",
) -> pl.DataFrame:
    """Return the facts of a series: its exchange, window and currency, and the stored reply."""
    venue = venue_of(symbol)
    today = as_of.astimezone(ZoneInfo(venue.timezone)).date()
    window = (date.fromisoformat(start), date.fromisoformat(end))
    settled = calendar(venue.calendar).last_closed(as_of, SETTLED_AFTER)
    row = (series, symbol, venue.calendar, *window, as_of, today, settled, currency, raw, "5" * 64, as_of)
    return pl.DataFrame([row], schema=FACTS, orient="row")
