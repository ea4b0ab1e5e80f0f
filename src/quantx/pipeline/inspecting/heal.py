"""Healing: missing sessions become fetch tasks, with growing pauses, until they are filled or explained.

It may run at any time and stop at any line. The tasks record which vendor was requested for a gap; the rest is derived
again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
import structlog

from quantx.core.calendars import calendar
from quantx.core.gap_schedule import Evidence, Gap, GapRequest, is_about, next_step
from quantx.core.model import SETTLED_AFTER, Series, Window
from quantx.core.symbols import venue_of
from quantx.core.table import Table
from quantx.core.tables import BARS_1D, BARS_1D_ADJUSTED, BARS_1M
from quantx.lake.protocol import Tables
from quantx.pipeline.inspecting.gap_findings import note_gaps
from quantx.pipeline.inspecting.missing_sessions import (
    MissingSessions,
    SessionSearch,
    sample_market_gaps,
    timeframe_of,
)
from quantx.pipeline.planning.plan import plan_heal
from quantx.pipeline.planning.vendor_order import available_vendors, events_window
from quantx.pipeline.runtime.context import Context
from quantx.providers.protocol import Provider
from quantx.state.tasks.port import NewTask, Plan

log = structlog.get_logger()


@dataclass(frozen=True)
class HealResult:
    """The gaps that a search has found, and the tasks that are due."""

    gaps: tuple[Gap, ...] = ()  # open or explained, and those filled since the last search
    tasks: tuple[NewTask, ...] = ()  # due now
    plan: Plan | None = None  # the run of these tasks
    started: bool = True  # False: another process is healing


def heal_gaps(
    context: Context,
    tables: Tables,
    symbols: Collection[str] | None = None,
    *,
    dry_run: bool = False,
) -> HealResult:
    """Find the missing sessions of series of bars (of `symbols`, or all), and plan the requests that are due.

    `dry_run`: nothing is recorded or planned. Does nothing while another process is healing.
    """
    state = context.state
    with state.exclusive("healer") as role:
        if role is None:
            return HealResult(started=False)
        known = [gap for gap in state.gaps.known(symbols) if gap.series.source in context.providers]
        healing = _Healing(context, {gap.key: gap for gap in known})
        search = SessionSearch(
            location=context.location,
            tables=tables,
            series=state.series,
            namings=state.instruments.namings(),
            now=context.clock.now(),
        )
        missing = []
        for source, table in _tables_of(context.providers):
            before = healing.known_sessions(source, timeframe_of(table))
            missing.append(search.find(table, source, before, symbols))
            healing.advance(missing[-1], before)
        healing.close(known)
        gaps, tasks = healing.gaps(), healing.tasks()
        if dry_run:
            return HealResult(gaps, tasks)
        plan = plan_heal(context, tasks) if tasks else None
        state.gaps.put([gap for gap in gaps if healing.known.get(gap.key) != gap])
        note_gaps(state.findings, context.providers, gaps, missing, symbols)
    counts = {status: sum(g.status == status for g in gaps) for status in ("open", "explained", "filled")}
    log.info("healed", **counts, tasks=len(tasks), heals_in=plan and plan.run_id)
    return HealResult(gaps, tasks, plan)


def _tables_of(providers: Mapping[str, Provider]) -> list[tuple[str, Table]]:
    """Return each vendor with the tables of its bars."""
    tables = []
    for source, provider in sorted(providers.items()):
        can = provider.capabilities
        tables.append((source, BARS_1D_ADJUSTED if can.price_basis == "fully_adjusted" else BARS_1D))
        if "1m" in can.timeframes:
            tables.append((source, BARS_1M))
    return tables


class _Healing:
    """The gaps of one search, and the sessions that are due."""

    def __init__(self, context: Context, known: Mapping[tuple[Series, date], Gap]) -> None:
        self.known = known
        self._context, self._now = context, context.clock.now()
        self._gaps: dict[tuple[Series, date], Gap] = {}
        self._due: dict[Series, list[date]] = defaultdict(list)
        self._fallback_series: set[Series] = set()

    def known_sessions(self, source: str, timeframe: str) -> pl.DataFrame:
        """Return the sessions (symbol, date) that series of a vendor missed at the last search."""
        own = [g for g in self.known.values() if (g.series.source, g.series.timeframe) == (source, timeframe)]
        rows = [(g.series.symbol, g.session) for g in own]
        return pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")

    def advance(self, missing: MissingSessions, before: pl.DataFrame) -> None:
        """Take the next step for each missing session of a vendor; `before` are those of the last search."""
        sampled = sample_market_gaps(missing.sessions, before)
        requests: dict[str, list[GapRequest]] = defaultdict(list)
        for request in self._context.state.gaps.requests(sampled["symbol"].unique().to_list()):
            requests[request.series.symbol].append(request)
        columns = ("symbol", "date", "rules", "listed", "elsewhere")
        for symbol, session, *evidence in sampled.select(columns).iter_rows():
            series = Series(missing.source, "bars", missing.timeframe, symbol)
            self._step(missing.table, Gap(series, session), requests[symbol], Evidence(*evidence))

    def _step(self, table: Table, new: Gap, requests: Sequence[GapRequest], evidence: Evidence) -> None:
        before = self.known.get(new.key, new)
        if before.status == "explained" and not (before.explanation == "rejected" and evidence.rules is None):
            self._gaps[new.key] = before
            return
        own = [request for request in requests if is_about(request, new)]
        gap, vendor = next_step(new, own, self._fallbacks(table, new.series), evidence, self._now)
        self._gaps[gap.key] = gap
        if vendor is not None:
            requested = replace(gap.series, source=vendor)
            self._due[requested].append(gap.session)
            if vendor != gap.series.source:
                self._fallback_series.add(requested)

    def _fallbacks(self, table: Table, series: Series) -> list[str]:
        """Return the vendors whose bars readers see in place of the missing one."""
        if table is BARS_1D_ADJUSTED:
            return []
        settings, providers = self._context.settings, self._context.providers
        available = available_vendors(settings, providers, venue_of(series.symbol).market, series.timeframe)
        shown = [s for s in available if providers[s].capabilities.price_basis != "fully_adjusted"]
        return [s for s in shown if s != series.source]

    def close(self, known: Iterable[Gap]) -> None:
        """Close the known gaps that this search did not find: filled, or no session any more."""
        for gap in known:
            if gap.key in self._gaps:
                continue
            if calendar(venue_of(gap.series.symbol).calendar).is_session(gap.session):
                self._gaps[gap.key] = replace(gap, status="filled", explanation=None, reason=None, due_at=None)
            elif gap.status == "open":
                why = "the exchange was closed: the calendar was corrected"
                self._gaps[gap.key] = replace(
                    gap, status="explained", explanation="not_a_session", reason=why, due_at=None
                )

    def gaps(self) -> tuple[Gap, ...]:
        """Return the gaps by series and session."""
        return tuple(sorted(self._gaps.values(), key=lambda g: (*vars(g.series).values(), g.session)))

    def tasks(self) -> tuple[NewTask, ...]:
        """Return one task per series: a request for all of its gaps costs as much as one for a single gap.

        A fallback vendor's events are requested as well, where they do not come with its bars: on an ex-date readers
        see the events of the vendor whose bar they see.
        """
        tasks = [NewTask(series, Window(min(days), max(days))) for series, days in self._due.items()]
        for bars in [task for task in tasks if task.series in self._fallback_series]:
            sessions = calendar(venue_of(bars.series.symbol).calendar)
            newest = sessions.last_closed(self._now, SETTLED_AFTER) or bars.window.end
            events = events_window(self._context.providers, bars.series, bars.window, newest)
            if events is not None:
                tasks.append(NewTask(replace(bars.series, dataset="actions"), events))
        return tuple(tasks)
