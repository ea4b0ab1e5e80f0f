"""Inspection after runs: series, minutes, dividends, vendors, gaps, the coverage page, and what readers need.

One process at a time inspects all runs that ended since the last inspection. The checks are independent: when one
fails, a finding is noted, the others go on, and the next worker inspects the runs again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial

import structlog

from quantx.core.model import Finding, Window
from quantx.core.quality.gaps import MARKET_MISSING
from quantx.core.quality.operational_rules import INSPECTION_FAILED
from quantx.errors import QuantxError
from quantx.lake.one_state import one_state
from quantx.lake.protocol import Tables
from quantx.pipeline.inspecting.class_rows import record_classes
from quantx.pipeline.inspecting.compare_fundamentals import reconcile_fundamentals
from quantx.pipeline.inspecting.dividends import check_changed_dividends
from quantx.pipeline.inspecting.heal import heal_gaps
from quantx.pipeline.inspecting.minute_sessions import RECENT, check_minutes
from quantx.pipeline.inspecting.published import publish_findings, publish_sessions
from quantx.pipeline.inspecting.rates import check_rates
from quantx.pipeline.inspecting.reconcile import reconcile
from quantx.pipeline.inspecting.series import inspect_series
from quantx.pipeline.inspecting.statements import check_statements
from quantx.pipeline.reporting.coverage import write_coverage
from quantx.pipeline.runtime.context import Context
from quantx.settings.concepts import read_concepts
from quantx.state.findings.port import Findings
from quantx.tracing import shared_span

log = structlog.get_logger()

ALL_DAYS = Window(date(1970, 1, 1), date.max)


@dataclass(frozen=True)
class InspectionChecks:
    """The checks of an inspection, each over some symbols."""

    context: Context
    tables: Tables
    minutes: Mapping[str, Window] = field(default_factory=dict)  # to check, by symbol, beside those of the last week
    run_ids: Sequence[str] = ()

    def in_order(self) -> dict[str, Callable[[Collection[str]], object]]:
        """Return the checks by name. The coverage page and the published findings come last: they show the others'."""
        return {
            "series": partial(inspect_series, self.context.location, self.tables, self.context.state.findings),
            "minutes": self._minutes,
            "dividends": partial(
                check_changed_dividends, self.context.location, self.tables, self.context.state.findings
            ),
            "vendors": self._vendors,
            "statements": self._statements,
            "rates": partial(check_rates, self.tables, self.context.state.findings),
            "gaps": self._gaps,
            "classes": partial(record_classes, self.context, self.tables),
            "coverage": self._coverage,
            "sessions": partial(publish_sessions, self.context, self.tables, run_ids=self.run_ids),
            "findings": lambda _: publish_findings(self.context, self.tables, run_ids=self.run_ids),
        }

    def _minutes(self, symbols: Collection[str]) -> None:
        """Check the sessions of minutes that came, and those of the last week."""
        recent, findings = self.context.clock.now().date() - RECENT, self.context.state.findings
        since: dict[date, list[str]] = defaultdict(list)
        older: dict[Window, list[str]] = defaultdict(list)
        for symbol in symbols:
            window = self.minutes.get(symbol, Window(recent, date.max))
            if window.end < recent:
                older[window].append(symbol)
            since[min(window.start, recent) if window.end >= recent else recent].append(symbol)
        for window, names in older.items():
            check_minutes(self.tables, findings, window.start, names, until=window.end)
        for first, names in since.items():
            check_minutes(self.tables, findings, first, names)

    def _statements(self, symbols: Collection[str]) -> None:
        concepts = read_concepts(self.context.settings.concepts_path)
        check_statements(self.tables, self.context.state.findings, symbols, concepts=concepts)

    def _vendors(self, symbols: Collection[str]) -> None:
        order = partial(self.context.settings.sources_of, "1d")
        reconcile(self.context, self.tables, order, symbols=symbols)
        reconcile_fundamentals(self.tables, self.context.state.findings, symbols)

    def _gaps(self, symbols: Collection[str]) -> None:
        """Heal the gaps of these symbols; of all symbols while a market-wide gap is open, which only all can close."""
        market_wide = self.context.state.findings.open(MARKET_MISSING)
        everywhere = any(finding.source in self.context.providers for finding in market_wide)
        heal_gaps(self.context, self.tables, None if everywhere else symbols)

    def _coverage(self, _: Collection[str]) -> None:
        write_coverage(self.context.location, self.tables, self.context.state, self.context.clock.now())


def inspect_ended_runs(context: Context, tables: Tables, *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Inspect the symbols of the reported runs that were not inspected yet; return the names of the failed checks.

    Symbols with a gap that is due are checked for gaps even if no run has ended. No check starts once `stopping`
    returns true; then, and when a check fails, the runs stay uninspected.
    """
    runs = context.state.runs
    if not context.settings.inspect or not (runs.uninspected() or _due(context)):
        return []
    with context.state.exclusive("inspector") as role:
        if role is None:
            return []
        ended = runs.uninspected()
        symbols = sorted({symbol for named in ended.values() for symbol in named})
        with shared_span("inspect", ended):
            failed = inspect_symbols(
                context,
                tables,
                symbols,
                minutes=runs.minute_windows(list(ended)),
                run_ids=list(ended),
                stopping=stopping,
            )
            if not failed and not stopping():
                runs.inspected(list(ended))
        return failed


def inspect_symbols(
    context: Context,
    tables: Tables,
    symbols: Collection[str],
    *,
    minutes: Mapping[str, Window] | None = None,
    run_ids: Sequence[str] = (),
    stopping: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Check these symbols, and those with a gap that is due for gaps; return the names of the failed checks.

    `minutes` are the days of which minutes came, by symbol: their sessions are checked, too. `run_ids` are the runs
    that brought the data, for the log. No check starts once `stopping` returns true.
    """
    errors: dict[str, str | None] = {}
    with one_state():
        for name, check in InspectionChecks(context, tables, minutes or {}, run_ids).in_order().items():
            if stopping():
                break
            about = sorted({*symbols, *_due(context)}) if name == "gaps" else symbols
            if not about:
                continue
            try:
                check(about)
                errors[name] = None
            except QuantxError as error:
                log.error("inspection.failed", check=name, error=str(error))
                errors[name] = str(error)
    _note_errors(context.state.findings, errors)
    failed = [name for name, error in errors.items() if error is not None]
    log.info("inspected", symbols=len(symbols), failed=failed)
    return failed


def _due(context: Context) -> list[str]:
    return context.state.gaps.due(list(context.providers), context.clock.now())


def _note_errors(findings: Findings, errors: Mapping[str, str | None]) -> None:
    """Note the failed checks with their errors, and resolve the findings about checks that succeeded."""
    current = [
        Finding(
            INSPECTION_FAILED,
            "error",
            name,
            f"the inspection {name} failed, so its findings are out of date: {error}; the next worker repeats it",
        )
        for name, error in errors.items()
        if error is not None
    ]
    findings.restate([INSPECTION_FAILED], None, None, current, "the inspection has succeeded since", list(errors))
