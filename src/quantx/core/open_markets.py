"""The sessions of markets without an exchange's hours: currency pairs, crypto currencies, and futures.

* `24-7`: each day of UTC is a session, and closes at the next midnight.
* `24-5`: Monday to Friday. A session is a day in London, as in Yahoo's daily bars (recorded for EURUSD=X, zone
  Europe/London). The week opens on Sunday and closes on Friday at 17:00 in New York.
* `GLOBEX`: the trading days of CME Globex, `CMES` in exchange_calendars. A session closes at midnight in New York:
  Yahoo's daily bars run from midnight to midnight there (recorded for GC=F: currentTradingPeriod 00:00 to 23:59 EST).

On some sessions a vendor may have no bar, or a bar of a few trades: neither is a defect (`may_be_without_bar`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
_FIXED = ((1, 1), (6, 19), (7, 4), (11, 11), (12, 25))  # New Year, Juneteenth, Independence, Veterans, Christmas
# Closures of New York's exchange that are no holidays, from 1990 on (exchange_calendars, XNYS).
_CLOSED_IN_NEW_YORK = frozenset(
    date(*day)
    for day in (
        *((2001, 9, n) for n in (11, 12, 13, 14)),
        (2012, 10, 29),
        (2012, 10, 30),
        (1994, 4, 27),
        (2004, 6, 11),
        (2007, 1, 2),
        (2018, 12, 5),
        (2025, 1, 9),
    )
)


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


def expected_days(code: str, days: Sequence[date]) -> Sequence[date]:
    """Return the sessions of a calendar on which each series has a bar."""
    return [day for day in days if not may_be_without_bar(code, day)] if code in (WEEKDAYS, GLOBEX) else days


def may_be_without_bar(code: str, day: date) -> bool:
    """Return whether a session of a calendar may have no bar.

    Currencies are hardly traded on Christmas and New Year (Yahoo has EURUSD=X on 2018-01-01 and 2020-01-01). Futures
    trade on American holidays without a settlement, and Yahoo has no CL=F on them, nor on days on which New York's
    exchange was closed for another reason.
    """
    if code == WEEKDAYS:
        return (day.month, day.day) in ((12, 25), (1, 1))
    return code == GLOBEX and (day in _CLOSED_IN_NEW_YORK or _is_american_holiday(day))


def _is_american_holiday(day: date) -> bool:
    """Return whether a weekday is a federal holiday; of holidays at the weekend their observed days.

    Yahoo has no CL=F on Columbus Day and Veterans Day (2016-10-10, 2016-11-11), on which New York's exchange trades.
    """
    week, monday, thursday = (day.day - 1) // 7 + 1, day.weekday() == 0, day.weekday() == 3
    floating = (
        (monday and (day.month, week) in ((1, 3), (2, 3), (9, 1), (10, 2)))
        or (monday and day.month == 5 and day.day > 24)
        or (thursday and (day.month, week) == (11, 4))
    )
    observed = {day} | ({day + _DAY} if day.weekday() == _FRIDAY else set()) | ({day - _DAY} if monday else set())
    return floating or any((each.month, each.day) in _FIXED for each in observed)


def _days(first: date, last: date) -> tuple[date, ...]:
    return tuple(first + timedelta(n) for n in range((last - first).days + 1))


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _week_end(day: date) -> datetime:
    return datetime.combine(day, _WEEK_ENDS, _NEW_YORK).astimezone(UTC)
