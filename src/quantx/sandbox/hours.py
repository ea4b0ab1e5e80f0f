"""Trading hours as numbers: the Unix seconds at which a day's session opens and closes.

Days are numbers from 1970-01-01 (as NumPy's datetime64[D]), so that whole columns are looked up at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from quantx.core.calendars import calendar
from quantx.core.symbols import VENUES_OF_CLASSES, Venue
from quantx.sandbox.columns import Ints

_EPOCH = date(1970, 1, 1)
_AROUND_THE_CLOCK = frozenset(venue.market for venue in VENUES_OF_CLASSES.values())


def day_number(day: date) -> int:
    """Return the days from 1970-01-01 to `day`.

    >>> day_number(date(1970, 1, 3))
    2
    """
    return (day - _EPOCH).days


def day_of(number: int) -> date:
    """Return the day that is `number` days after 1970-01-01."""
    return _EPOCH + timedelta(days=number)


@dataclass(frozen=True, eq=False)
class Hours:
    """The sessions of one exchange as three columns of equal length, in order."""

    zone: ZoneInfo
    days: Ints
    opens: Ints
    closes: Ints

    def of(self, days: Ints) -> tuple[Ints, Ints]:
        """Return opening and closing instants of `days`.

        A day that is no session gets the local hours of the session before it: real files have rows on Saturdays.
        """
        at = np.clip(np.searchsorted(self.days, days, side="right") - 1, 0, None)
        opens, closes = self.opens[at].copy(), self.closes[at].copy()
        for i in np.flatnonzero(self.days[at] != days).tolist():
            opens[i], closes[i] = self._moved(int(at[i]), day_of(int(days[i])))
        return opens, closes

    def latest(self, day: int) -> tuple[int, int]:
        """Return opening and closing instant of the last session on or before `day`."""
        at = max(0, int(np.searchsorted(self.days, day, side="right")) - 1)
        return int(self.opens[at]), int(self.closes[at])

    def _moved(self, session: int, day: date) -> tuple[int, int]:
        local = (datetime.fromtimestamp(int(t), self.zone) for t in (self.opens[session], self.closes[session]))
        opened, closed = (int(datetime.combine(day, t.time(), self.zone).timestamp()) for t in local)
        return opened, closed


@lru_cache(maxsize=64)
def hours_of(venue: Venue) -> Hours:
    """Return the trading hours of a venue; those of a venue without an exchange begin at midnight, as at Yahoo."""
    sessions, zone = calendar(venue.calendar), ZoneInfo(venue.timezone)
    opens: Iterable[datetime] = sessions.opens
    if venue.market in _AROUND_THE_CLOCK:
        opens = (datetime.combine(day, time(), zone) for day in sessions.days)
    return Hours(
        zone,
        np.array([day_number(day) for day in sessions.days], dtype=np.int64),
        np.array([int(t.timestamp()) for t in opens], dtype=np.int64),
        np.array([int(t.timestamp()) for t in sessions.closes], dtype=np.int64),
    )


def utc(seconds: int) -> datetime:
    """Return Unix seconds as an aware UTC datetime."""
    return datetime.fromtimestamp(seconds, UTC)
