"""Deriving the curated tables again from the raw zone, after a rule, a normaliser or a decision has changed.

The replies of a series are applied in the order of fetching, through the curator's own code, to tables in memory; then
the stored tables are made to say the same. So they are what the curator would have made had today's rules been there
from the start: a row is known from the moment at which the vendor told us (one that somebody accepted: from that decision
on), and readers with `as_of` see at each moment what today's rules would have let them see. What was believed under other rules stays in the revisions, with
an empty period (`known_to` equal to `known_from`), which no moment sees.

Work is done in batches of symbols, each with its own commits: the state first, then revisions, then tables. A kill
in between leaves a difference, which the next reprocessing finds; where there is no difference, nothing is committed.
The findings about adjusted closes follow their proofs; the other looks at what has changed are for the caller to run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl
import structlog

from quantx.core.model import Series, StoredReply
from quantx.core.quality.adjustments import ADJUSTMENT_RULES
from quantx.core.quality.row_policy import Judge
from quantx.core.tables import ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE, Table
from quantx.errors import Busy
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import parse_raw_path
from quantx.pipeline.curating.adjustment_proofs import disagreements
from quantx.pipeline.curating.curator import finish_begun
from quantx.pipeline.curating.derive import BARS, CURATED, DERIVED, derive, recent_bars, series_facts
from quantx.pipeline.curating.stored_replies import in_rounds, read_replies, take_stock
from quantx.pipeline.reprocessing.difference import Change, change_of, quarantine_change_of, revisions_change_of
from quantx.pipeline.reprocessing.summary import Reprocessed
from quantx.pipeline.runtime.context import confirm_lake
from quantx.pipeline.runtime.platform import Platform
from quantx.state.port import Hold
from quantx.state.replies.port import Holding
from quantx.state.series.port import SeriesFacts, Sessions

log = structlog.get_logger()

_BATCH_BYTES, _BATCH_REPLIES = 32_000_000, 50_000  # what one batch's tables in memory are made of
_ROUND_BYTES = 18_000_000  # of replies that are read at once
_BARS: dict[str, tuple[Table, ...]] = {"1d": (BARS_1D, BARS_1D_ADJUSTED), "1m": (BARS_1M,)}


def reprocess(
    platform: Platform,
    symbols: Collection[str] | None = None,
    source: str | None = None,
    *,
    dry_run: bool = False,
    on_batch: Callable[[int, int], None] = lambda done, of: None,
) -> Reprocessed:
    """Derive the tables of some symbols (or of all) at one vendor (or at all) again; `dry_run`: only say what would change.

    Busy where another process curates. A symbol of which a stored row's reply can't be read any more is left as it is.
    """
    with platform.state.exclusive("curator") as mine:
        return reprocess_held(platform, begin(platform, mine, dry_run), symbols, source, dry_run, on_batch)


def begin(platform: Platform, mine: Hold | None, dry_run: bool = False) -> Hold:
    """Begin to change tables under the curator's role; Busy where somebody else has it."""
    if mine is None:
        raise Busy("another process is curating; try again when it has ended")
    confirm_lake(platform.location, platform.state)
    if not dry_run:
        finish_begun(platform)
    return mine


def reprocess_held(
    platform: Platform,
    mine: Hold,
    symbols: Collection[str] | None,
    source: str | None,
    dry_run: bool = False,
    on_batch: Callable[[int, int], None] = lambda done, of: None,
) -> Reprocessed:
    """Do what `reprocess` does, for who has the curator's role."""
    stock, judge = take_stock(platform, source, symbols), platform.judge()
    done = Reprocessed(platform.policy.version, dry_run=dry_run, mute=dict(stock.mute))
    for symbol in sorted(set(symbols or ()) - {held.symbol for held in stock.held}):
        done.left[source or "any source", symbol] = "the raw zone has no reply about it"
    batches = list(_batches(stock.held))
    for number, batch in enumerate(batches):
        on_batch(number, len(batches))
        where, names = batch[0].source, [held.symbol for held in batch]
        again = _derive(platform, where, stock.replies(platform, where, names), judge)
        changes = _compare(platform, again, names, done)
        done.count(len(names), sum(held.replies for held in batch), changes)
        mine.confirm()
        if not dry_run:
            _restate(platform, again, changes, [symbol for at, symbol in done.left if at == where])
            done.commits += _commit(platform, changes)
            _tell(platform, again, [name for name in names if (where, name) not in done.left])
    on_batch(len(batches), len(batches))
    log.info("reprocessed", symbols=done.symbols, commits=done.commits, left=len(done.left))
    return done


def _batches(held: Sequence[Holding]) -> Iterator[list[Holding]]:
    """Yield symbols of one vendor, as many as memory bears, but at least one."""
    by_source = defaultdict[str, list[Holding]](list)
    for each in held:
        by_source[each.source].append(each)
    for some in by_source.values():
        batch, size, replies = list[Holding](), 0, 0
        for each in some:
            size, replies = size + each.size, replies + each.replies
            if batch and (size > _BATCH_BYTES or replies > _BATCH_REPLIES):
                yield batch
                batch, size, replies = [], each.size, each.replies
            batch.append(each)
        yield batch


@dataclass(frozen=True)
class _Again:
    """The tables that a vendor's replies about some symbols make, and what the replies have proved."""

    source: str
    tables: dict[str, pl.DataFrame]
    facts: Sequence[SeriesFacts]
    series: frozenset[Series]
    read: pl.DataFrame  # symbol and raw of each reply that could be read
    lost: pl.DataFrame  # the same of the others


def _derive(platform: Platform, source: str, replies: Sequence[StoredReply], judge: Judge) -> _Again:
    tables = {table.name: MemoryTable(table) for table in DERIVED}
    scratch = replace(platform, tables={**platform.tables, **tables})
    facts, lost = list[SeriesFacts](), list[StoredReply]()
    for number, part in enumerate(in_rounds(replies, _ROUND_BYTES), start=1):
        read, missing = read_replies(platform, part)
        derived = derive(scratch, CommitContext(number), read, missing, judge)
        facts += [fact for items, rows in derived.parts for fact in series_facts(items, rows)]
        lost += [reply for reply, _ in missing]
        for table in tables.values():
            table.forget_versions()
    found = {name: table.read().rechunk() for name, table in tables.items()}
    if not judge.decisions.is_empty():
        found |= {t.revisions.name: _in_turn(t, found[t.name], found[t.revisions.name]) for t in BARS}
    away = {(x.series.symbol, x.path, x.row) for x in lost}
    return _Again(
        source,
        found,
        facts,
        frozenset(x.series for x in replies),
        read=_origins([x for x in replies if (x.series.symbol, x.path, x.row) not in away]),
        lost=_origins(lost),
    )


def _in_turn(table: Table, rows: pl.DataFrame, revisions: pl.DataFrame) -> pl.DataFrame:
    """Let no belief of a key last beyond the beginning of the next.

    A row that somebody accepted is known from the decision on: later than what other replies told before it.
    """
    key = list(table.key)
    begins = pl.concat(each.select(*key, "known_from") for each in (rows, revisions)).unique().sort("known_from")
    begins = begins.with_columns(pl.col("known_from").shift(-1).over(key).alias("next"))
    told = revisions.join(begins, on=[*key, "known_from"], how="left", nulls_equal=True, maintain_order="left")
    return told.with_columns(pl.min_horizontal("known_to", "next").alias("known_to")).drop("next")


def _origins(replies: Sequence[StoredReply]) -> pl.DataFrame:
    pairs = {(x.series.symbol, parse_raw_path(x.path)[2]) for x in replies}
    return pl.DataFrame(sorted(pairs), schema={"symbol": pl.String, "raw": pl.String}, orient="row")


def _compare(platform: Platform, again: _Again, names: Sequence[str], done: Reprocessed) -> dict[str, Change]:
    """Return what has to change, by table; symbols with a stored row whose reply can't be read any more are left out."""
    ours = (pl.col("source") == again.source) & pl.col("symbol").is_in(names)
    stored = {table.name: platform.tables[table.name].read(ours) for table in DERIVED}
    strange = pl.concat(
        stored[t.name].join(again.read, on=["symbol", "raw"], how="anti").select("symbol", "raw")
        for t in (*CURATED, *(t.revisions for t in CURATED))
    ).unique("symbol", maintain_order=True)
    for symbol, raw in strange.rows():
        done.left[again.source, symbol] = f"its raw object {raw} is missing, damaged or does not say what it answers"
    both = [
        {name: rows.join(strange, on="symbol", how="anti") for name, rows in frames.items()}
        for frames in (again.tables, stored)
    ]
    changes = {}
    for table in CURATED:
        derived, there = ((frames[table.name], frames[table.revisions.name]) for frames in both)
        changes[table.revisions.name] = revisions_change_of(table, derived, there)
        changes[table.name] = change_of(table, derived[0], there[0])
    known = pl.concat([again.read, again.lost])
    judged = both[1][QUARANTINE.name].join(known, on=["symbol", "raw"], how="semi")
    changes[QUARANTINE.name] = quarantine_change_of(both[0][QUARANTINE.name], judged, platform.policy.version)
    return changes


def _commit(platform: Platform, changes: dict[str, Change]) -> int:
    """Commit what has to change, revisions before their tables; return how many commits it were."""
    commits = 0
    for name, change in changes.items():
        if not change.empty:
            table = platform.tables[name]
            context = CommitContext(table.committed_round() + 1)
            commits += table.commit(context, change.new, change.changed, change.gone)
    return commits


def _tell(platform: Platform, again: _Again, symbols: Sequence[str]) -> None:
    """Let the findings about adjusted closes say what the proofs say now."""
    proofs = again.tables[ADJUSTMENT_PROOFS.name].filter(pl.col("symbol").is_in(symbols))
    rules, reason = [rule.id for rule in ADJUSTMENT_RULES], "it is derived again, and the adjusted closes agree"
    platform.state.findings.restate(rules, again.source, ADJUSTMENT_PROOFS.name, disagreements(proofs), reason, symbols)


def _restate(platform: Platform, again: _Again, changes: dict[str, Change], left: Collection[str]) -> None:
    """Tell the state what has changed of its series and recent bars, or all of it where the state is a new one."""
    sessions = dict[Series, Sessions]()
    for timeframe, tables in _BARS.items():
        of = {s.symbol: s for s in again.series if (s.dataset, s.timeframe) == ("bars", timeframe)}
        known = platform.state.series.progress(again.source, "bars", timeframe, sorted(of))
        touched = {symbol for t in tables for symbol in _symbols(changes[t.name])}
        spans = _spans(pl.concat(again.tables[t.name].select("symbol", "date") for t in tables))
        moved = ((of.keys() - known.keys()) | (touched & of.keys())) - set(left)
        sessions |= {of[symbol]: spans.get(symbol, (None, None)) for symbol in moved}
    if not sessions:
        return
    symbols = {series.symbol for series in sessions}
    facts = [
        f for f in again.facts if f.series in sessions or (f.series.dataset == "actions" and f.series.symbol in symbols)
    ]
    recent = {series.symbol for series in sessions if series.timeframe == "1d"}
    bars = again.tables[BARS_1D.name].filter(pl.col("symbol").is_in(recent))
    platform.state.replies.restate(again.source, facts, sessions, recent, recent_bars(bars))


def _symbols(change: Change) -> set[str]:
    return {*change.new["symbol"], *change.changed["symbol"], *change.gone["symbol"]}


def _spans(bars: pl.DataFrame) -> dict[str, Sessions]:
    spans = bars.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    return {symbol: (first, last) for symbol, first, last in spans.iter_rows()}
