"""Sessions that series lack become tasks by themselves, with growing pauses, until they are filled or explained.

It may run at any time and end at any line: whom a gap was asked of is what the tasks say, and the rest is done again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import polars as pl
import structlog

from quantx.core.calendars import calendar
from quantx.core.gap_schedule import Ask, Evidence, Gap, is_about, next_step
from quantx.core.model import SETTLED_AFTER, Series, Window
from quantx.core.symbols import venue_of
from quantx.core.tables import BARS_1D, BARS_1D_ADJUSTED, BARS_1M, Table
from quantx.pipeline.inspecting.gap_findings import note_gaps
from quantx.pipeline.inspecting.missing_sessions import Holes, find_holes, timeframe_of, witnesses
from quantx.pipeline.planning.plan import plan_heal
from quantx.pipeline.planning.vendor_order import available_vendors, events_window
from quantx.pipeline.runtime.platform import Platform
from quantx.state.tasks.port import NewTask, Plan

log = structlog.get_logger()


@dataclass(frozen=True)
class Healed:
    """What a look for gaps has found and done."""

    gaps: tuple[Gap, ...] = ()  # open or explained, and those that were filled since the last look
    wanted: tuple[NewTask, ...] = ()  # what is due to be asked for
    plan: Plan | None = None  # the run that asks
    looked: bool = True  # False: another process was at it


def heal_gaps(platform: Platform, symbols: Collection[str] | None = None, *, dry_run: bool = False) -> Healed:
    """Find the sessions that series of bars lack (of `symbols`, or all), and plan what is due to be asked for.

    `dry_run`: nothing is recorded or planned. Does nothing where another process is at it.
    """
    with platform.state.exclusive("healer") as mine:
        if mine is None:
            return Healed(looked=False)
        known = [g for g in platform.state.gaps.known(symbols) if g.series.source in platform.providers]
        healing = _Healing(platform, {g.key: g for g in known})
        holes = []
        for source, table in _tables_of(platform):
            before = healing.known_of(source, timeframe_of(table))
            holes.append(find_holes(platform, table, source, before, symbols))
            healing.look_at(holes[-1], before)
        healing.fill(known)
        gaps, wanted = healing.gaps(), healing.wanted()
        if dry_run:
            return Healed(gaps, wanted)
        plan = plan_heal(platform, wanted) if wanted else None
        platform.state.gaps.put([g for g in gaps if healing.known.get(g.key) != g])
        note_gaps(platform, gaps, holes, symbols)
    counts = {status: sum(g.status == status for g in gaps) for status in ("open", "explained", "filled")}
    log.info("healed", **counts, tasks=len(wanted), heals_in=plan and plan.run_id)
    return Healed(gaps, wanted, plan)


def _tables_of(platform: Platform) -> list[tuple[str, Table]]:
    """Return the tables in which the bars of each vendor are that can be asked."""
    found = []
    for source, provider in sorted(platform.providers.items()):
        can = provider.capabilities
        found.append((source, BARS_1D_ADJUSTED if can.price_basis == "fully_adjusted" else BARS_1D))
        if "1m" in can.timeframes:
            found.append((source, BARS_1M))
    return found


class _Healing:
    """The gaps of one look, and what is to be asked."""

    def __init__(self, platform: Platform, known: Mapping[tuple[Series, date], Gap]) -> None:
        self.known = known
        self._platform, self._now = platform, platform.clock.now()
        self._gaps: dict[tuple[Series, date], Gap] = {}
        self._due: dict[Series, list[date]] = defaultdict(list)
        self._standing_in: set[Series] = set()

    def known_of(self, source: str, timeframe: str) -> pl.DataFrame:
        """Return the sessions (symbol, date) that series of a vendor lacked before."""
        own = [g for g in self.known.values() if (g.series.source, g.series.timeframe) == (source, timeframe)]
        rows = [(g.series.symbol, g.session) for g in own]
        return pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")

    def look_at(self, holes: Holes, before: pl.DataFrame) -> None:
        """Take the next step with each session that a vendor's series lack; `before` are those of the last look."""
        asked = witnesses(holes.sessions, before)
        told: dict[str, list[Ask]] = defaultdict(list)
        for ask in self._platform.state.gaps.asks(asked["symbol"].unique().to_list()):
            told[ask.series.symbol].append(ask)
        columns = ("symbol", "date", "rules", "listed", "elsewhere")
        for symbol, session, *evidence in asked.select(columns).iter_rows():
            series = Series(holes.source, "bars", holes.timeframe, symbol)
            self._step(holes.table, Gap(series, session), told[symbol], Evidence(*evidence))

    def _step(self, table: Table, new: Gap, told: Sequence[Ask], evidence: Evidence) -> None:
        before = self.known.get(new.key, new)
        if before.status == "explained" and not (before.explanation == "rejected" and evidence.rules is None):
            self._gaps[new.key] = before
            return
        asks = [ask for ask in told if is_about(ask, new)]
        gap, vendor = next_step(new, asks, self._stand_ins(table, new.series), evidence, self._now)
        self._gaps[gap.key] = gap
        if vendor is not None:
            asked = replace(gap.series, source=vendor)
            self._due[asked].append(gap.session)
            if vendor != gap.series.source:
                self._standing_in.add(asked)

    def _stand_ins(self, table: Table, series: Series) -> list[str]:
        """Return the vendors whose bars would be shown in place of the missing one."""
        if table is BARS_1D_ADJUSTED:
            return []
        settings, providers = self._platform.settings, self._platform.providers
        able = available_vendors(settings, providers, venue_of(series.symbol).market, series.timeframe)
        shown = [s for s in able if providers[s].capabilities.price_basis != "fully_adjusted"]
        return [s for s in shown if s != series.source]

    def fill(self, known: Iterable[Gap]) -> None:
        """Settle the gaps that are none any more."""
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

    def wanted(self) -> tuple[NewTask, ...]:
        """Return one task per series: a request for all of its gaps costs what one for a single gap does.

        Of a vendor that stands in also its events, where they do not come with its bars: those of the vendor whose bar
        is shown count on an ex-date.
        """
        tasks = [NewTask(series, Window(min(days), max(days))) for series, days in self._due.items()]
        for bars in [task for task in tasks if task.series in self._standing_in]:
            sessions = calendar(venue_of(bars.series.symbol).calendar)
            newest = sessions.last_closed(self._now, SETTLED_AFTER) or bars.window.end
            events = events_window(self._platform.providers, bars.series, bars.window, newest)
            if events is not None:
                tasks.append(NewTask(replace(bars.series, dataset="actions"), events))
        return tuple(tasks)
