"""Parse schedules: the six fields of a Functions timer (NCRONTAB), or the five of a Container Apps job, in UTC.

The grammar is the part of
https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions that both services read
in the same way.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
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
    """The instants at which a timer fires, in UTC."""

    text: str
    _: KW_ONLY
    times: tuple[tuple[int, int, int], ...]  # hour, minute, second on each day of the schedule, in order
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0

    def first_after(self, instant: datetime) -> datetime:
        """Return the first firing after `instant`."""
        return self._search(instant.astimezone(UTC), 1)

    def last_until(self, instant: datetime) -> datetime:
        """Return the last firing at or before `instant`."""
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
        raise AssertionError("parse_schedule refuses a schedule that never fires")

    def _fires_on(self, day: date) -> bool:
        return day.day in self.days and day.month in self.months and day.isoweekday() % 7 in self.weekdays


def parse_schedule(text: str) -> Schedule:
    """Parse six fields, or five without the seconds; raise ValueError with the reason.

    >>> parse_schedule("0 0 6 * * 1-5").first_after(datetime(2024, 3, 8, 6, tzinfo=UTC)).isoformat()
    '2024-03-11T06:00:00+00:00'
    """
    parts = text.split()
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != 6:
        raise ValueError(
            f"{text!r} is not a schedule; write second, minute, hour, day, month, day of the week, as in 0 0 6 * * 1-5"
        )
    seconds, minutes, hours, days, months, weekdays = (
        _values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    if parts[3] != "*" and parts[5] != "*":
        raise ValueError(
            f"{text!r} sets days and days of the week; services combine them by 'or' or by 'and': set only one"
        )
    if not any(day <= (29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31) for day in days for month in months):
        raise ValueError(f"{text!r} has a day that does not exist in its months")
    times = tuple((h, m, s) for h in sorted(hours) for m in sorted(minutes) for s in sorted(seconds))
    return Schedule(text, times=times, days=days, months=months, weekdays=weekdays)


def _values(text: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> frozenset[int]:
    """Return the values of a field: `*`, `5`, `1-5`, `mon-fri`, `*/15`, `5/20`, and lists of these."""
    values: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"invalid {name} {part!r}")
        first, last, step = lowest, highest, int(match["step"] or 1)
        if not match["all"]:
            first = _value(match["first"], name, lowest, highest, names)
            last = _value(match["last"], name, lowest, highest, names) if match["last"] else first
            if match["step"] and not match["last"]:
                last = highest
        if step == 0 or first > last:
            raise ValueError(f"invalid {name} {part!r}")
        values.update(range(first, last + 1, step))
    return frozenset(values)


def _value(text: str, name: str, lowest: int, highest: int, names: tuple[str, ...]) -> int:
    if text.lower()[:3] in names and text.isalpha():
        return lowest + names.index(text.lower()[:3])
    if text.isascii() and text.isdigit() and lowest <= int(text) <= highest:
        return int(text)
    raise ValueError(f"invalid {name} {text!r}; use {lowest} to {highest}")
