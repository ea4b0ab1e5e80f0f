"""When a schedule fires: the six fields of a Functions timer (NCRONTAB), or the five of a Container Apps job, in UTC.

The grammar of https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions, as far as
both read it the same way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# name, lowest, highest, names of the values from the lowest on
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 6, _DAYS),
)
_PART = re.compile(r"(?:(?P<all>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]{1,2}))?")
_FARTHEST = 8 * 366  # days: from one 29 February to the next there may be eight years


@dataclass(frozen=True)
class Schedule:
    """The moments at which a timer fires, in UTC."""

    text: str
    times: tuple[tuple[int, int, int], ...]  # hour, minute, second of a day on which it fires, in order
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0

    def first_after(self, instant: datetime) -> datetime:
        """Return when it fires next after `instant`."""
        return self._search(instant.astimezone(UTC), 1)

    def last_until(self, instant: datetime) -> datetime:
        """Return when it last fired, at `instant` or before."""
        return self._search(instant.astimezone(UTC), -1)

    def _search(self, instant: datetime, step: int) -> datetime:
        for distance in range(_FARTHEST):
            day = instant.date() + timedelta(days=step * distance)
            if not self._fires_on(day):
                continue
            for time in self.times[::step]:
                moment = datetime(day.year, day.month, day.day, *time, tzinfo=UTC)
                if moment > instant if step > 0 else moment <= instant:
                    return moment
        raise AssertionError("a schedule that never fires is refused when it is read")

    def _fires_on(self, day: date) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays


def parse_schedule(text: str) -> Schedule:
    """Read six fields, or five without the seconds; ValueError says what is wrong with them.

    >>> parse_schedule("0 0 6 * * 1-5").first_after(datetime(2024, 3, 8, 6, tzinfo=UTC)).isoformat()
    '2024-03-11T06:00:00+00:00'
    """
    parts = text.split()
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != 6:
        raise ValueError(
            f"{text!r} is no schedule; write second, minute, hour, day, month and day of the week, as in 0 0 6 * * 1-5"
        )
    seconds, minutes, hours, days, months, weekdays = (
        _values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    if parts[3] != "*" and parts[5] != "*":
        raise ValueError(f"{text!r} names days and days of the week; some take both for or, others for and: name one")
    if not any(day <= (29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31) for day in days for month in months):
        raise ValueError(f"{text!r} names a day that no such month has")
    times = tuple((h, m, s) for h in sorted(hours) for m in sorted(minutes) for s in sorted(seconds))
    return Schedule(text, times, days, months, weekdays)


def _values(text: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> frozenset[int]:
    """Return the values that a field means: `*`, `5`, `1-5`, `mon-fri`, `*/15`, `5/20`, and lists of these."""
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no {name}")
        first, last, step = lowest, highest, int(match["step"] or 1)
        if not match["all"]:
            first = _value(match["first"], name, lowest, highest, names)
            last = _value(match["last"], name, lowest, highest, names) if match["last"] else first
            if match["step"] and not match["last"]:
                last = highest
        if step == 0 or first > last:
            raise ValueError(f"{part!r} is no {name}")
        found.update(range(first, last + 1, step))
    return frozenset(found)


def _value(text: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> int:
    if text.lower()[:3] in names and text.isalpha():
        return lowest + names.index(text.lower()[:3])
    if text.isascii() and text.isdigit() and lowest <= int(text) <= highest:
        return int(text)
    raise ValueError(f"{text!r} is no {name}; it goes from {lowest} to {highest}")
