"""The days of filing: up to which one a reply of the SEC is complete."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from quantx.core.calendars import calendar
from quantx.core.coverage import Coverage
from quantx.core.model import Window
from quantx.core.symbols import US

_LONGEST_PAUSE = timedelta(days=14)  # without a session


def last_filing_day(now: datetime) -> date:
    """Return the last session whose day has ended in New York: all filings of that day are public."""
    today = now.astimezone(ZoneInfo(US.timezone)).date()
    return calendar(US.calendar).sessions(today - _LONGEST_PAUSE, today - timedelta(days=1))[-1]


def coverage_of_filings(window: Window, as_of: datetime) -> Coverage:
    """Return the coverage of a reply with all filings of a filer: each day of the window that has ended.

    `asked_through` is the last of these days, also where it is before the window.
    """
    through = min(window.end, last_filing_day(as_of))
    covered = Window(window.start, through) if through >= window.start else None
    return Coverage(covered, through, ())
