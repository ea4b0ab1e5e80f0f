"""Sessions of exchanges from January to August 2024, written down from the exchanges' own lists of holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_FIRST, _LAST = date(2024, 1, 1), date(2024, 8, 30)
_GOOD_FRIDAY, _EASTER_MONDAY, _MAY_DAY = "03-29", "04-01", "05-01"
_EURONEXT = ("01-01", _GOOD_FRIDAY, _EASTER_MONDAY, _MAY_DAY)
_CLOSED = {
    "XNYS": ("01-01", "01-15", "02-19", _GOOD_FRIDAY, "05-27", "06-19", "07-04"),
    "XHKG": (*("01-01", "02-12", "02-13", _GOOD_FRIDAY, _EASTER_MONDAY, "04-04", _MAY_DAY, "05-15", "06-10", "07-01"),),
    "XTKS": (
        *("01-01", "01-02", "01-03", "01-08", "02-12", "02-23", "03-20", "04-29", "05-03", "05-06", "07-15", "08-12"),
    ),
    "XLON": ("01-01", _GOOD_FRIDAY, _EASTER_MONDAY, "05-06", "05-27", "08-26"),
    "XAMS": _EURONEXT,
    "XPAR": _EURONEXT,
    "XETR": _EURONEXT,
    "XSWX": ("01-01", "01-02", _GOOD_FRIDAY, _EASTER_MONDAY, _MAY_DAY, "05-09", "05-20", "08-01"),
}
_HOURS = {
    "XNYS": ("America/New_York", "09:30", "16:00"),
    "XHKG": ("Asia/Hong_Kong", "09:30", "16:00"),
    "XTKS": ("Asia/Tokyo", "09:00", "15:00"),
    "XLON": ("Europe/London", "08:00", "16:30"),
    "XAMS": ("Europe/Amsterdam", "09:00", "17:30"),
    "XPAR": ("Europe/Paris", "09:00", "17:30"),
    "XETR": ("Europe/Berlin", "09:00", "17:30"),
    "XSWX": ("Europe/Zurich", "09:00", "17:30"),
}
_LUNCH = {"XHKG": ("12:00", "13:00"), "XTKS": ("11:30", "12:30")}
_EARLY = {("XNYS", "07-03"): "13:00", ("XHKG", "02-09"): "12:00"}  # Hong Kong's half days have no lunch


def _csv(code: str) -> bytes:
    zone, opened, closed = _HOURS[code]

    def instant(day: date, at: str | None) -> str:
        if at is None:
            return ""
        local = datetime.combine(day, time.fromisoformat(at), ZoneInfo(zone))
        return local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    rows = [",open,close,break_start,break_end"]
    for n in range((_LAST - _FIRST).days + 1):
        day = _FIRST + timedelta(days=n)
        if day.weekday() > 4 or f"{day:%m-%d}" in _CLOSED[code]:
            continue
        early = _EARLY.get((code, f"{day:%m-%d}"))
        lunch = (None, None) if early else _LUNCH.get(code, (None, None))
        rows.append(",".join([f"{day}T00:00:00Z", *(instant(day, at) for at in (opened, early or closed, *lunch))]))
    return "".join(f"{row}\n" for row in rows).encode()


def files() -> dict[str, bytes]:
    """Return the files of `known_answers/exchange_calendars`."""
    return {f"{code.lower()}.csv.xz": _csv(code) for code in _HOURS}
