"""Plan the filings and facts of filers: one task per filer, whose reply holds all that it has ever filed.

The SEC's index of a day names the filers that filed on it. An update therefore requests the filers that are new here,
those that have filed since their last request, and those whose last request is a month ago.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import structlog

from quantx.core.fundamentals.filing_days import last_filing_day
from quantx.core.model import Finding, Series, Window
from quantx.core.symbols import US, is_filer, market_of, parse_symbol
from quantx.errors import ConfigError, ProviderError
from quantx.lake.store import LakeLocation
from quantx.pipeline.planning.plan import plan_filers
from quantx.pipeline.planning.scope import Scope, resolve_symbols
from quantx.pipeline.planning.sec_site import SOURCE, filers_of_day, sec_of, weekdays
from quantx.pipeline.runtime.context import Context
from quantx.state.series.port import SeriesProgress
from quantx.state.tasks.port import NewTask, Plan

log = structlog.get_logger()

NOT_PLANNED = "fundamentals_not_planned"  # declared in core/quality/operational_rules.py, which is heavy to import
DATASET, TIMEFRAME = "fundamentals", "filing"
FILERS_FILE = "meta/sec/filers.json"  # the filers of each symbol, for planning, which reads no tables
_STALE = timedelta(days=30)
_SHOWN = 10  # symbols that a message names


def filers_in_scope(context: Context, scope: Scope) -> list[str]:
    """Return the filers of the symbols of a scope, predecessors among them.

    Named symbols must be in the record of tickers, else ConfigError; of a universe those that are not (funds without
    filings, other markets) are left out.
    """
    known, named = recorded_filers(context.location), bool(scope.symbols)
    filers = [text.strip().upper() for text in scope.symbols if is_filer(text.strip().upper())]
    others = tuple(text for text in scope.symbols if not is_filer(text.strip().upper()))
    if others or not named:
        symbols = tuple(map(parse_symbol, others)) if named else resolve_symbols(context, scope)
        unknown = [symbol for symbol in symbols if symbol not in known]
        if unknown and named:
            raise ConfigError(_why_unknown(unknown))
        filers += [filer for symbol in symbols for filer in known.get(symbol, ())]
    return list(dict.fromkeys(filers))


def _why_unknown(symbols: Sequence[str]) -> str:
    foreign = [symbol for symbol in symbols if market_of(symbol) != US.market]
    if foreign:
        return f"{_named(foreign)}: no American symbol; the SEC's filers have American securities"
    return (
        f"the SEC's list of tickers has no {_named(symbols)}; name the filer by its CIK, as in CIK0000320193"
        " (https://www.sec.gov/edgar/searchedgar/companysearch), and link it: `quantx fundamentals link --help`"
    )


def _named(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - _SHOWN:,} more" if len(symbols) > _SHOWN else ""
    return ", ".join(symbols[:_SHOWN]) + more


def recorded_filers(location: LakeLocation) -> Mapping[str, Sequence[str]]:
    """Return the filers of each symbol, the newest first; none before the first list."""
    if not location.has(FILERS_FILE):
        return {}
    filers: Mapping[str, Sequence[str]] = json.loads(location.get(FILERS_FILE))["symbols"]
    return filers


def plan_scope(context: Context, scope: Scope, *, again: bool) -> Plan:
    """Plan the filers of a scope: those that are new, have filed since or are stale; `again`: all of them.

    Raises ConfigError where the SEC can't be fetched from here.
    """
    sec_of(context)
    filers = filers_in_scope(context, scope)
    due = filers if again else filers_due(context, filers)
    tasks = _tasks(due, last_filing_day(context.clock.now()))
    return plan_filers(context, "manual" if again else "daily", tasks, filers, {**scope.describe(), "again": again})


def plan_beside_bars(context: Context, scope: Scope) -> tuple[int, ...]:
    """Plan the filers of a scope that are due, as a run of their own beside that of the bars; return its tasks.

    Where that fails the bars are not affected: a finding is noted, and the next daily update tries again.
    """
    findings = context.state.findings
    try:
        known = recorded_filers(context.location)
        symbols = [symbol for symbol in resolve_symbols(context, scope) if symbol in known]
        tasks = plan_scope(context, replace(scope, symbols=tuple(symbols)), again=False).task_ids if symbols else ()
    except (ConfigError, ProviderError) as error:
        log.error("fundamentals.not_planned", error=str(error))
        findings.note([Finding(NOT_PLANNED, "warn", SOURCE, f"{error}; the next daily update tries again")])
        return ()
    findings.resolve(NOT_PLANNED, [SOURCE], "the filers of a later update were planned")
    return tasks


def plan_archives(
    context: Context, filers: Sequence[str], made_at: datetime, *, complete: bool, request: dict[str, object]
) -> Plan:
    """Plan the filers of archives that were made at some time, without those that were read from them before.

    Where the archives are not `complete` (facts without filings), the filers stay due for the next update.
    """
    day = last_filing_day(made_at) - (timedelta() if complete else _STALE)
    tasks = _tasks(filers, day)
    wanted = [(task.series, task.window) for task in tasks]
    left = context.state.series.uncovered(wanted, context.clock.now(), 0) if wanted else {}
    tasks = [task for task in tasks if left.get(task.series.symbol)]
    return plan_filers(context, "backfill", tasks, filers, request)


def _tasks(filers: Iterable[str], day: date) -> list[NewTask]:
    return [NewTask(Series(SOURCE, DATASET, TIMEFRAME, filer), Window(day, day)) for filer in filers]


def filers_due(context: Context, filers: Sequence[str]) -> list[str]:
    """Return the filers to request: new ones, those that have filed since their last request, and stale ones."""
    progress = context.state.series.progress(SOURCE, DATASET, TIMEFRAME, filers)
    newest = last_filing_day(context.clock.now())
    answered = {filer: day for filer in filers if (day := _answered(progress.get(filer), newest)) is not None}
    filed = _filed_since(context, answered.values(), newest)
    return [
        filer
        for filer in filers
        if filer not in answered or any(filer in names for day, names in filed.items() if day > answered[filer])
    ]


def _answered(progress: SeriesProgress | None, newest: date) -> date | None:
    """Return the day of filing up to which a filer's last reply is complete; None where there is no recent one."""
    if progress is None or progress.refused or progress.asked_through is None:
        return None
    return progress.asked_through if progress.asked_through > newest - _STALE else None


def _filed_since(context: Context, answered: Iterable[date], newest: date) -> dict[date, Collection[str]]:
    """Return the filers with filings on each day after the oldest answer."""
    oldest = min(answered, default=newest)
    indexes = {day: filers_of_day(context, day) for day in weekdays(oldest + timedelta(days=1), newest)}
    return {day: names for day, names in indexes.items() if names is not None}
