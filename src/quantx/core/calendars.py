"""Sessions of the exchanges from exchange_calendars: the trading days with their open and close.

A session is a `date`; instants are aware and in UTC. The calendars include ad-hoc closures and half days. Those of
pairs, crypto currencies and futures are in `open_markets`.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from quantx.core.asset_classes import GLOBEX
from quantx.core.open_markets import MADE_CALENDARS, ends_of_days, expected_days
from quantx.extras import extra

# The first day of a calendar; a calendar that begins later starts at its own first day.
_EARLIEST = date(1970, 1, 2)

# Whole-day closures that are sessions in exchange_calendars 4.13: no vendor has a bar of any security on them.
_NOT_HELD = {
    "XHKG": {date(2023, 9, 1), date(2023, 9, 8)},  # typhoon Saola, and the black rainstorm a week later
}


@dataclass(frozen=True)
class Calendar:
    """The sessions of one exchange, in order, with their opening and closing instants."""

    code: str
    days: tuple[date, ...]
    opens: tuple[datetime, ...]
    closes: tuple[datetime, ...]
    # The lunch break of each session, None for a session without one; empty if the exchange has no lunch break.
    _: KW_ONLY
    break_starts: tuple[datetime | None, ...] = ()
    break_ends: tuple[datetime | None, ...] = ()

    def sessions(self, start: date, end: date) -> tuple[date, ...]:
        """Return the sessions from `start` to `end`, both inclusive."""
        return self.days[bisect_left(self.days, start) : bisect_right(self.days, end)]

    def ends(self, start: date, end: date) -> tuple[date, date] | None:
        """Return the first and the last session from `start` to `end`, both inclusive; None where there is none."""
        first, after = bisect_left(self.days, start), bisect_right(self.days, end)
        return (self.days[first], self.days[after - 1]) if first < after else None

    def is_session(self, day: date) -> bool:
        """Return whether the exchange trades on `day`."""
        i = bisect_left(self.days, day)
        return i < len(self.days) and self.days[i] == day

    def open_of(self, session: date) -> datetime:
        """Return the open of `session`; raise KeyError if it is not a session."""
        return self.opens[self._index(session)]

    def close_of(self, session: date) -> datetime:
        """Return the close of `session`; raise KeyError if it is not a session."""
        return self.closes[self._index(session)]

    def last_closed(self, now: datetime, grace: timedelta = timedelta(0)) -> date | None:
        """Return the newest session that closed at least `grace` before `now`; None before the first one."""
        i = bisect_right(self.closes, now - grace)
        return self.days[i - 1] if i else None

    def back(self, session: date, count: int) -> date:
        """Return the session `count` sessions before `session` (or before the first session on or after it)."""
        i = min(bisect_left(self.days, session), len(self.days) - 1)
        return self.days[max(0, i - count)]

    def until(self, last: date) -> Calendar:
        """Return the calendar with the sessions up to `last`, inclusive."""
        count = bisect_right(self.days, last)
        names = ("days", "opens", "closes", "break_starts", "break_ends")
        return replace(self, **{name: getattr(self, name)[:count] for name in names})

    def _index(self, session: date) -> int:
        i = bisect_left(self.days, session)
        if i == len(self.days) or self.days[i] != session:
            raise KeyError(f"{session} is not a session of {self.code}")
        return i


CalendarOf = Callable[[str], Calendar]  # by its ISO 10383 code


def a_year_from(today: date) -> date:
    """Return the last day of the calendars: the same day of the next year, February 28 for the 29th."""
    return today.replace(year=today.year + 1, day=min(today.day, 28) if today.month == 2 else today.day)


def compute_calendar(code: str, until: date) -> Calendar:
    """Return the calendar of an exchange from 1970 or its own beginning to `until` or its own end."""
    if code in MADE_CALENDARS:
        return Calendar(code, *MADE_CALENDARS[code](until))
    if code == GLOBEX:
        exchange = compute_calendar("CMES", until)
        return Calendar(code, exchange.days, exchange.opens, ends_of_days(exchange.days))
    with extra("local", f"the calendar of {code}"):
        import exchange_calendars  # loads pandas

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # exchange_calendars 4.13 uses deprecated pandas functions
        try:
            schedule = exchange_calendars.get_calendar(
                code, start=_EARLIEST.isoformat(), end=until.isoformat()
            ).schedule
        except ValueError:  # the calendar begins later, or ends earlier
            known = exchange_calendars.get_calendar(code)
            first, last = known.bound_min(), known.bound_max()
            start = _EARLIEST if first is None else max(_EARLIEST, first.date())
            end = until if last is None else min(until, last.date())
            schedule = exchange_calendars.get_calendar(code, start=start.isoformat(), end=end.isoformat()).schedule
    opens, closes = (
        tuple(t.replace(tzinfo=UTC) for t in schedule[name].to_numpy("datetime64[us]").tolist())
        for name in ("open", "close")
    )
    breaks = [
        tuple(t and t.replace(tzinfo=UTC) for t in schedule[name].to_numpy("datetime64[us]").tolist())
        for name in ("break_start", "break_end")
    ]
    if not any(breaks[0]):
        breaks = [(), ()]
    days = tuple(schedule.index.to_numpy("datetime64[D]").tolist())
    return Calendar(code, days, opens, closes, break_starts=breaks[0], break_ends=breaks[1])


def _computed(code: str) -> Calendar:
    return compute_calendar(code, a_year_from(datetime.now(UTC).date()))


_source: CalendarOf = _computed


def take_calendars(source: CalendarOf) -> None:
    """Take the calendars of this process from `source`, which has the same ones without computing each."""
    global _source  # noqa: PLW0603
    _source = source


@lru_cache(maxsize=32)
def calendar(code: str) -> Calendar:
    """Return the calendar of an exchange by its ISO 10383 code, from 1970 or its own beginning to a year from today."""
    return _source(code)


@lru_cache(maxsize=32)
def held_sessions(code: str) -> tuple[date, ...]:
    """Return the sessions that an exchange held: without the closures that are missing in its calendar."""
    return tuple(day for day in calendar(code).days if day not in _NOT_HELD.get(code, ()))


@lru_cache(maxsize=32)
def expected_sessions(code: str) -> tuple[date, ...]:
    """Return the sessions on which each series has a bar: without those of `open_markets` that may have none."""
    return tuple(expected_days(code, held_sessions(code)))
