"""Why there is no bar of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.core.asset_classes import contract_month
from quantx.core.model import SETTLED_AFTER
from quantx.core.open_markets import may_be_without_bar
from quantx.core.tables import INSTRUMENTS, SESSIONS
from quantx.errors import ConfigError
from quantx.reader.explain.findings import MARKET_MISSING, MISSING
from quantx.reader.explain.subject import Subject, SubjectRows
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.selection import Selection
from quantx.reader.session_times import SessionTimes

_SATURDAY = 5

InReply = Callable[[str, date, date], Iterable[str]]  # of a vendor, and its bars before and after the day


@dataclass(frozen=True, kw_only=True)
class SessionFacts:
    """Whether a day is a session of an exchange; None: the lake has no sessions of that time."""

    is_session: bool | None
    close: datetime | None = None

    @staticmethod
    def of(times: SessionTimes, code: str, day: date) -> SessionFacts:
        """Return the facts of a day on an exchange."""
        try:
            sessions = times.of(code)
        except ConfigError:  # neither in the lake nor in an installed library
            sessions = SESSIONS.empty()
        first, last = sessions["date"].min(), sessions["date"].max()
        if not isinstance(first, date) or not isinstance(last, date) or not first <= day <= last:
            return SessionFacts(is_session=False if day.weekday() >= _SATURDAY else None)
        of_day = sessions.filter(pl.col("date") == day)
        return SessionFacts(is_session=of_day.height > 0, close=of_day["close"][0] if of_day.height else None)


@dataclass(frozen=True, kw_only=True)
class DayFacts:
    """What is known about the day of a security, with a bar or without."""

    session: SessionFacts
    rejected: Sequence[Mapping[str, Any]]  # rows of quarantine, with their states
    findings: Sequence[Mapping[str, Any]]


def reasons(
    rows: SubjectRows,
    subject: Subject,
    about: DayFacts,
    *,
    source: str | None,
    moment: PointInTime,
    in_reply: InReply,
) -> list[str]:
    """Return the reasons why no vendor (or not this one) has a row of a subject; one at least.

    `in_reply` searches a reply that has the bars before and after the day.
    """
    found = [
        *_of_calendar(subject, about.session),
        *_of_listing(rows, subject),
        *_of_time(rows, subject, source, moment),
        *(
            f"{row['source']} sent a row that was rejected: {row['rules'].replace(',', ', ')} (below)"
            for row in about.rejected
            if _open(row)
        ),
        *(str(each["message"]) for each in about.findings if each["rule"] in (MISSING, MARKET_MISSING)),
    ]
    minutes = list(_of_minutes(rows, subject, source))
    if minutes:
        found += minutes
    elif about.session.is_session is not False:
        found += _of_coverage(rows, subject, source, in_reply)
    return list(dict.fromkeys(found)) or ["no reason is known: `quantx tasks heal` finds missing sessions"]


def _open(row: Mapping[str, Any]) -> bool:
    return bool(row["state"] == "open")


def _of_calendar(subject: Subject, session: SessionFacts) -> Iterator[str]:
    code, now = subject.venue.calendar, datetime.now(UTC)
    if session.is_session is False:
        closed = "a weekend" if subject.day.weekday() >= _SATURDAY else "the exchange is closed"
        yield f"{subject.day} is no session of {code}: {closed}"
    elif session.is_session is None:
        yield f"the lake has no sessions of {code} for {subject.day}: a closed day and a gap look alike"
    elif may_be_without_bar(code, subject.day):
        yield f"on {subject.day} a series of {code} may have no bar: it is a holiday with little trading"
    elif session.close is not None and now < session.close + SETTLED_AFTER:
        yield f"the session of {subject.day} settles at {session.close + SETTLED_AFTER:%Y-%m-%d %H:%M} UTC"


def _of_listing(rows: SubjectRows, subject: Subject) -> Iterator[str]:
    month = contract_month(subject.symbol)
    if month is not None and subject.day > month:
        yield f"{subject.symbol} is a contract for delivery until {month}: it has no bar after its end"
    instrument = rows.securities.instrument_on(subject.symbol, subject.day)
    if instrument is None:
        return
    for row in rows.tables.rows(INSTRUMENTS, Selection(where=pl.col("instrument") == instrument)).iter_rows(named=True):
        if row["listed_on"] is not None and subject.day < row["listed_on"]:
            yield f"{subject.symbol} ({instrument}) was listed on {row['listed_on']}"
        if row["delisted_on"] is not None and subject.day > row["delisted_on"]:
            why = "" if row["reason"] is None else f": {row['reason']}"
            yield f"{subject.symbol} ({instrument}) was delisted on {row['delisted_on']}{why}"


def _of_time(rows: SubjectRows, subject: Subject, source: str | None, moment: PointInTime) -> Iterator[str]:
    now = rows.by_vendor(subject, NOW)
    for row in now.sort("source").iter_rows(named=True):
        if source is not None and row["source"] != source:
            yield f"{source} has none; {row['source']} has one"
        elif moment.as_of is not None and row["known_from"] > moment.as_of:
            yield f"that of {row['source']} is known since {row['known_from']:%Y-%m-%d %H:%M:%S} UTC"
        elif moment.public_by is not None:
            yield f"that of {row['source']} was not public by {moment.public_by:%Y-%m-%d %H:%M:%S} UTC"


def _of_minutes(rows: SubjectRows, subject: Subject, source: str | None) -> Iterator[str]:
    """Yield which minutes of the session each vendor has; nothing for daily bars, and without any."""
    if subject.time is None:
        return
    of_day = Selection.of(subject.symbols, source).between(subject.day, subject.day)
    times = (
        rows.tables.rows(subject.table, of_day)
        .group_by("source")
        .agg(pl.len().alias("minutes"), pl.col("time").min().alias("first"), pl.col("time").max().alias("last"))
    )
    for row in times.sort("source").iter_rows(named=True):
        span = f"from {row['first']:%H:%M} to {row['last']:%H:%M} UTC"
        yield f"{row['source']} has {row['minutes']:,} minutes of the session, {span}: one without a trade has no bar"


def _of_coverage(rows: SubjectRows, subject: Subject, source: str | None, in_reply: InReply) -> Iterator[str]:
    stored = rows.tables[subject.table.name]
    own = stored.scan().filter(Selection.of(subject.symbols, source).condition(subject.table))
    days = pl.col("date")
    spans = own.group_by("source").agg(
        days.min().alias("first"),
        days.max().alias("last"),
        days.filter(days < subject.day).max().alias("before"),
        days.filter(days > subject.day).min().alias("after"),
    )
    found = stored.collect(spans).sort("source")
    if found.is_empty():
        of = "" if source is None else f" of {source}"
        yield f"the lake has no {subject.table.name}{of} for {subject.symbol}: `quantx backfill` fetches them"
    for row in found.iter_rows(named=True):
        if row["before"] is None:
            yield f"outside of the coverage: the bars of {row['source']} begin on {row['first']}"
        elif row["after"] is None:
            yield f"outside of the coverage: the bars of {row['source']} end on {row['last']}"
        else:
            yield f"{row['source']} has bars before ({row['before']}) and after ({row['after']}), and none for this day"
            yield from in_reply(row["source"], row["before"], row["after"])
