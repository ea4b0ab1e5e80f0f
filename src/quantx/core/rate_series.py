"""The series of published rates: their publishers, the days on which they publish, and when each value is public.

A publisher states a time of the day in its own zone. A value is public at that time of its date, whenever it really
appeared: some days it is minutes earlier, after a disturbance later. A correction counts from the same instant, as that
of a bar does; `known_from` says when this system knew it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from quantx.core.calendars import calendar
from quantx.core.coverage import LATE, Coverage
from quantx.core.model import Window
from quantx.core.symbols import US

_MONDAY, _SATURDAY = 0, 5
_A_YEAR = timedelta(days=366)


@dataclass(frozen=True, kw_only=True)
class RateSeries:
    """Rates that one publisher issues together, one document for all of them."""

    symbol: str  # of the tasks and rows
    source: str
    dataset: str  # also the name of the table
    title: str
    first: date  # the first published day
    zone: str  # of the publisher
    published: time  # in that zone, as the publisher states it
    days_of: Callable[[int], tuple[date, ...]]  # the days of a year on which the publisher issues rates
    by_year: bool  # one document per year, else one with all days

    def days(self, start: date, end: date) -> list[date]:
        """Return the days from `start` to `end`, both inclusive, on which rates are expected."""
        start = max(start, self.first)
        return [d for year in range(start.year, end.year + 1) for d in self.days_of(year) if start <= d <= end]

    def newest(self, now: datetime) -> date:
        """Return the newest day whose rates are public; the day before the first one where none are."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        public = [day for day in self.days(today - _A_YEAR, today) if self.public_at(day) <= now]
        return public[-1] if public else self.first - timedelta(days=1)

    def public_at(self, day: date) -> datetime:
        """Return the instant at which the rates of a day are public, in UTC."""
        return datetime.combine(day, self.published, ZoneInfo(self.zone)).astimezone(UTC)

    def coverage(self, window: Window, as_of: datetime, last: date | None) -> Coverage:
        """Return the coverage of a document whose newest day is `last`, None where it has no rows.

        Days after it stay open where rates are expected: the publisher was late. After some days they never come.
        """
        newest = min(window.end, self.newest(as_of))
        if newest < window.start:
            return Coverage(None, None, ())
        through = max(last or date.min, min(newest, as_of.date() - LATE))
        if not self.days(through + timedelta(days=1), newest):
            through = newest
        through = min(through, window.end)
        return Coverage(None if through < window.start else Window(window.start, through), newest, ())


@lru_cache(maxsize=256)
def treasury_days(year: int) -> tuple[date, ...]:
    """Return the days of a year on which American government bonds trade, by the exchange's calendar.

    The bond market also closes on Columbus Day and Veterans Day (https://www.sifma.org/resources/guides-playbooks/
    holiday-schedule), and closed on Martin Luther King's day before the exchange did (1998). It traded on some days
    on which the exchange was closed: rates of other days are no error.
    """
    sessions = calendar(US.calendar).sessions(date(year, 1, 1), date(year, 12, 31))
    veterans = date(year, 11, 11)
    closed = {nth_weekday(year, 10, _MONDAY, 2), veterans + timedelta(days=veterans.weekday() == 6)}
    if year < 1998:
        closed.add(nth_weekday(year, 1, _MONDAY, 3))
    return tuple(day for day in sessions if day not in closed)


@lru_cache(maxsize=256)
def target_days(year: int) -> tuple[date, ...]:
    """Return the days of a year on which TARGET is open.

    https://www.ecb.europa.eu/ecb/contacts/working-hours: closed on January 1, Good Friday, Easter Monday, May 1,
    December 25 and 26, and on the last day of 1999 and 2001. In 1999 it was open on some of these days: rates of other
    days are no error.

    >>> date(2024, 3, 29) in target_days(2024), date(2024, 12, 24) in target_days(2024)
    (False, True)
    """
    sunday = easter(year)
    closed = {date(year, 1, 1), date(year, 5, 1), date(year, 12, 25), date(year, 12, 26)}
    closed |= {sunday - timedelta(days=2), sunday + timedelta(days=1)}
    if year in (1999, 2001):
        closed.add(date(year, 12, 31))
    first, days = date(year, 1, 1), (date(year + 1, 1, 1) - date(year, 1, 1)).days
    every = (first + timedelta(days=n) for n in range(days))
    return tuple(day for day in every if day.weekday() < _SATURDAY and day not in closed)


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar, by the rule of Meeus, Jones and Butcher (1876).

    >>> easter(2024), easter(2000)
    (datetime.date(2024, 3, 31), datetime.date(2000, 4, 23))
    """
    century, of_century = divmod(year, 100)
    golden, leaps, rest = year % 19, *divmod(century, 4)
    epact = (19 * golden + century - leaps - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * rest + 2 * (of_century // 4) - epact - of_century % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    """Return the nth Monday (0) to Sunday (6) of a month.

    >>> nth_weekday(2024, 10, 0, 2)
    datetime.date(2024, 10, 14)
    """
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


# "Yield curve rates are usually available … by 6:00 PM Eastern Time each trading day", from quotations at or near
# 3:30 PM (https://home.treasury.gov/policy-issues/financing-the-government/interest-rate-statistics).
UST = RateSeries(
    symbol="UST",
    source="treasury",
    dataset="rates",
    title="daily par yield curve rates of the US Treasury, in per cent",
    first=date(1990, 1, 2),
    zone=US.timezone,
    published=time(18),
    days_of=treasury_days,
    by_year=True,
)
# "usually updated around 16:00 CET on every working day, except on TARGET closing days"
# (https://www.ecb.europa.eu/stats/policy_and_exchange_rates); until July 2016 it was earlier in the afternoon.
EURO = RateSeries(
    symbol="EUR",
    source="ecb",
    dataset="fx_rates",
    title="the ECB's euro foreign exchange reference rates, in units of a currency per euro",
    first=date(1999, 1, 4),
    zone="Europe/Berlin",
    published=time(16),
    days_of=target_days,
    by_year=False,
)
RATE_SERIES: dict[str, RateSeries] = {each.symbol: each for each in (UST, EURO)}


def tenor_months(tenor: str) -> float:
    """Return the months of a tenor: the order of the columns.

    >>> tenor_months("1.5m"), tenor_months("10y")
    (1.5, 120.0)
    """
    return float(tenor[:-1]) * (12 if tenor.endswith("y") else 1)


def days_missing(series: RateSeries, present: list[date], end: date) -> list[date]:
    """Return the expected days without rates between the first of `present` (sorted) and `end`."""
    if not present:
        return []
    there = set(present)
    return [day for day in series.days(present[0], end) if day not in there]
