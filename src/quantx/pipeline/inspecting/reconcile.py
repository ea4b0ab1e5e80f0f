"""Reconciliation: compare all pairs of vendors with bars of one symbol, and store agreements, verdicts and findings.

Bars are compared, and the splits and dividends. Nothing is fetched and no row of them is changed: agreements and
verdicts are tables of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import combinations

import polars as pl
import structlog

from quantx.core.calendars import calendar
from quantx.core.preference import Order, of_one_source
from quantx.core.quality.action_comparison import EVENT_COMPARISON_RULES
from quantx.core.quality.action_verdicts import action_verdicts_of, one_per_event
from quantx.core.quality.adjusted_vendors import in_traded_prices
from quantx.core.quality.series_rules import bars_in_error, check_series
from quantx.core.quality.vendor_causes import VENDOR_RULES, add_causes
from quantx.core.quality.vendor_comparison import Comparison, comparable, compare
from quantx.core.quality.vendor_findings import action_findings, vendor_findings
from quantx.core.quality.vendor_verdicts import (
    Witness,
    agreements_of,
    decide,
    one_per_bar,
    verdicts_of,
    witness_of_returns,
)
from quantx.core.symbols import venue_of
from quantx.core.table import Table
from quantx.core.tables import ACTION_VERDICTS, ACTIONS, AGREEMENTS, BARS_1D, BARS_1D_ADJUSTED, VERDICTS
from quantx.lake.one_state import one_state
from quantx.lake.protocol import CommitContext, Tables
from quantx.pipeline.curating.compaction import MOST_FILES
from quantx.pipeline.curating.restate import read_stored, restate
from quantx.pipeline.inspecting.compare_actions import EventDays, compare_vendor_actions, event_days
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.roles import RoleHolder, committing, tables_of, take_role
from quantx.state.findings.port import Findings
from quantx.state.series.port import SeriesBook

log = structlog.get_logger()

_SYMBOLS_AT_ONCE = 200  # 2.3 million rows over 15 years and three vendors
_OVER = "the vendors agree now"


@dataclass(frozen=True, kw_only=True)
class ReconcileSummary:
    """The counts of a reconciliation over all pairs."""

    symbols: int = 0
    sessions: int = 0
    agreed: int = 0
    wrong: int = 0  # bars
    doubtful: int = 0  # bars
    events: int = 0  # splits and dividends that a vendor has wrong, misses, or that are doubtful
    findings: int = 0


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two vendors compared over symbols of one calendar, with a verdict on each row in which they differ."""

    a: str
    b: str
    market: str
    compared: Comparison
    judged: pl.DataFrame


def reconcile(
    context: Context,
    tables: Tables,
    order: Order,
    *,
    symbols: Collection[str] | None = None,
    since: date | None = None,
) -> ReconcileSummary | None:
    """Compare all pairs of vendors over these symbols (or all), and restate agreements, verdicts and findings.

    `order` is that of the vendors for daily bars; `since` starts with the month of that day. A second reconciliation
    changes nothing. What no longer holds goes to the revisions and its finding is resolved, also for a symbol that has
    bars of only one vendor left. No bars are read if no symbol has, or had, bars of two vendors. Return None while
    another process is reconciling.
    """
    state = context.state
    several = {symbol for symbol, sources in vendors_of(state.series).items() if len(sources) > 1}
    chosen = {s for s in several | _compared_before(tables) if symbols is None or s in symbols}
    if not chosen:
        return ReconcileSummary()

    def carry_out(holder: RoleHolder | None) -> ReconcileSummary | None:
        if holder is None:
            return None
        month = None if since is None else since.replace(day=1)
        now, names = context.clock.now(), sorted(chosen)
        with one_state(tables_of("reconciler", tables)):
            done = _restate(tables, holder, order, names, month, now)
            days = event_days(state.series, context.providers, now)
            done = replace(done, events=_restate_events(tables, holder, days, names, month))
            return replace(done, findings=_note(tables, state.findings, names))

    done = committing(partial(take_role, context.location, tables, state, "reconciler"), carry_out)
    if done is not None:
        log.info("vendors.reconciled", **vars(done))
    return done


def vendors_of(series: SeriesBook) -> dict[str, tuple[str, ...]]:
    """Return the vendors from which the lake has daily bars of each symbol, by name; no table is read."""
    vendors: dict[str, set[str]] = defaultdict(set)
    for row in series.manifest():
        if (row["dataset"], row["timeframe"]) == ("bars", "1d") and row["first_session"] is not None:
            vendors[row["symbol"]].add(row["source"])
    return {symbol: tuple(sorted(sources)) for symbol, sources in vendors.items()}


def _compared_before(tables: Tables) -> set[str]:
    """Return the symbols with stored verdicts or agreements; only their column is read."""
    stored = [tables[table.name] for table in (VERDICTS, AGREEMENTS, ACTION_VERDICTS)]
    return {symbol for table in stored for symbol in table.collect(table.scan().select("symbol").unique())["symbol"]}


def compare_vendors(
    tables: Tables,
    order: Order,
    symbols: Sequence[str],
    start: date | None = None,
    end: date | None = None,
    *,
    tolerance: float | None = None,
    adjusted_of: Collection[str] = (),
) -> Iterator[Pair]:
    """Yield the comparison of each pair of vendors over these symbols; the other vendors act as witnesses.

    `tolerance` is the tolerated relative difference of prices; by default that of each market. Of the vendors in
    `adjusted_of`, adjusted prices are compared with each other vendor, too, where they have no as-traded ones.
    """
    for at in range(0, len(symbols), _SYMBOLS_AT_ONCE):
        some = symbols[at : at + _SYMBOLS_AT_ONCE]
        bars = _read(tables, BARS_1D.name, "date", some, start, end)
        adjusted = _read(tables, BARS_1D_ADJUSTED.name, "date", some, start, end)
        actions = _read(tables, ACTIONS.name, "ex_date", some, start, None)
        # Events of one vendor only: two vendors may date an event differently, and both would adjust twice.
        actions = of_one_source(actions, ["symbol"], order)
        for code, market in sorted({(venue_of(s).calendar, venue_of(s).market) for s in some}):
            here = pl.col("symbol").is_in([s for s in some if venue_of(s).calendar == code])
            traded, returns = _by_source(bars.filter(here)), _by_source(adjusted.filter(here))
            for a, b in combinations(sorted(traded), 2):
                compared = compare(traded[a], traded[b], market, calendar(code), tolerance)
                yield _pair(a, b, market, code, compared, traded, returns, actions)
            for b in sorted((returns.keys() & adjusted_of) - traded.keys()):
                others = {name: bars for name, bars in returns.items() if name != b}
                for a in sorted(traded):
                    both = {**traded, b: in_traded_prices(returns[b], traded[a], actions)}
                    compared = compare(both[a], both[b], market, calendar(code), tolerance)
                    yield _pair(a, b, market, code, compared, both, others, actions)


def current_agreements(
    tables: Tables, order: Order, symbols: Sequence[str], now: datetime, *, adjusted_of: Collection[str] = ()
) -> pl.DataFrame:
    """Return the agreements of these symbols' vendors as their bars are now; nothing is written."""
    pairs = compare_vendors(tables, order, symbols, adjusted_of=adjusted_of)
    parts = [agreements_of(p.compared, p.judged, p.a, p.b, p.market, now) for p in pairs]
    return pl.concat([AGREEMENTS.empty(), *parts])


def _restate(
    tables: Tables, holder: RoleHolder, order: Order, symbols: Sequence[str], since: date | None, now: datetime
) -> ReconcileSummary:
    """Restate verdicts and agreements of these symbols; return the counts."""
    # One more month is read, so that the first days of the month have bars before them.
    start = None if since is None else (since - timedelta(days=1)).replace(day=1)
    months = pl.lit(True) if since is None else pl.col("month") >= since.year * 100 + since.month
    agreed, doubted = [AGREEMENTS.empty()], [VERDICTS.empty()]
    for pair in compare_vendors(tables, order, symbols, start):
        judged = pair.judged.filter(months)
        compared = Comparison(pair.compared.months.filter(months), judged)
        agreed.append(agreements_of(compared, judged, pair.a, pair.b, pair.market, now))
        doubted.append(verdicts_of(judged, pair.a, pair.b, now))
    agreements, verdicts = pl.concat(agreed), one_per_bar(pl.concat(doubted))
    here = pl.col("symbol").is_in(symbols)
    days = pl.lit(True) if since is None else pl.col("date") >= since
    # Verdicts first: findings and readers use them.
    for table, rows, part in ((VERDICTS, verdicts, days), (AGREEMENTS, agreements, months)):
        _replace(tables, table, here & part, rows, now, holder)
    return ReconcileSummary(
        symbols=len(symbols),
        sessions=int(agreements["sessions"].sum()),
        agreed=int(agreements["agreed"].sum()),
        wrong=verdicts.filter(pl.col("verdict") == "wrong").height,
        doubtful=verdicts.filter(pl.col("verdict") == "doubtful").height,
    )


def _restate_events(
    tables: Tables, holder: RoleHolder, days: EventDays, symbols: Sequence[str], since: date | None
) -> int:
    """Restate the verdicts on splits and dividends of these symbols; return their number."""
    doubted = [ACTION_VERDICTS.empty()]
    for pair in compare_vendor_actions(tables, days, symbols, since):
        doubted.append(action_verdicts_of(pair.judged, pair.a, pair.b, days.now))
    verdicts = one_per_event(pl.concat(doubted))
    here = pl.col("symbol").is_in(symbols) & (pl.lit(True) if since is None else pl.col("ex_date") >= since)
    _replace(tables, ACTION_VERDICTS, here, verdicts, days.now, holder)
    return verdicts.height


def _replace(
    tables: Tables, table: Table, here: pl.Expr, rows: pl.DataFrame, now: datetime, holder: RoleHolder
) -> None:
    """Replace the stored rows of a table that `here` selects."""
    restate(tables, table, read_stored(tables[table.name], here), rows, now, holder)
    for name in (table.name, table.revisions.name):
        tables[name].fold(CommitContext(by=holder), MOST_FILES)


def _note(tables: Tables, findings: Findings, symbols: Sequence[str]) -> int:
    """Note the findings from the stored verdicts and agreements, and resolve the others; return how many hold."""
    here, lacking = pl.col("symbol").is_in(symbols), (pl.col("lacking_a") > 0) | (pl.col("lacking_b") > 0)
    current = vendor_findings(tables[VERDICTS.name].read(here), tables[AGREEMENTS.name].read(here & lacking))
    current += action_findings(tables[ACTION_VERDICTS.name].read(here))
    rules = [rule.id for rule in (*VENDOR_RULES, *EVENT_COMPARISON_RULES)]
    findings.restate(rules, None, None, current, _OVER, symbols)
    return len(current)


def _pair(
    a: str,
    b: str,
    market: str,
    code: str,
    compared: Comparison,
    traded: Mapping[str, pl.DataFrame],
    returns: Mapping[str, pl.DataFrame],
    actions: pl.DataFrame,
) -> Pair:
    odd = add_causes(compared.odd, calendar(code))
    if odd.is_empty():
        return Pair(a=a, b=b, market=market, compared=compared, judged=decide(odd, [], market))
    witnesses = [Witness(name, bars) for name, bars in traded.items() if name not in (a, b)]
    if returns:
        common = traded[a].join(traded[b], on=["symbol", "date"], how="semi")
        witnesses += [witness_of_returns(name, bars, common, odd, actions) for name, bars in returns.items()]
    in_error = _in_error(traded[a], odd, actions), _in_error(traded[b], odd, actions)
    judged = decide(odd, witnesses, market, in_error)
    return Pair(a=a, b=b, market=market, compared=compared, judged=judged)


def _in_error(bars: pl.DataFrame, odd: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return the days on which a series rule rejects a vendor's bar, of the symbols with differences."""
    differing = pl.col("symbol").is_in(odd["symbol"].unique().implode())
    return bars_in_error(check_series(bars.filter(differing), actions.filter(differing)))


def _by_source(bars: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(source): comparable(part) for (source,), part in bars.group_by("source")}


def _read(
    tables: Tables, name: str, day: str, symbols: Sequence[str], start: date | None, end: date | None
) -> pl.DataFrame:
    wanted = pl.col("symbol").is_in(symbols)
    for edge, first in ((start, True), (end, False)):
        if edge is not None:
            wanted &= pl.col(day) >= edge if first else pl.col(day) <= edge
            if "year" in tables[name].table.schema:
                wanted &= pl.col("year") >= edge.year if first else pl.col("year") <= edge.year
    return tables[name].read(wanted)
