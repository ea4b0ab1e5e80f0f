"""The freshness of universes from the state alone: which session is due, and how many members have it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.schedule import parse_schedule
from quantx.core.symbols import venue_of
from quantx.settings import Settings
from quantx.state.alerts.port import AlertFacts, MemberProgress


@dataclass(frozen=True, kw_only=True)
class UniverseFreshness:
    """How many members of an enabled universe have the session that is due on their exchange."""

    universe: str
    members: int
    current: int
    with_bars: int
    due: date | None  # the newest session that is due on one of the exchanges
    newest: date | None  # the newest stored session

    @property
    def missing_share(self) -> float:
        """Return the share of members that lack the session, in per cent."""
        return 100 * (self.members - self.current) / self.members if self.members else 0.0


def universe_freshness(facts: AlertFacts, settings: Settings, now: datetime) -> list[UniverseFreshness]:
    """Return the freshness of each enabled universe with members.

    A session is due `deadline_hours` after the first firing of the daily timer that follows its end.
    """
    fired_at = due_firing(settings, now)
    groups: dict[str, list[MemberProgress]] = defaultdict(list)
    for progress in facts.member_progress():
        groups[progress.universe].append(progress)
    return [_of_universe(name, parts, fired_at) for name, parts in groups.items()]


def due_firing(settings: Settings, now: datetime) -> datetime:
    """Return the last firing of the daily timer whose deadline is over: a session that had settled then is due."""
    return parse_schedule(settings.daily_schedule).last_until(now - timedelta(hours=settings.deadline_hours))


def next_due(settings: Settings, now: datetime) -> datetime:
    """Return when the next session may become due: until then, what is fresh now stays so."""
    late = timedelta(hours=settings.deadline_hours)
    return parse_schedule(settings.daily_schedule).first_after(now - late) + late


def _of_universe(name: str, parts: list[MemberProgress], fired_at: datetime) -> UniverseFreshness:
    due = {part.symbol: _due_session(part.symbol, fired_at) for part in parts}
    current = sum(part.members for part in parts if _has(part.watermark, due[part.symbol]))
    return UniverseFreshness(
        universe=name,
        members=sum(part.members for part in parts),
        current=current,
        with_bars=sum(part.members for part in parts if part.watermark is not None),
        due=max((session for session in due.values() if session is not None), default=None),
        newest=max((part.watermark for part in parts if part.watermark is not None), default=None),
    )


def _due_session(symbol: str, fired_at: datetime) -> date | None:
    return calendar(venue_of(symbol).calendar).last_closed(fired_at, SETTLED_AFTER)


def _has(watermark: date | None, session: date | None) -> bool:
    return session is None or (watermark is not None and watermark >= session)
