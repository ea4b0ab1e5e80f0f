"""The dead-man's switch: which market has a session for which no daily run was planned in time.

A session is due with the first firing of the daily timer after it has settled, and `deadline_hours` later it must have a
run. At 06:00 UTC, Monday to Friday, that is the same morning for New York (which settles at 20:30 or 21:30 UTC) and for
Europe, and the next morning for Hong Kong (08:30 UTC); a Friday's session is due on Monday. So nobody is woken by a
schedule that is as it was meant, and one that has stopped is noticed on its first day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER, Finding
from quantx.core.schedule import parse_schedule
from quantx.core.symbols import venue_of
from quantx.pipeline.runtime.context import Context
from quantx.state.runs.port import LastDaily

RULE = "no_run_by_deadline"  # declared in core/quality/operational_rules.py, whose import is too heavy here


@dataclass(frozen=True)
class Missed:
    """A market whose newest session that is overdue has no run."""

    market: str
    session: date
    due_at: datetime  # the firing that should have planned it, and the hours after
    universes: tuple[str, ...]
    planned_at: datetime | None  # the last run of the one that waits longest; None: it never had one

    def finding(self) -> Finding:
        """Return what to note about it."""
        last = "none yet" if self.planned_at is None else f"of {self.planned_at:%Y-%m-%d %H:%M} UTC"
        return Finding(
            RULE,
            "error",
            self.market,
            f"no daily run for the session {self.session} of {', '.join(self.universes)} by {self.due_at:%Y-%m-%d %H:%M}"
            f" UTC (the last run: {last}); look whether the daily timer fires: docs/operations.md, `a timer died`",
            first_day=self.session,
            last_day=self.session,
            facts={"universes": list(self.universes), "due_at": self.due_at, "planned_at": self.planned_at},
        )


def check_deadlines(context: Context) -> list[Missed]:
    """Return the markets that have missed a deadline, and note or resolve the finding of each.

    Where the timer has fired as it should, no calendar is opened: this costs two statements.
    """
    waiting = context.state.runs.last_daily()
    late = timedelta(hours=context.settings.deadline_hours)
    fired_at = parse_schedule(context.settings.daily_schedule).last_until(context.clock.now() - late)
    missed = _missed(context, waiting, fired_at, fired_at + late)
    context.state.findings.note([each.finding() for each in missed])
    noted = {finding.subject for finding in context.state.findings.open(RULE)}
    if over := noted - {each.market for each in missed}:
        context.state.findings.resolve(RULE, sorted(over), "every session that is due has a run")
    return missed


def _missed(context: Context, waiting: Sequence[LastDaily], fired_at: datetime, due_at: datetime) -> list[Missed]:
    found: dict[str, list[tuple[date, LastDaily]]] = {}
    for each in waiting:
        if each.planned_at is None or each.planned_at < fired_at:
            session = _newest_unplanned(context, each, fired_at)
            if session is not None:
                found.setdefault(each.market, []).append((session, each))
    return [
        Missed(
            market,
            max(session for session, _ in late),
            due_at,
            tuple(each.universe for _, each in late),
            min((each.planned_at for _, each in late if each.planned_at), default=None)
            if all(each.planned_at for _, each in late)
            else None,
        )
        for market, late in found.items()
    ]


def _newest_unplanned(context: Context, last: LastDaily, fired_at: datetime) -> date | None:
    """Return the newest session of a universe that had settled when the timer should have fired, and has no run since."""
    codes = {venue_of(symbol).calendar for symbol in context.state.universes.symbols(last.universe, None)}
    sessions = []
    for known in map(calendar, sorted(codes)):
        session = known.last_closed(fired_at, SETTLED_AFTER)
        if session is None:
            continue
        if last.planned_at is None or last.planned_at < known.close_of(session) + SETTLED_AFTER:
            sessions.append(session)
    return max(sessions, default=None)
