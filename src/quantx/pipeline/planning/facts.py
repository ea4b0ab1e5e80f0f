"""Plan a dataset of facts from a vendor of symbols: one task per symbol, whose reply is the whole history."""

from __future__ import annotations

from datetime import timedelta

from quantx.core.fundamentals.filing_days import last_filing_day
from quantx.core.model import Series, Window
from quantx.core.symbols import is_filer
from quantx.errors import ConfigError
from quantx.pipeline.planning.fundamentals import TIMEFRAME
from quantx.pipeline.planning.plan import plan_filers
from quantx.pipeline.planning.scope import Scope, resolve_symbols
from quantx.pipeline.runtime.context import Context
from quantx.state.tasks.port import NewTask, Plan

_RECENT = timedelta(days=7)  # statements change four times a year, and a request costs a part of the vendor's quota


def plan_facts(context: Context, scope: Scope, dataset: str, source: str) -> Plan:
    """Plan a dataset of a scope from one vendor: named symbols at once, of others those without a reply of this week.

    Raises ConfigError where the vendor can't be fetched from here, or does not have the dataset.
    """
    _check_source(context, dataset, source)
    symbols = resolve_symbols(context, scope)
    filers = [symbol for symbol in symbols if is_filer(symbol)]
    if filers:
        raise ConfigError(f"{filers[0]} is a filer of the SEC, which {source} does not know; name its symbol")
    newest = last_filing_day(context.clock.now())
    progress = {} if scope.symbols else context.state.series.progress(source, dataset, TIMEFRAME, symbols)
    answered = {s: each.asked_through for s, each in progress.items() if each.asked_through and not each.refused}
    due = [s for s in symbols if s not in answered or answered[s] <= newest - _RECENT]
    tasks = [NewTask(Series(source, dataset, TIMEFRAME, symbol), Window(newest, newest)) for symbol in due]
    return plan_filers(
        context, "manual" if scope.symbols else "daily", tasks, symbols, {**scope.describe(), "source": source}
    )


def _check_source(context: Context, dataset: str, source: str) -> None:
    if source not in context.providers:
        from quantx.providers.registry import why_absent  # imported late: it loads libraries for frames

        raise ConfigError(why_absent(source, context.settings, context.providers))
    if dataset not in context.providers[source].capabilities.datasets:
        having = [name for name, each in context.providers.items() if dataset in each.capabilities.datasets]
        raise ConfigError(f"{source} has no {dataset}; sources that have: {', '.join(sorted(having)) or 'none'}")
