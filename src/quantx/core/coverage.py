"""What a reply proves about a series: which days were answered, and where the vendor has nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quantx.core.calendars import Calendar
from quantx.core.model import SETTLED_AFTER, Window

# Vendors publish the newest sessions late, or with empty rows at first (yfinance#2925): their absence proves nothing yet.
LATE = timedelta(days=5)


@dataclass(frozen=True)
class Coverage:
    """Windows of days, both ends inclusive."""

    covered: Window | None  # asked and answered
    nothing: tuple[Window, ...]  # within `covered`: the vendor has nothing there


def coverage_of(window: Window, as_of: datetime, answered: Sequence[date], calendar: Calendar) -> Coverage:
    """Tell what a reply covers.

    `answered` are sessions for which the reply had a bar (accepted or rejected), in order; the first and the last one
    are enough. The part before the first bar is answered: the vendor's history begins there. The part after the last
    bar is answered once it is old enough that the vendor cannot be just late.
    """
    final = calendar.last_closed(as_of, SETTLED_AFTER)
    if final is None or final < window.start:
        return Coverage(None, ())
    end = min(window.end, final)
    inside = [d for d in answered if window.start <= d <= end]
    expected = calendar.sessions(window.start, end)
    if not inside or (expected and inside[-1] < expected[-1]):
        # Not up to date: what is old enough counts as answered.
        old = min(end, as_of.date() - LATE)
        end = max(old, inside[-1]) if inside else old
        if end < window.start:
            return Coverage(None, ())
    gaps = []
    if not inside:
        gaps.append(Window(window.start, end))
    else:
        if window.start < inside[0]:
            gaps.append(Window(window.start, inside[0] - timedelta(days=1)))
        if inside[-1] < end:
            gaps.append(Window(inside[-1] + timedelta(days=1), end))
    return Coverage(Window(window.start, end), tuple(g for g in gaps if calendar.sessions(g.start, g.end)))


def missing_hull(gaps: Iterable[Window], calendar: Calendar) -> Window | None:
    """Return the smallest window that holds all sessions in `gaps`, None where there is no session in them.

    One request serves the hull, so a hole in its middle that is covered already costs nothing.
    """
    sessions = [s for gap in gaps for s in calendar.sessions(gap.start, gap.end)]
    return Window(min(sessions), max(sessions)) if sessions else None


def daily_window(watermark: date | None, now: datetime, lookback: int, calendar: Calendar) -> Window | None:
    """Return what a daily update asks for: the missing sessions and `lookback` known ones before them.

    None where the series is up to date. A series without a watermark gets the last `lookback` sessions.
    """
    newest = calendar.last_closed(now, SETTLED_AFTER)
    if newest is None or (watermark is not None and watermark >= newest):
        return None
    if watermark is None:
        return Window(calendar.back(newest, max(0, lookback - 1)), newest)
    # `back` counts from the first session on or after the watermark; the watermark itself is the first one read again.
    return Window(calendar.back(watermark, max(0, lookback - 1)) if lookback else watermark + timedelta(days=1), newest)
