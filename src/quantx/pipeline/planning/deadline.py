"""The dead-man's switch: markets with a session for which no daily run was planned in time.

A session is due with the first firing of the daily timer after it has settled. It must have a run within
`deadline_hours` of that firing. At 06:00 UTC, Monday to Friday, that is the same morning for New York (which settles at
20:30 or 21:30 UTC) and for Europe, and the next morning for Hong Kong (08:30 UTC). A Friday's session is due on Monday.
So a schedule that works as intended raises no alert, and a timer that has stopped is noticed on its first day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER, Finding
from quantx.core.schedule import parse_schedule
from quantx.core.symbols import venue_of
from quantx.settings import Settings
from quantx.state.port import State
from quantx.state.runs.port import LastDaily
from quantx.state.universes.port import Universes

RULE = "no_run_by_deadline"  # declared in core/quality/operational_rules.py, which is heavy to import


@dataclass(frozen=True, kw_only=True)
class MissedDeadline:
    """A market whose newest overdue session has no run."""

    market: str
    session: date
    due_at: datetime  # the firing that should have planned it, and `deadline_hours`
    universes: tuple[str, ...]
    planned_at: datetime | None  # the earliest last run of these universes; None: one of them never had a run

    def finding(self) -> Finding:
        """Return the finding to record."""
        last = "none yet" if self.planned_at is None else f"of {self.planned_at:%Y-%m-%d %H:%M} UTC"
        return Finding(
            RULE,
            "error",
            self.market,
            f"no daily run for the session {self.session} of {', '.join(self.universes)} by"
            f" {self.due_at:%Y-%m-%d %H:%M} UTC (the last run: {last}); check that the daily timer fires:"
            " docs/operations.md, `a timer died`",
            first_day=self.session,
            last_day=self.session,
            facts={"universes": list(self.universes), "due_at": self.due_at, "planned_at": self.planned_at},
        )


def check_deadlines(state: State, settings: Settings, now: datetime) -> list[MissedDeadline]:
    """Return the missed deadlines, one per market, and record or resolve their findings.

    Where the timer fires as scheduled, no calendar is opened: this costs two statements.
    """
    late = timedelta(hours=settings.deadline_hours)
    fired_at = parse_schedule(settings.daily_schedule).last_until(now - late)
    missed = _missed_deadlines(state.universes, state.runs.last_daily(), fired_at, fired_at + late)
    state.findings.note([deadline.finding() for deadline in missed])
    recorded = {finding.subject for finding in state.findings.open(RULE)}
    if over := recorded - {deadline.market for deadline in missed}:
        state.findings.resolve(RULE, sorted(over), "every session that is due has a run")
    return missed


def _missed_deadlines(
    universes: Universes, last_runs: Sequence[LastDaily], fired_at: datetime, due_at: datetime
) -> list[MissedDeadline]:
    by_market: dict[str, list[tuple[date, LastDaily]]] = {}
    for last in last_runs:
        if last.planned_at is None or last.planned_at < fired_at:
            session = _newest_unplanned(universes, last, fired_at)
            if session is not None:
                by_market.setdefault(last.market, []).append((session, last))
    return [
        MissedDeadline(
            market=market,
            session=max(session for session, _ in overdue),
            due_at=due_at,
            universes=tuple(last.universe for _, last in overdue),
            planned_at=_earliest([last.planned_at for _, last in overdue]),
        )
        for market, overdue in by_market.items()
    ]


def _earliest(moments: Sequence[datetime | None]) -> datetime | None:
    """Return the earliest moment; None where one of them is."""
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) else None


def _newest_unplanned(universes: Universes, last: LastDaily, fired_at: datetime) -> date | None:
    """Return the newest session of a universe that had settled when the timer was due, and has no later run."""
    codes = {venue_of(symbol).calendar for symbol in universes.symbols(last.universe, None)}
    sessions = []
    for exchange in map(calendar, sorted(codes)):
        session = exchange.last_closed(fired_at, SETTLED_AFTER)
        if session is None:
            continue
        if last.planned_at is None or last.planned_at < exchange.close_of(session) + SETTLED_AFTER:
            sessions.append(session)
    return max(sessions, default=None)
