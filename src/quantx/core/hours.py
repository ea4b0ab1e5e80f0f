"""Trading hours of an exchange: the regular session, its lunch break, and extended hours.

Facts that exchange_calendars does not have are declared here, each with its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from functools import lru_cache

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.table import INSTANT


@dataclass(frozen=True)
class ExtendedHours:
    """The first and last local time at which shares trade outside of the regular session."""

    timezone: str
    first: time
    end: time  # the first minute after it


# New York: venues open at 04:00, and all are closed by 20:00. On half days the late session is shorter
# (nyse.com/markets/hours-calendars).
EXTENDED = {"XNYS": ExtendedHours("America/New_York", time(4), time(20))}

# Elsewhere only the closing auction trades outside of the session. The longest: Hong Kong ends at random up to 16:10
# (hkex.com.hk, Closing Auction Session), Paris and Frankfurt at 17:35 plus half a minute.
CLOSING_AUCTION = timedelta(minutes=15)

HOURS: dict[str, pl.DataType | type[pl.DataType]] = {
    "date": pl.Date,
    "open_time": INSTANT,
    "close_time": INSTANT,
    "break_start": INSTANT,  # null: no lunch break on that day
    "break_end": INSTANT,
    "first_time": INSTANT,  # the first minute that can have a bar, and the first one after the last
    "end_time": INSTANT,
}


@lru_cache(maxsize=32)
def trading_hours(code: str) -> pl.DataFrame:
    """Return the sessions of an exchange with their hours, as a frame of HOURS."""
    sessions = calendar(code)
    nothing = [None] * len(sessions.days)
    frame = pl.DataFrame(
        {
            "date": sessions.days,
            "open_time": sessions.opens,
            "close_time": sessions.closes,
            "break_start": sessions.break_starts or nothing,
            "break_end": sessions.break_ends or nothing,
        },
        schema={c: t for c, t in HOURS.items() if c not in ("first_time", "end_time")},
    )
    extended = EXTENDED.get(code)
    if extended is None:
        first, end = pl.col("open_time"), pl.col("close_time") + CLOSING_AUCTION
    else:
        first, end = (
            pl.col("date").dt.combine(t).dt.replace_time_zone(extended.timezone).dt.convert_time_zone("UTC")
            for t in (extended.first, extended.end)
        )
    return frame.with_columns(first.alias("first_time"), end.alias("end_time"))
