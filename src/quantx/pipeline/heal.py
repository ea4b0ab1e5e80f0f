"""Sessions that series lack become tasks by themselves, with growing pauses, until they are filled or explained.

It may run at any time and end at any line: whom a gap was asked of is what the tasks say, and the rest is done again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl
import structlog

from quantx.core.calendars import calendar
from quantx.core.healing import Ask, Evidence, Gap, is_about, next_step
from quantx.core.model import Finding, Series, Window
from quantx.core.quality.gaps import MARKET_MISSING, MISSING, in_windows
from quantx.core.symbols import venue_of
from quantx.core.tables import BARS_1D, BARS_1D_ADJUSTED, Table
from quantx.pipeline.holes import Holes, find_holes, witnesses
from quantx.pipeline.plan import plan_heal
from quantx.pipeline.platform import Platform
from quantx.pipeline.sources import able_sources
from quantx.state.protocol import NewTask, Plan

log = structlog.get_logger()

_MOST_NAMED = 3  # gaps that a finding names


@dataclass(frozen=True)
class Healed:
    """What a look for gaps has found and done."""

    gaps: tuple[Gap, ...] = ()  # open or explained, and those that were filled since the last look
    wanted: tuple[NewTask, ...] = ()  # what is due to be asked for
    plan: Plan | None = None  # the run that asks
    looked: bool = True  # False: another process was at it


def heal_gaps(platform: Platform, symbols: Collection[str] | None = None, *, dry_run: bool = False) -> Healed:
    """Find the sessions that series of daily bars lack (of `symbols`, or all), and plan what is due to be asked for.

    `dry_run`: nothing is recorded or planned. Does nothing where another process is at it.
    """
    with platform.state.exclusive("healer") as mine:
        if mine is None:
            return Healed(looked=False)
        holes = [
            (table, find_holes(platform, table, source, symbols))
            for source, provider in sorted(platform.providers.items())
            for table in [BARS_1D_ADJUSTED if provider.capabilities.price_basis == "fully_adjusted" else BARS_1D]
        ]
        known = [g for g in platform.state.gaps.known(symbols) if g.series.source in platform.providers]
        healing = _Healing(platform, {g.key: g for g in known})
        for table, each in holes:
            healing.look_at(table, each)
        healing.fill(known)
        gaps, wanted = healing.gaps(), healing.wanted()
        if dry_run:
            return Healed(gaps, wanted)
        plan = plan_heal(platform, wanted) if wanted else None
        platform.state.gaps.put([g for g in gaps if healing.known.get(g.key) != g])
        _note(platform, gaps, holes, symbols)
    counts = {status: sum(g.status == status for g in gaps) for status in ("open", "explained", "filled")}
    log.info("gaps.healed", **counts, tasks=len(wanted), run_id=plan and plan.run_id)
    return Healed(gaps, wanted, plan)


class _Healing:
    """The gaps of one look, and what is to be asked."""

    def __init__(self, platform: Platform, known: Mapping[tuple[Series, date], Gap]) -> None:
        self.known = known
        self._platform, self._now = platform, platform.clock.now()
        self._gaps: dict[tuple[Series, date], Gap] = {}
        self._due: dict[Series, list[date]] = defaultdict(list)

    def look_at(self, table: Table, holes: Holes) -> None:
        """Take the next step with each session that a vendor's series lack."""
        own = [(g.series.symbol, g.session) for g in self.known.values() if g.series.source == holes.source]
        before = pl.DataFrame(own, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
        asked = witnesses(holes.sessions, before)
        told: dict[str, list[Ask]] = defaultdict(list)
        for ask in self._platform.state.gaps.asks(asked["symbol"].unique().to_list()):
            told[ask.series.symbol].append(ask)
        columns = ("symbol", "date", "rules", "listed", "elsewhere")
        for symbol, session, *evidence in asked.select(columns).iter_rows():
            series = Series(holes.source, "bars", "1d", symbol)
            self._step(table, Gap(series, session), told[symbol], Evidence(*evidence))

    def _step(self, table: Table, new: Gap, told: Sequence[Ask], evidence: Evidence) -> None:
        before = self.known.get(new.key, new)
        if before.status == "explained" and not (before.explanation == "rejected" and evidence.rules is None):
            self._gaps[new.key] = before
            return
        asks = [ask for ask in told if is_about(ask, new)]
        gap, vendor = next_step(new, asks, self._stand_ins(table, new.series), evidence, self._now)
        self._gaps[gap.key] = gap
        if vendor is not None:
            self._due[replace(gap.series, source=vendor)].append(gap.session)

    def _stand_ins(self, table: Table, series: Series) -> list[str]:
        """Return the vendors whose bars would be shown in place of the missing one."""
        if table is not BARS_1D:
            return []
        providers = self._platform.providers
        able = able_sources(self._platform, venue_of(series.symbol).market, series.timeframe)
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
        """Return one task per series: a request for all of its gaps costs what one for a single gap does."""
        return tuple(NewTask(series, Window(min(days), max(days))) for series, days in self._due.items())


def _note(
    platform: Platform, gaps: Sequence[Gap], holes: Sequence[tuple[Table, Holes]], symbols: Collection[str] | None
) -> None:
    """Note which series lack sessions, and settle what is no more."""
    by_series: dict[Series, list[Gap]] = defaultdict(list)
    for gap in gaps:
        by_series[gap.series].append(gap)
    found = [finding for _, each in holes for finding in _market_findings(each, by_series)]
    for _, each in holes:
        alone = each.sessions.filter(pl.col("missing").is_null()).select("symbol", "date").iter_rows()
        own = set(alone)
        for series, some in by_series.items():
            mine = [g for g in some if g.status == "open" and (series.symbol, g.session) in own]
            if series.source == each.source and mine:
                found.append(_finding(series, mine))
    findings = platform.state.findings
    findings.note(found)
    keys = {finding.key for finding in found}
    for rule in (MISSING, MARKET_MISSING):
        for row in findings.listed(1_000_000, status="open", rule=rule):
            key = (rule, row["subject"], row["source"], row["dataset"], row["first_day"])
            in_scope = row["source"] in platform.providers and (symbols is None or row["subject"] in symbols)
            if in_scope and key not in keys:
                series = Series(row["source"], row["dataset"], "1d", row["subject"])
                findings.settle(row["id"], "resolved", "quantx", _why_settled(by_series.get(series, ())))


def _finding(series: Series, gaps: Sequence[Gap]) -> Finding:
    windows = _windows(gaps)
    named = ", ".join(_named(w["first"], w["last"]) for w in windows[:_MOST_NAMED])
    more = f" and {len(windows) - _MOST_NAMED:,} more gaps" if len(windows) > _MOST_NAMED else ""
    due = min((g.due_at for g in gaps if g.due_at is not None), default=None)
    return Finding(
        MISSING,
        "warn",
        series.symbol,
        f"{series.source} has no bar of {series.symbol} for {named}{more}; {_next(due)}",
        series.source,
        series.dataset,
        facts={"sessions": len(gaps), "gaps": windows},
    )


def _next(due: datetime | None) -> str:
    return f"it is asked for it again on {due:%Y-%m-%d}" if due else "it is being asked for it"


def _market_findings(holes: Holes, by_series: Mapping[Series, Sequence[Gap]]) -> list[Finding]:
    """Return one finding for each hole that most series of an exchange have, while somebody is asked for it."""
    shared = holes.sessions.filter(pl.col("missing").is_not_null())
    open_days = {
        (series.symbol, g.session)
        for series, some in by_series.items()
        for g in some
        if series.source == holes.source and g.status == "open"
    }
    witnessed = pl.DataFrame(list(open_days), schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    shared = shared.join(witnessed, on=["symbol", "date"], how="semi").unique(["calendar", "date"], keep="first")
    found = []
    for row in in_windows(shared, ("calendar",)).iter_rows(named=True):
        most = shared.filter(pl.col("calendar") == row["calendar"], pl.col("date") == row["first"]).row(0, named=True)
        found.append(
            Finding(
                MARKET_MISSING,
                "warn",
                row["calendar"],
                f"{holes.source} lacks {_named(row['first'], row['last'])} for {most['missing']:,} of {most['expected']:,}"
                f" symbols of {row['calendar']}: it was out of order, or the exchange was closed and the calendar does not"
                " know; a few symbols are asked for again, and the others when these have the session",
                holes.source,
                "bars",
                row["first"],
                row["last"],
                {"missing": most["missing"], "expected": most["expected"]},
            )
        )
    return found


def _why_settled(gaps: Sequence[Gap]) -> str:
    explained = sorted((g for g in gaps if g.status == "explained"), key=lambda g: g.explanation == "rejected")
    filled = sum(g.status == "filled" for g in gaps)
    said = [f"{filled:,} filled"] if filled else []
    said += list(dict.fromkeys(f"{g.explanation}: {g.reason}" for g in explained))[:_MOST_NAMED]
    return "; ".join(said) or "no session is missing any more"


def _windows(gaps: Sequence[Gap]) -> list[dict[str, date]]:
    rows = [(g.series.symbol, g.session) for g in gaps]
    frame = pl.DataFrame(rows, schema={"symbol": pl.String, "date": pl.Date}, orient="row")
    return in_windows(frame).select("first", "last", "sessions").to_dicts()


def _named(first: date, last: date) -> str:
    return str(first) if first == last else f"{first} to {last}"
