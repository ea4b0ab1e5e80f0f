"""The freshness of universes from the lake alone: how many members have the session that is due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import polars as pl

from quantx.core.calendars import Calendar, CalendarOf, calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.symbols import venue_of
from quantx.dashboard.lake_rows import collected
from quantx.pipeline.reporting.freshness import due_firing, next_due
from quantx.reader.lake import Lake
from quantx.settings import Settings

Level = Literal["good", "warn", "bad"]
RECENT = 10  # sessions: a member without a bar in them has ended, or its vendor has never had it
_NAMED = 5
_DAYS = 30  # with RECENT sessions in them, also across long holidays


@dataclass(frozen=True, kw_only=True)
class DueTimes:
    """The moments that decide which sessions are due: see `due_times`."""

    fired_at: datetime  # a session that had settled then is due
    now: datetime
    next_due_at: datetime  # when the next one may be due


@dataclass(frozen=True, kw_only=True)
class FreshUniverse:
    """How many members of a universe have the session that is due on their exchange."""

    universe: str
    members: int  # now
    due: date | None  # the newest session that is due on one of the exchanges; None: no session in the last month
    current: int  # members with the due session
    late: Sequence[str]  # members with recent bars and without the due session, by symbol
    silent: int  # members without recent bars
    newest: date | None  # the newest stored session of the last month
    coming: date | None  # a newer session that has settled and is not due yet
    with_coming: int  # members that have it already
    limit: float  # per cent of the members that may lack the due session: that of the alert `freshness_missed`

    @property
    def level(self) -> Level:
        """Return whether the numbers of the due session can be used: good, warn (with exceptions) or bad."""
        missing = len(self.late) + self.silent
        if 100 * missing > self.limit * self.members or (self.members and not self.current):
            return "bad"
        return "warn" if missing else "good"

    @property
    def named_late(self) -> str:
        """Return the first of the late members as a text."""
        more = f" and {len(self.late) - _NAMED:,} more" if len(self.late) > _NAMED else ""
        return ", ".join(self.late[:_NAMED]) + more


def due_times(settings: Settings, now: datetime) -> DueTimes:
    """Return the moments that decide which sessions are due.

    A session is due `deadline_hours` after the first firing of the daily schedule that follows its end: the same rule
    as of the finding `no_run_by_deadline`.
    """
    return DueTimes(fired_at=due_firing(settings, now), now=now, next_due_at=next_due(settings, now))


def fresh_universes(
    members: pl.DataFrame, newest: Mapping[str, date], times: DueTimes, calendar_of: CalendarOf, limit: float
) -> list[FreshUniverse]:
    """Return the freshness of each universe by name.

    `members` has universe and symbol of the current members; `newest` is each symbol's newest bar of the last month.
    `limit` is the per cent of members that may lack the due session.
    """
    by_universe: dict[str, list[str]] = defaultdict(list)
    for universe, symbol in members.select("universe", "symbol").unique().sort("symbol").iter_rows():
        by_universe[universe].append(symbol)
    days = _Days(times, calendar_of)
    return [_universe(name, symbols, newest, days, limit) for name, symbols in sorted(by_universe.items())]


@dataclass(frozen=True)
class _SessionDays:
    due: date | None
    recent: date | None  # the first of the recent sessions
    coming: date | None


class _Days:
    """The sessions that matter, by calendar."""

    def __init__(self, times: DueTimes, calendar_of: CalendarOf) -> None:
        self._times, self._calendar_of = times, calendar_of
        self._known: dict[str, _SessionDays] = {}

    def of(self, symbol: str) -> _SessionDays:
        code = venue_of(symbol).calendar
        if code not in self._known:
            exchange = self._calendar_of(code)
            due = exchange.last_closed(self._times.fired_at, SETTLED_AFTER)
            last = exchange.last_closed(self._times.now, SETTLED_AFTER)
            recent = None if due is None else exchange.back(due, RECENT)
            self._known[code] = _SessionDays(due, recent, last if last != due else None)
        return self._known[code]


def _universe(
    name: str, symbols: Sequence[str], newest: Mapping[str, date], days: _Days, limit: float
) -> FreshUniverse:
    sessions = {symbol: days.of(symbol) for symbol in symbols}
    current, late, silent, early = 0, list[str](), 0, 0
    for symbol, each in sessions.items():
        last = newest.get(symbol)
        if each.due is None or (last is not None and last >= each.due):
            current += 1
        elif last is None or each.recent is None or last < each.recent:
            silent += 1
        else:
            late.append(symbol)
        early += each.coming is not None and last is not None and last >= each.coming
    return FreshUniverse(
        universe=name,
        members=len(symbols),
        due=max((each.due for each in sessions.values() if each.due is not None), default=None),
        current=current,
        late=late,
        silent=silent,
        newest=max((newest[symbol] for symbol in symbols if symbol in newest), default=None),
        coming=max((each.coming for each in sessions.values() if each.coming is not None), default=None),
        with_coming=early,
        limit=limit,
    )


def read_freshness(lake: Lake, times: DueTimes, limit: float) -> list[FreshUniverse]:
    """Return the freshness of the universes of a lake, by the bars of the last month; errors are those of its reads.

    `limit` is the per cent of members that may lack the due session.
    """
    since = times.fired_at.date() - timedelta(days=_DAYS)
    members = collected(lake.scan("universe_members").filter(pl.col("member_to").is_null()))
    bars = collected(lake.scan("bars_1d", start=since).group_by("symbol").agg(pl.col("date").max()))
    stored = collected(lake.scan("sessions", start=since).sort("calendar", "date"))
    calendars = {
        str(code): Calendar(str(code), *(tuple(part[name].to_list()) for name in ("date", "open", "close")))
        for (code,), part in stored.group_by("calendar", maintain_order=True)
    }

    def find(code: str) -> Calendar:
        known = calendars.get(code)
        return known if known is not None and known.closes[-1] > times.now else calendar(code)

    return fresh_universes(members, dict(bars.iter_rows()), times, find, limit)
