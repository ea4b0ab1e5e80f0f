"""Plan the documents of published rates that have days which are public and not here yet.

A task has one document, or of a long history those of ten years: a worker fetches one task of a series after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import structlog

from quantx.core.model import RunKind, Series, Window
from quantx.core.rate_series import RATE_SERIES, RateSeries
from quantx.errors import ConfigError
from quantx.pipeline.planning.plan import plan_filers
from quantx.pipeline.runtime.context import Context
from quantx.state.tasks.port import NewTask, Plan

log = structlog.get_logger()

TIMEFRAME = "1d"
_MOST_YEARS = 10  # of one task
_LATE_SECONDS = 3600.0  # before a day that the publisher was late with is requested again


def plan_rates(context: Context, source: str | None = None, *, start: date | None = None, again: bool = False) -> Plan:
    """Plan the documents with the days that no document has answered yet, since `start` or the first published day.

    A day is due when its rates are public by the publisher's time. Days that are here are fetched again only with
    `again`; but each document is whole, so that corrections of its other days come with it. Raises ConfigError for a
    source that publishes no rates, and where `start` is not public yet.
    """
    wanted = [each for each in RATE_SERIES.values() if source in (None, each.source)]
    if not wanted or any(each.source not in context.providers for each in wanted):
        names = ", ".join(sorted(each.source for each in RATE_SERIES.values()))
        raise ConfigError(f"{source or names} publishes no rates; the sources of rates are {names}")
    tasks = [task for each in wanted for task in _tasks(context, each, start, again=again)]
    request: dict[str, object] = {"symbols": [each.symbol for each in wanted]}
    if start is not None:
        request["start"] = str(start)
    # Not "daily": those are the updates of universes, by which deadlines and costs are counted.
    kind: RunKind = "manual" if start is None and not again else "backfill"
    return plan_filers(context, kind, tasks, [each.symbol for each in wanted], request)


def _tasks(context: Context, rates: RateSeries, start: date | None, *, again: bool) -> Iterator[NewTask]:
    now = context.clock.now()
    newest, first = rates.newest(now), max(start or rates.first, rates.first)
    if first > newest:
        if start is not None:
            raise ConfigError(f"{rates.title}: {start} is not public yet; the newest day is {newest}")
        return
    series = Series(rates.source, rates.dataset, TIMEFRAME, rates.symbol)
    gaps = [Window(first, newest)]
    if not again:
        gaps = context.state.series.uncovered([(series, gaps[0])], now, _LATE_SECONDS).get(rates.symbol, [])
    due = [day for gap in gaps for day in rates.days(gap.start, gap.end)]
    for window in _windows(rates, due, newest):
        yield NewTask(series, window)


def _windows(rates: RateSeries, due: Sequence[date], newest: date) -> Iterator[Window]:
    """Yield the windows of the documents that have the due days: whole years, or all from the first of them."""
    if not rates.by_year:
        if due:
            yield Window(due[0], newest)
        return
    years = sorted({day.year for day in due}, reverse=True)  # the newest first: they are wanted most
    while years:
        last = first = years.pop(0)
        while years and years[0] == first - 1 and last - first + 1 < _MOST_YEARS:
            first = years.pop(0)
        yield Window(max(date(first, 1, 1), rates.first), min(date(last, 12, 31), newest))
