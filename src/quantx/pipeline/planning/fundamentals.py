"""Plan the filings and facts of filers: one task per filer, whose reply holds all that it has ever filed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from quantx.core.calendars import calendar
from quantx.core.model import Series, Window
from quantx.core.symbols import US
from quantx.errors import ConfigError
from quantx.pipeline.planning.plan import plan_filers
from quantx.pipeline.runtime.context import Context
from quantx.state.tasks.port import NewTask, Plan

SOURCE, DATASET, TIMEFRAME = "sec", "fundamentals", "filing"


def last_filing_day(now: datetime) -> date:
    """Return the last session whose day of filing has ended in New York: all of its filings are public."""
    today = now.astimezone(ZoneInfo(US.timezone)).date()
    sessions = calendar(US.calendar)
    return sessions.sessions(today - timedelta(days=14), today - timedelta(days=1))[-1]


def plan_fundamentals(
    context: Context, filers: Sequence[str], *, changed: Collection[str] | None = None, request: dict[str, object]
) -> Plan:
    """Plan a request for each filer, or for those that are new or among the `changed` ones.

    Raises ConfigError where the SEC can't be fetched from here.
    """
    if SOURCE not in context.providers:
        from quantx.providers.registry import why_absent  # imported late: it loads libraries for frames

        raise ConfigError(why_absent(SOURCE, context.settings, context.providers))
    day = last_filing_day(context.clock.now())
    tasks = [
        NewTask(Series(SOURCE, DATASET, TIMEFRAME, filer), Window(day, day))
        for filer in filers
        if changed is None or filer in changed
    ]
    return plan_filers(context, "manual" if changed is None else "daily", tasks, filers, request)
