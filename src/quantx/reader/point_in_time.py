"""Two clocks of a query: what this system knew (`as_of`), and what the world could know (`public_by`).

`known_from` of a row is the time of our ingestion. A row becomes public by what it is about: a daily bar, or a check of
one, when its session settles; a minute at its end; an action at the open of its ex-date; an interval of membership or
of a symbol on its first day, its end on the day after. A vendor's later correction of a bar counts from the session of
the bar: with `public_by` alone, rows have their newest values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from quantx.core.asset_classes import FORMS_OF_MARKETS
from quantx.core.model import SETTLED_AFTER
from quantx.core.symbols import US, VENUES_BY_SUFFIX, VENUES_OF_CLASSES, VENUES_OF_INDICES, venue_of
from quantx.core.table import Table
from quantx.core.tables import QUARANTINE
from quantx.reader.arguments import Day, shifted, to_instant, to_moment
from quantx.reader.session_times import SessionTimes

_MINUTE = timedelta(minutes=1)
# Columns of intervals: first and last day, both inclusive.
_INTERVALS = (("member_from", "member_to"), ("symbol_from", "symbol_to"), ("listed_on", "delisted_on"))


@dataclass(frozen=True)
class PointInTime:
    """The moment of each clock in UTC; None: now."""

    as_of: datetime | None = None
    public_by: datetime | None = None

    @staticmethod
    def parse(as_of: Day | None, public_by: Day | None) -> PointInTime:
        """Return the two moments of a user's arguments; a date is the end of that day in UTC."""
        return PointInTime(to_instant(as_of), to_instant(public_by))

    @staticmethod
    def of_filings(as_of: Day | None, public_by: Day | None, times: SessionTimes) -> PointInTime:
        """Return the two moments for facts that are filed: a date of `public_by` is that before its session's close.

        The session is New York's. A date without one is the end of that day in New York: what is public then is known
        at the next open.
        """
        moment = to_moment(public_by)
        if moment is not None and not isinstance(moment, datetime):
            moment = _close_of(moment, times) - timedelta.resolution
        return PointInTime(to_instant(as_of), moment)

    @property
    def day(self) -> date | None:
        """Return the day of `public_by` in UTC."""
        return None if self.public_by is None else self.public_by.date()


NOW = PointInTime()


def _close_of(day: date, times: SessionTimes) -> datetime:
    """Return the close of New York's session of a day in UTC, or the end of a day without one."""
    from zoneinfo import ZoneInfo

    of_day = times.of(US.calendar).filter(pl.col("date") == day)["close"]
    if of_day.len():
        return of_day.to_list()[0]  # type: ignore[no-any-return]
    return datetime.combine(shifted(day, 1), time(), ZoneInfo(US.timezone)).astimezone(UTC)


def public_rows(
    table: Table, symbols: Callable[[], Sequence[str]], public_by: datetime, times: SessionTimes
) -> pl.Expr:
    """Return the condition under which a table's rows were public; `symbols` gives the stored symbols that matter."""
    schema = table.schema
    if "public_at" in schema:
        return pl.col("public_at") <= public_by
    if "time" in schema:
        return pl.col("time") <= public_by - _MINUTE
    if "symbol" in schema and (day := next((c for c in ("ex_date", "date") if c in schema), None)) is not None:
        by_session = _by_session(day, symbols(), public_by, times)
        return by_session | pl.col(day).is_null() if table.name == QUARANTINE.name else by_session
    if "month" in schema:  # of a whole month
        return pl.col("month") < public_by.year * 100 + public_by.month
    for begin in ("first_day", *(begin for begin, _ in _INTERVALS)):
        if begin in schema:
            return pl.col(begin).is_null() | (pl.col(begin) <= public_by.date())
    return pl.lit(True)


def public_ends(table: Table, day: date | None) -> list[pl.Expr]:
    """Return the columns of intervals without the last days after `day`: they were not public. None: all are public."""
    if day is None:
        return []
    ends = [end for _, end in _INTERVALS if end in table.schema]
    shown = [pl.when(pl.col(end) <= day).then(pl.col(end)).alias(end) for end in ends]
    if "delisted_on" in table.schema:
        listed = pl.col("delisted_on").is_null() | (pl.col("delisted_on") > day)
        shown.append(pl.when(listed).then(pl.lit("listed")).otherwise("status").alias("status"))
    return shown


def _by_session(day: str, symbols: Sequence[str], public_by: datetime, times: SessionTimes) -> pl.Expr:
    """Return the condition by the last session that had settled, or opened, on the exchange of each symbol."""
    codes = {venue_of(symbol).calendar for symbol in symbols}
    if day == "ex_date":
        lasts = {code: times.last(code, public_by, "open") or date.min for code in codes}
    else:
        lasts = {code: times.last(code, public_by - SETTLED_AFTER, "close") or date.min for code in codes}
    if not lasts:
        return pl.lit(False)
    condition = pl.col(day) <= max(lasts.values())  # a bound that skips files
    if len(set(lasts.values())) == 1:
        return condition
    last = pl.lit(lasts.get(US.calendar, date.min))
    for code, value in lasts.items():
        if code != US.calendar:
            last = pl.when(_of_calendar(code)).then(pl.lit(value)).otherwise(last)
    return condition & (pl.col(day) <= last)


def _of_calendar(code: str) -> pl.Expr:
    suffixes = [f".{suffix}" for suffix, venue in VENUES_BY_SUFFIX.items() if venue.calendar == code]
    indices = [index for index, venue in VENUES_OF_INDICES.items() if venue.calendar == code]
    forms = [FORMS_OF_MARKETS[venue.market] for venue in VENUES_OF_CLASSES.values() if venue.calendar == code]
    symbol = pl.col("symbol")
    return pl.any_horizontal(
        symbol.is_in(indices),
        *(symbol.str.ends_with(suffix) for suffix in suffixes),
        *(symbol.str.contains(form) for form in forms),
    )
