"""The sessions of markets without an exchange's hours: currency pairs, crypto currencies, and futures.

* `24-7`: each day of UTC is a session, and closes at the next midnight.
* `24-5`: Monday to Friday. A session is a day in London, as in Yahoo's daily bars (recorded for EURUSD=X, zone
  Europe/London). The week opens on Sunday and closes on Friday at 17:00 in New York.
* `GLOBEX`: the trading days of CME Globex, `CMES` in exchange_calendars. A session closes at midnight in New York:
  Yahoo's daily bars run from midnight to midnight there (recorded for GC=F: currentTradingPeriod 00:00 to 23:59 EST).

On some sessions a vendor may have no bar, or a bar of a few trades: neither is a defect (`may_be_without_bar`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from quantx.core.asset_classes import EVERY_DAY, GLOBEX, WEEKDAYS

Hours = tuple[tuple[date, ...], tuple[datetime, ...], tuple[datetime, ...]]  # sessions, opens and closes

_FIRST_BITCOIN = date(2009, 1, 3)  # the first block; no crypto currency is older
_FIRST_WEEKDAY = date(1970, 1, 2)
_LONDON, _NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
_WEEK_ENDS = time(17)  # in New York; the week of currencies opens at the same time on Sunday
_DAY = timedelta(days=1)
_FRIDAY = 4


def _every_day(until: date) -> Hours:
    days = _days(_FIRST_BITCOIN, until)
    opens = [_midnight(day, UTC) for day in [*days, until + _DAY]]
    return days, tuple(opens[:-1]), tuple(opens[1:])


def _weekdays(until: date) -> Hours:
    days = tuple(day for day in _days(_FIRST_WEEKDAY, until) if day.weekday() <= _FRIDAY)
    opens = (_midnight(day, _LONDON) if day.weekday() else _week_end(day - _DAY) for day in days)
    closes = (_midnight(day + _DAY, _LONDON) if day.weekday() < _FRIDAY else _week_end(day) for day in days)
    return days, tuple(opens), tuple(closes)


# The calendars that need no library, by code: their sessions until a day, inclusive.
MADE_CALENDARS: Mapping[str, Callable[[date], Hours]] = {EVERY_DAY: _every_day, WEEKDAYS: _weekdays}


def ends_of_days(days: Sequence[date]) -> tuple[datetime, ...]:
    """Return the ends of days in New York: the closes of sessions of futures."""
    return tuple(_midnight(day + _DAY, _NEW_YORK) for day in days)


def may_be_without_bar(code: str, day: date, new_york: Collection[date]) -> bool:
    """Return whether a session of a calendar may have no bar; `new_york` are the sessions of New York's exchange.

    Currencies are hardly traded on Christmas and New Year (Yahoo has EURUSD=X on 2018-01-01 and 2020-01-01). Futures
    have no settlement where New York's exchange is closed, and Yahoo has no CL=F on Columbus Day and Veterans Day
    (2016-10-10, 2016-11-11).
    """
    if code == WEEKDAYS:
        return (day.month, day.day) in ((12, 25), (1, 1))
    if code != GLOBEX:
        return False
    columbus = day.month == 10 and day.weekday() == 0 and 8 <= day.day <= 14
    return columbus or (day.month, day.day) == (11, 11) or day not in new_york


def _days(first: date, last: date) -> tuple[date, ...]:
    return tuple(first + timedelta(n) for n in range((last - first).days + 1))


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _week_end(day: date) -> datetime:
    return datetime.combine(day, _WEEK_ENDS, _NEW_YORK).astimezone(UTC)
