"""The exchanges' sessions as the pipeline published them in the lake, so that reading needs no library of calendars."""

from __future__ import annotations

from quantx.core.calendars import Calendar, CalendarOf, calendar
from quantx.lake.protocol import StoredTables

SESSIONS = "sessions"  # the table: calendar, date, open, close


def calendars_of(tables: StoredTables) -> CalendarOf:
    """Return the calendars of a lake; one that is not in its table is computed, where its library is installed."""
    stored = stored_calendars(tables)
    return lambda code: stored[code] if code in stored else calendar(code)


def stored_calendars(tables: StoredTables) -> dict[str, Calendar]:
    """Return the calendars in the table of sessions by code; none where the lake has no such table."""
    if SESSIONS not in tables:
        return {}
    rows = tables[SESSIONS].read().sort("calendar", "date")
    return {
        str(code): Calendar(str(code), *(tuple(part[c].to_list()) for c in ("date", "open", "close")))
        for (code,), part in rows.group_by("calendar", maintain_order=True)
    }
