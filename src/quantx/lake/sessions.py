"""The exchanges' sessions as the pipeline publishes them in the lake, so that reading needs no library of calendars."""

from __future__ import annotations

from datetime import datetime

from quantx.core.calendars import Calendar, CalendarOf, calendar
from quantx.core.tables import SESSIONS
from quantx.lake.protocol import StoredTables


def calendars_of(tables: StoredTables, now: datetime) -> CalendarOf:
    """Return the calendars of a lake for the time until `now`.

    One that the lake does not have, or not until then, is computed; MissingExtra where its library is not installed.
    """
    stored = stored_calendars(tables)

    def find(code: str) -> Calendar:
        known = stored.get(code)
        return known if known is not None and known.closes[-1] > now else calendar(code)

    return find


def stored_calendars(tables: StoredTables) -> dict[str, Calendar]:
    """Return the calendars in the table of sessions by code; none where the lake has no such table."""
    rows = tables[SESSIONS.name].read().sort("calendar", "date")
    return {
        str(code): Calendar(str(code), *(tuple(part[c].to_list()) for c in ("date", "open", "close")))
        for (code,), part in rows.group_by("calendar", maintain_order=True)
    }
