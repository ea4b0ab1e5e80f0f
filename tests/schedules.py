"""Checks of schedules, wherever one is written: what fires when, and whether the sessions have closed by then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.schedule import parse_schedule

EXCHANGES = ("XNYS", "XHKG", "XTKS", "XLON", "XETR")
# Winter and summer everywhere, and the weeks in which America and Europe are on different sides of a change.
SEASONS = (date(2025, 1, 6), date(2025, 3, 17), date(2025, 7, 7), date(2025, 10, 27))
_QUOTED = re.compile(r"""(['"])((?:[0-9*][0-9*/,-]* ){4,5}[0-9A-Za-z*][0-9A-Za-z*/,-]*)\1""")


def schedules_in(path: Path) -> list[str]:
    """Return what is written like a schedule, in quotes, in a file."""
    return [match[2] for match in _QUOTED.finditer(path.read_text("utf-8"))]


def next_firings(expression: str, after: datetime, count: int) -> list[datetime]:
    """Return when a schedule of five or six fields fires next, in UTC."""
    found, schedule = [after], parse_schedule(expression)
    for _ in range(count):
        found.append(schedule.first_after(found[-1]))
    return found[1:]


def waits_of(expression: str) -> Iterator[tuple[str, date, timedelta]]:
    """Yield (exchange, session, from the moment when it has settled to the firing that plans it) in all seasons."""
    schedule = parse_schedule(expression)
    for code in EXCHANGES:
        for season in SEASONS:
            for session in calendar(code).sessions(season, season + timedelta(days=6)):
                settled = calendar(code).close_of(session) + SETTLED_AFTER
                fired = schedule.first_after(settled - timedelta(seconds=1))
                planned = calendar(code).last_closed(fired, SETTLED_AFTER)
                assert planned is not None
                assert planned >= session, f"{expression}: {session} of {code} is not planned at {fired}"
                yield code, session, fired - settled


def assert_plans_every_session(expression: str, within: timedelta) -> None:
    """Hold that each session of each exchange is planned after it has settled, and soon enough."""
    for code, session, wait in waits_of(expression):
        assert timedelta(0) <= wait <= within, f"{expression}: {session} of {code} waits {wait}"


def winter_and_summer() -> tuple[datetime, datetime]:
    """Return an instant of each."""
    return datetime(2025, 1, 8, 12, tzinfo=UTC), datetime(2025, 7, 9, 12, tzinfo=UTC)
