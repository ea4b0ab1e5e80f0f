"""Sessions of American options: UTC days, the session before one, and clocks of New York."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date, timedelta

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.table import INSTANT

NEW_YORK = "America/New_York"
_MILLISECONDS_TO_OPEN = (9 * 60 + 30) * 60_000


def session_before(day: date) -> date:
    """Return the last session of the American exchanges before a day; the day before where the calendar has none."""
    days = calendar("XNYS").days
    at = bisect_left(days, day)
    return days[at - 1] if at else day - timedelta(days=1)


def session_after(day: date) -> date:
    """Return the first session of the American exchanges after a day; the day after where the calendar has none."""
    days = calendar("XNYS").days
    at = bisect_right(days, day)
    return days[at] if at < len(days) else day + timedelta(days=1)


def instant_in_new_york(day: pl.Expr, milliseconds: pl.Expr) -> pl.Expr:
    """Return the instants of times of day in New York, in milliseconds since midnight."""
    local = day.cast(pl.Datetime("us")) + pl.duration(milliseconds=milliseconds)
    return local.dt.replace_time_zone(NEW_YORK, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def opening(day: pl.Expr) -> pl.Expr:
    """Return 09:30 in New York: the latest instant at which what is published in the morning is public."""
    return instant_in_new_york(day, pl.lit(_MILLISECONDS_TO_OPEN)).cast(INSTANT)
