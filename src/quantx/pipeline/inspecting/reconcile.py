"""Reconciliation: all pairs of vendors with bars of one symbol are compared, and what follows is written down.

Nothing is fetched and no bar is changed: agreements and verdicts are tables of their own, a function of the bars.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from itertools import combinations

import polars as pl
import structlog

from quantx.core.calendars import calendar
from quantx.core.preference import of_one_source
from quantx.core.quality.series_rules import bars_in_error, check_series
from quantx.core.quality.vendor_causes import VENDOR_RULES, add_causes
from quantx.core.quality.vendor_comparison import Comparison, comparable, compare
from quantx.core.quality.vendor_findings import vendor_findings
from quantx.core.quality.vendor_verdicts import (
    Witness,
    agreements_of,
    decide,
    one_per_bar,
    verdicts_of,
    witness_of_returns,
)
from quantx.core.symbols import venue_of
from quantx.core.tables import ACTIONS, AGREEMENTS, BARS_1D, BARS_1D_ADJUSTED, VERDICTS
from quantx.lake.protocol import CommitContext
from quantx.pipeline.curating.compaction import MOST_FILES
from quantx.pipeline.curating.restate import restate
from quantx.pipeline.runtime.platform import Platform
from quantx.state.port import Hold

log = structlog.get_logger()

_SYMBOLS_AT_ONCE = 200  # of 15 years and three vendors: 2.3 million rows
_OVER = "it does not hold any more"


@dataclass(frozen=True)
class Reconciled:
    """What a reconciliation has compared and found, over all pairs."""

    symbols: int = 0
    sessions: int = 0
    agreed: int = 0
    wrong: int = 0  # bars
    doubtful: int = 0  # bars
    findings: int = 0


@dataclass(frozen=True)
class Pair:
    """Two vendors compared over symbols of one calendar, and who is right in each odd row."""

    a: str
    b: str
    market: str
    compared: Comparison
    judged: pl.DataFrame


def reconcile(
    platform: Platform, symbols: Collection[str] | None = None, since: date | None = None
) -> Reconciled | None:
    """Compare all pairs of vendors over these symbols (or all), and restate agreements, verdicts and findings.

    With `since`, from that day's month on. What is said a second time changes nothing; what does not hold any more goes to
    the revisions, and its finding is resolved: also of a symbol that has bars of one vendor only by now. Where no symbol
    has, or had, bars of two vendors, no bars are read. None where another process is at it.
    """
    several = {symbol for symbol, sources in vendors_of(platform).items() if len(sources) > 1}
    known = {s for s in several | _told_of(platform) if symbols is None or s in symbols}
    if not known:
        return Reconciled()
    with platform.state.exclusive("reconciler") as mine:
        if mine is None:
            return None
        return _reconcile(platform, mine, sorted(known), None if since is None else since.replace(day=1))


def vendors_of(platform: Platform) -> dict[str, tuple[str, ...]]:
    """Return the vendors from which the lake has daily bars of each symbol, by name; no table is read."""
    found: dict[str, set[str]] = defaultdict(set)
    for series in platform.state.series.manifest():
        if (series["dataset"], series["timeframe"]) == ("bars", "1d") and series["first_session"] is not None:
            found[series["symbol"]].add(series["source"])
    return {symbol: tuple(sorted(sources)) for symbol, sources in found.items()}


def _told_of(platform: Platform) -> set[str]:
    """Return the symbols of which something is stored; their column alone is read."""
    tables = [platform.tables[table.name] for table in (VERDICTS, AGREEMENTS)]
    return {symbol for table in tables for symbol in table.collect(table.scan().select("symbol").unique())["symbol"]}


def compare_vendors(
    platform: Platform, symbols: Sequence[str], start: date | None = None, end: date | None = None
) -> Iterator[Pair]:
    """Compare all pairs of vendors over these symbols; the other vendors, whoever they are, decide."""
    for at in range(0, len(symbols), _SYMBOLS_AT_ONCE):
        some = symbols[at : at + _SYMBOLS_AT_ONCE]
        bars = _read(platform, BARS_1D.name, "date", some, start, end)
        adjusted = _read(platform, BARS_1D_ADJUSTED.name, "date", some, start, end)
        actions = _read(platform, ACTIONS.name, "ex_date", some, start, None)
        # The events of one vendor: two may date one event differently, and both together would adjust twice.
        actions = of_one_source(actions, ["symbol"], partial(platform.settings.sources_of, "1d"))
        for code, market in sorted({(venue_of(s).calendar, venue_of(s).market) for s in some}):
            here = pl.col("symbol").is_in([s for s in some if venue_of(s).calendar == code])
            traded, returns = _by_source(bars.filter(here)), _by_source(adjusted.filter(here))
            for a, b in combinations(sorted(traded), 2):
                yield _pair(a, b, market, code, traded, returns, actions)


def _reconcile(platform: Platform, role: Hold, symbols: Sequence[str], since: date | None) -> Reconciled:
    now = platform.clock.now()
    # A month more is read, so that what happens at the month's beginning has something before it.
    start = None if since is None else (since - timedelta(days=1)).replace(day=1)
    months = pl.lit(True) if since is None else pl.col("month") >= since.year * 100 + since.month
    agreed, doubted = [AGREEMENTS.empty()], [VERDICTS.empty()]
    for pair in compare_vendors(platform, symbols, start):
        judged = pair.judged.filter(months)
        compared = Comparison(pair.compared.months.filter(months), judged)
        agreed.append(agreements_of(compared, judged, pair.a, pair.b, pair.market, now))
        doubted.append(verdicts_of(judged, pair.a, pair.b, now))
    agreements, verdicts = pl.concat(agreed), one_per_bar(pl.concat(doubted))
    here = pl.col("symbol").is_in(symbols)
    days = pl.lit(True) if since is None else pl.col("date") >= since
    role.confirm()
    # Verdicts first: findings and readers go by them.
    for table, rows, part in ((VERDICTS, verdicts, days), (AGREEMENTS, agreements, months)):
        stored = platform.tables[table.name].read(here & part)
        restate(platform.tables, table, stored, rows, now)
        for name in (table.name, table.revisions.name):
            platform.tables[name].fold(CommitContext(0), MOST_FILES)
    done = Reconciled(
        symbols=len(symbols),
        sessions=int(agreements["sessions"].sum()),
        agreed=int(agreements["agreed"].sum()),
        wrong=verdicts.filter(pl.col("verdict") == "wrong").height,
        doubtful=verdicts.filter(pl.col("verdict") == "doubtful").height,
        findings=_note(platform, symbols),
    )
    log.info("vendors.reconciled", **vars(done))
    return done


def _note(platform: Platform, symbols: Sequence[str]) -> int:
    """Note the findings that follow from what is stored now, and resolve the others; return how many hold."""
    here, lacking = pl.col("symbol").is_in(symbols), (pl.col("lacking_a") > 0) | (pl.col("lacking_b") > 0)
    found = vendor_findings(
        platform.tables[VERDICTS.name].read(here), platform.tables[AGREEMENTS.name].read(here & lacking)
    )
    rules = [rule.id for rule in VENDOR_RULES]
    platform.state.findings.restate(rules, None, None, found, _OVER, symbols)
    return len(found)


def _pair(
    a: str,
    b: str,
    market: str,
    code: str,
    traded: Mapping[str, pl.DataFrame],
    returns: Mapping[str, pl.DataFrame],
    actions: pl.DataFrame,
) -> Pair:
    compared = compare(traded[a], traded[b], market, calendar(code))
    odd = add_causes(compared.odd, calendar(code))
    if odd.is_empty():
        return Pair(a, b, market, compared, decide(odd, [], market))
    witnesses = [Witness(name, bars) for name, bars in traded.items() if name not in (a, b)]
    if returns:
        common = traded[a].join(traded[b], on=["symbol", "date"], how="semi")
        witnesses += [witness_of_returns(name, bars, common, odd, actions) for name, bars in returns.items()]
    in_error = _in_error(traded[a], odd, actions), _in_error(traded[b], odd, actions)
    return Pair(a, b, market, compared, decide(odd, witnesses, market, in_error))


def _in_error(bars: pl.DataFrame, odd: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return the days on which the rules of series call a vendor's bar wrong, of the symbols about which there is a question."""
    asked = pl.col("symbol").is_in(odd["symbol"].unique().implode())
    return bars_in_error(check_series(bars.filter(asked), actions.filter(asked)))


def _by_source(bars: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(source): comparable(part) for (source,), part in bars.group_by("source")}


def _read(
    platform: Platform, name: str, day: str, symbols: Sequence[str], start: date | None, end: date | None
) -> pl.DataFrame:
    wanted = pl.col("symbol").is_in(symbols)
    for edge, first in ((start, True), (end, False)):
        if edge is not None:
            wanted &= pl.col(day) >= edge if first else pl.col(day) <= edge
            if "year" in platform.tables[name].table.schema:
                wanted &= pl.col("year") >= edge.year if first else pl.col("year") <= edge.year
    return platform.tables[name].read(wanted)
