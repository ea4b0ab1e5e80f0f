"""The hours in which quotes and trades of options can be."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache

from quantx.core.calendars import calendar

CALENDAR = "XNYS"  # the sessions of the option exchanges of the United States
# Options of funds and of indices trade longer than their shares (Cboe, hours of trading).
AFTER_CLOSE = timedelta(minutes=15)
# Roots with global trading hours: from 20:15 of the evening before (Cboe, global trading hours).
AROUND_THE_CLOCK = ("SPX", "SPXW", "VIX", "VIXW", "XSP")


@lru_cache(maxsize=512)
def option_hours(day: date) -> tuple[datetime, datetime] | None:
    """Return the first and the last instant of a session, UTC and both inclusive; None where the day is no session."""
    sessions = calendar(CALENDAR)
    if not sessions.is_session(day):
        return None
    return sessions.open_of(day), sessions.close_of(day) + AFTER_CLOSE
