"""When a contract expires: the session, its opening or its close, and the time until then."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.options.hours import CALENDAR
from quantx.core.table import INSTANT

DAYS_PER_YEAR = 365
_NEW_YORK = ZoneInfo("America/New_York")
_OPEN, _CLOSE = time(9, 30), time(16)  # of sessions beyond the calendar, which ends a year ahead
_SATURDAY = 5


def expiration_session(expiration: date) -> date:
    """Return the session on which a contract expires: that day, or the last session before it.

    Monthly contracts expired on Saturdays until February 2015; Friday was their last session.

    >>> expiration_session(date(2015, 1, 17)), expiration_session(date(2024, 6, 21))
    (datetime.date(2015, 1, 16), datetime.date(2024, 6, 21))
    """
    sessions = calendar(CALENDAR)
    if expiration > sessions.days[-1]:
        return expiration - timedelta(days=max(0, expiration.weekday() - _SATURDAY + 1))
    return expiration if sessions.is_session(expiration) else sessions.back(expiration, 1)


def expires_at(expiration: date, settlement: str | None = "PM") -> datetime:
    """Return the instant (UTC) whose prices settle a contract.

    AM: the opening of the session; PM, and unknown: its close, which is early on half days. Of days beyond the
    calendar neither holidays nor half days are known.

    >>> expires_at(date(2024, 6, 21), "AM").isoformat(), expires_at(date(2024, 11, 29)).isoformat()
    ('2024-06-21T13:30:00+00:00', '2024-11-29T18:00:00+00:00')
    """
    sessions, session = calendar(CALENDAR), expiration_session(expiration)
    if session > sessions.days[-1]:
        local = _OPEN if settlement == "AM" else _CLOSE
        return datetime.combine(session, local, _NEW_YORK).astimezone(UTC)
    return sessions.open_of(session) if settlement == "AM" else sessions.close_of(session)


def years_until(chain: pl.DataFrame, at: datetime) -> pl.Series:
    """Return the years of 365 days from `at` to the expiration of each row, by the minute; not positive: expired.

    `chain` has `expiration` and `settlement`.
    """
    ends = chain.select("expiration", "settlement").unique()
    instants = [expires_at(day, settlement) for day, settlement in ends.iter_rows()]
    ends = ends.with_columns(pl.Series("end", instants, INSTANT))
    joined = chain.select("expiration", "settlement").join(
        ends, on=["expiration", "settlement"], how="left", nulls_equal=True, maintain_order="left"
    )
    year = timedelta(days=DAYS_PER_YEAR) / timedelta(microseconds=1)
    elapsed = pl.col("end") - pl.lit(at.astimezone(UTC), INSTANT)
    return joined.select((elapsed.dt.total_microseconds() / year).alias("years"))["years"]
