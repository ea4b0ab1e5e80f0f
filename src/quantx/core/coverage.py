"""Coverage of a reply: which days it answers, and on which of them the vendor has no data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quantx.core.calendars import Calendar
from quantx.core.model import SETTLED_AFTER, Window

# Vendors publish the newest sessions late, or first with empty rows (yfinance#2925). A missing one is not yet a gap.
LATE = timedelta(days=5)


@dataclass(frozen=True)
class Coverage:
    """Windows of days, both ends inclusive."""

    covered: Window | None  # the answered days
    asked_through: date | None  # last day of the window that had settled at the time of the request
    nothing: tuple[Window, ...]  # within `covered`: days without data at the vendor


def coverage_of(window: Window, as_of: datetime, answered: Sequence[date], calendar: Calendar) -> Coverage:
    """Return the coverage of a reply with bars.

    `answered` are the sessions with a bar in the reply (accepted or rejected), in order; the first and the last one are
    enough. The part before the first bar is covered: the vendor's history begins there. The part after the last bar is
    covered if that bar is so old that the vendor is not just late.
    """
    final = calendar.last_closed(as_of, SETTLED_AFTER)
    if final is None or final < window.start:
        return Coverage(None, None, ())
    asked_through = min(window.end, final)
    inside = [d for d in answered if window.start <= d <= asked_through]
    late_since = as_of.date() - LATE
    if not inside:
        end = min(asked_through, late_since)
    elif calendar.sessions(inside[-1], asked_through)[1:] and inside[-1] >= late_since:
        end = inside[-1]
    else:
        end = asked_through
    if end < window.start:
        return Coverage(None, asked_through, ())
    return Coverage(Window(window.start, end), asked_through, tuple(_gaps(window.start, end, inside, calendar)))


def all_of(window: Window, as_of: datetime, calendar: Calendar) -> Coverage:
    """Return the coverage of a reply with corporate actions only: each settled day of the window."""
    final = calendar.last_closed(as_of, SETTLED_AFTER)
    if final is None or final < window.start:
        return Coverage(None, None, ())
    through = min(window.end, final)
    return Coverage(Window(window.start, through), through, ())


def _gaps(start: date, end: date, inside: Sequence[date], calendar: Calendar) -> Iterator[Window]:
    """Yield the parts before the first and after the last bar that contain a session."""
    first, last = (inside[0], inside[-1]) if inside else (end + timedelta(days=1), end)
    for a, b in ((start, first - timedelta(days=1)), (last + timedelta(days=1), end)):
        if calendar.sessions(a, b):
            yield Window(a, b)


def months_of(window: Window) -> list[Window]:
    """Return the parts of a window in each calendar month.

    >>> [str(w.end) for w in months_of(Window(date(2024, 1, 30), date(2024, 3, 1)))]
    ['2024-01-31', '2024-02-29', '2024-03-01']
    """
    parts, start = [], window.start
    while start <= window.end:
        following = (start.replace(day=1) + timedelta(days=32)).replace(day=1)
        parts.append(Window(start, min(window.end, following - timedelta(days=1))))
        start = following
    return parts


def missing_hull(gaps: Iterable[Window], calendar: Calendar) -> Window | None:
    """Return the smallest window with all sessions in `gaps`; None if they have no session.

    One request fetches the window, so days in its middle that are already covered cost nothing.
    """
    ends = [ends for gap in gaps if (ends := calendar.ends(gap.start, gap.end)) is not None]
    return Window(min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def daily_window(watermark: date | None, now: datetime, lookback: int, calendar: Calendar) -> Window | None:
    """Return the window of a daily update: the missing sessions and `lookback` known ones before them.

    None if the series is up to date. A series without a watermark gets the last `lookback` sessions.
    """
    newest = calendar.last_closed(now, SETTLED_AFTER)
    if newest is None or (watermark is not None and watermark >= newest):
        return None
    if watermark is None:
        return Window(calendar.back(newest, max(0, lookback - 1)), newest)
    # `back` counts from the first session on or after the watermark; the watermark itself is fetched again first.
    return Window(calendar.back(watermark, max(0, lookback - 1)) if lookback else watermark + timedelta(days=1), newest)
