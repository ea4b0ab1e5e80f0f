"""Within which hours an exchange's minutes lie: the regular session, its lunch break, and what trades before and after.

Facts that exchange_calendars does not hold are declared here, each with its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta
from functools import lru_cache

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.tables import INSTANT


@dataclass(frozen=True)
class ExtendedHours:
    """The exchange's local time from which and until which shares trade outside the regular session."""

    timezone: str
    first: time
    end: time  # the first minute after it


# New York: venues open at 04:00, and all have closed by 20:00, also on half days, whose late session is shorter
# (nyse.com/markets/hours-calendars).
EXTENDED = {"XNYS": ExtendedHours("America/New_York", time(4), time(20))}

# Elsewhere nothing trades outside the session except its own closing auction. The longest: Hong Kong ends at random up to
# 16:10 (hkex.com.hk, Closing Auction Session), Paris and Frankfurt at 17:35 plus half a minute.
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
    known = calendar(code)
    nothing = [None] * len(known.days)
    frame = pl.DataFrame(
        {
            "date": known.days,
            "open_time": known.opens,
            "close_time": known.closes,
            "break_start": known.break_starts or nothing,
            "break_end": known.break_ends or nothing,
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
