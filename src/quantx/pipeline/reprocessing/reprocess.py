"""Reprocessing: derive the curated tables again from the raw zone, after a rule, an adapter or a decision has changed.

The replies of a series are applied in the order of fetching, through the curator's own code, to tables in memory. Then
the stored tables are changed to equal them. So they are what the curator would have made had today's rules been there
from the start. A row is known from the moment at which the vendor delivered it, or from the manual decision that
accepted it: readers with `as_of` see at each moment what today's rules would have let them see. Rows of earlier rules
stay in the revisions with an empty period (`known_to` equal to `known_from`), which no moment sees.

Work is done in batches of symbols, each with its own commits: the state first, then revisions, then tables. A kill
in between leaves a difference, which the next reprocessing finds. Without a difference nothing is committed. After a
conflict with another committer the role is taken again, and the batch is derived and compared again. The findings about
adjusted closes follow their proofs; the caller runs the other inspections of the changed symbols.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import structlog

from quantx.core.model import Series, StoredReply
from quantx.core.quality.adjustments import ADJUSTMENT_RULES
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import Table
from quantx.core.tables import ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE
from quantx.core.tombstones import Deleted
from quantx.errors import Busy, ConfigError
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.raw import parse_raw_path
from quantx.pipeline.curating.adjustment_proofs import disagreements
from quantx.pipeline.curating.curator import Curator
from quantx.pipeline.curating.derive import (
    BARS,
    curated_tables,
    derive,
    derived_tables,
    recent_bars,
    series_facts,
)
from quantx.pipeline.curating.read_ahead import ReadAhead, ReadRound
from quantx.pipeline.curating.schema_drift import ComparedReply, note_drift
from quantx.pipeline.reprocessing.inventory import Inventory, in_rounds, take_inventory
from quantx.pipeline.reprocessing.summary import ReprocessSummary
from quantx.pipeline.reprocessing.table_changes import Change, change_of, quarantine_change_of, revisions_change_of
from quantx.pipeline.runtime.raw_place import RAW_STEP, raw_url
from quantx.pipeline.runtime.roles import RoleHolder, committing
from quantx.state.replies.port import Holding, Replies
from quantx.state.runs.port import Runs
from quantx.state.series.port import SeriesBook, SeriesFacts, SeriesProgress, Sessions

log = structlog.get_logger()

_BATCH_BYTES, _BATCH_REPLIES = 32_000_000, 50_000  # of replies: they bound the size of a batch's tables in memory
_BARS: dict[str, tuple[Table, ...]] = {"1d": (BARS_1D, BARS_1D_ADJUSTED), "1m": (BARS_1M,)}


@dataclass(frozen=True, kw_only=True)
class _Rederived:
    """The tables that a vendor's replies about some symbols make, and the facts that they prove."""

    source: str
    tables: Mapping[str, pl.DataFrame]
    facts: Sequence[SeriesFacts]
    series: frozenset[Series]
    compared: Sequence[ComparedReply]
    read: pl.DataFrame  # symbol and raw of each reply that could be read
    lost: pl.DataFrame  # the same of the others


@dataclass(frozen=True, kw_only=True)
class Reprocessor:
    """Derives tables again: with the curator's tables, policy and role, from the replies that the state has."""

    curator: Curator
    runs: Runs
    replies: Replies
    series: SeriesBook

    def reprocess(
        self,
        symbols: Collection[str] | None = None,
        source: str | None = None,
        *,
        dry_run: bool = False,
        on_batch: Callable[[int, int], None] = lambda done, of: None,
    ) -> ReprocessSummary:
        """Derive the tables of some symbols (or all) at one vendor (or all) again; return the changes.

        `dry_run`: change nothing. Raises Busy where another process curates. A symbol whose stored row has no readable
        reply any more stays unchanged.
        """
        done = ReprocessSummary(policy=self.curator.policy.version, dry_run=dry_run)

        def carry_out(holder: RoleHolder | None) -> ReprocessSummary:
            return self.reprocess_held(self.begin(holder, dry_run), symbols, source, done=done, on_batch=on_batch)

        return committing(self.curator.role, carry_out)

    def begin(self, holder: RoleHolder | None, dry_run: bool = False) -> RoleHolder:
        """Prepare to change tables under the curator's role; raises Busy where another process has it."""
        if holder is None:
            raise Busy("another process is curating; try again when it has ended")
        if not dry_run:
            self.curator.finish_interrupted_round(holder)
        return holder

    def reprocess_held(
        self,
        holder: RoleHolder,
        symbols: Collection[str] | None,
        source: str | None,
        *,
        done: ReprocessSummary | None = None,
        on_batch: Callable[[int, int], None] = lambda done, of: None,
    ) -> ReprocessSummary:
        """Do what `reprocess` does, for a caller that holds the curator's role.

        `done` is the summary of an attempt that ended with a conflict: its symbols are not derived again.
        """
        done = done or ReprocessSummary(policy=self.curator.policy.version)
        inventory = take_inventory(self.curator.location, self.replies, self.runs, source, symbols)
        has_bars = any(self.curator.tables[t.name].version() is not None for t in (BARS_1D, BARS_1M))
        policy, done.mute = self.curator.row_policy(), dict(inventory.unlisted)
        is_all = symbols is None and source is None and not policy.deleted
        if is_all and has_bars and not (inventory.holdings or inventory.unlisted):
            raise ConfigError(f"the lake has bars and no raw object is in {raw_url(self.curator.location)}; {RAW_STEP}")
        for symbol in sorted(set(symbols or ()) - {held.symbol for held in inventory.holdings}):
            done.left[source or "any source", symbol] = "the raw zone has no reply about it"
        batches = list(
            _batches([held for held in inventory.holdings if (held.source, held.symbol) not in done.derived])
        )
        for number, batch in enumerate(batches):
            on_batch(number, len(batches))
            self._reprocess_batch(holder, batch, inventory, policy, done)
        on_batch(len(batches), len(batches))
        log.info("reprocessed", symbols=done.symbols, commits=done.commits, left=len(done.left))
        return done

    def _reprocess_batch(
        self,
        holder: RoleHolder,
        batch: Sequence[Holding],
        inventory: Inventory,
        policy: RowPolicy,
        done: ReprocessSummary,
    ) -> None:
        source, names = batch[0].source, [held.symbol for held in batch]
        rederived = self._derive(source, self._replies(inventory, source, names, policy.deleted), policy)
        versions = {table.name: self.curator.tables[table.name].version() for table in derived_tables()}
        changes = self._compare(rederived, names, done, policy)
        done.touch(changes)
        holder.confirm_lock()
        if not done.dry_run:
            self._restate(rederived, changes, [symbol for at, symbol in done.left if at == source])
            done.commits += self._commit(holder, changes, versions)
            self._note_disagreements(rederived, [name for name in names if (source, name) not in done.left])
            note_drift(self.curator.findings, rederived.compared)
        done.count(source, names, sum(held.replies for held in batch), changes)

    def _replies(
        self, inventory: Inventory, source: str, symbols: Collection[str], deleted: Deleted
    ) -> list[StoredReply]:
        """Return the replies about some symbols in the order of fetching, without deleted ones."""
        replies = self.replies.curated(source, symbols)
        replies += [x for symbol in symbols for x in inventory.earlier.get((source, symbol), ())]
        left = (x for x in replies if not deleted or deleted.of_series(x.series, x.window) is None)
        return sorted(left, key=lambda x: (x.fetched_at, x.path, x.row))

    def _derive(self, source: str, replies: Sequence[StoredReply], policy: RowPolicy) -> _Rederived:
        memory = {table.name: MemoryTable(table) for table in derived_tables()}
        tables: dict[str, CuratedTable] = {**self.curator.tables, **memory}
        facts, lost, compared = list[SeriesFacts](), list[StoredReply](), list[ComparedReply]()
        for number, part in enumerate(self._read(replies), start=1):
            derived = derive(
                tables,
                part.read,
                part.lost,
                policy,
                context=CommitContext(number),
                reader_of=self.curator.reader_of,
                normalize=self.curator.normalize,
                frames=part.frames,
            )
            facts += [fact for items, rows in derived.parts for fact in series_facts(items, rows)]
            compared += [reply for _, rows in derived.parts for reply in rows.compared]
            lost += [reply for reply, _ in part.lost]
            for table in memory.values():
                table.forget_versions()
        frames = {name: table.read().rechunk() for name, table in memory.items()}
        if not policy.decisions.is_empty():
            frames |= {t.revisions.name: _in_turn(t, frames[t.name], frames[t.revisions.name]) for t in BARS}
        away = {(x.series.symbol, x.path, x.row) for x in lost}
        return _Rederived(
            source=source,
            tables=frames,
            facts=facts,
            series=frozenset(x.series for x in replies),
            compared=compared,
            read=_origins([x for x in replies if (x.series.symbol, x.path, x.row) not in away]),
            lost=_origins(lost),
        )

    def _read(self, replies: Sequence[StoredReply]) -> Iterator[ReadRound]:
        """Yield the replies in rounds; each one but the first is read beside the work on the one before."""
        with ReadAhead(self.curator.read) as ahead:
            for part, following in pairwise([*in_rounds(replies, self.curator.round_bytes), []]):
                read = ahead.take(part)
                if self.curator.reads_ahead:
                    ahead.begin(following)
                yield read

    def _compare(
        self, rederived: _Rederived, names: Sequence[str], done: ReprocessSummary, policy: RowPolicy
    ) -> dict[str, Change]:
        """Return the changes by table, without those of symbols that have a stored row without a readable reply."""
        ours = (pl.col("source") == rederived.source) & pl.col("symbol").is_in(names)
        stored = {table.name: self.curator.tables[table.name].read(ours) for table in derived_tables()}
        strange = pl.concat(
            stored[t.name].join(rederived.read, on=["symbol", "raw"], how="anti").select("symbol", "raw")
            for t in derived_tables()
            if t is not QUARANTINE
        ).unique("symbol", maintain_order=True)
        for symbol, raw in strange.rows():
            reason = f"its raw object {raw} is missing, damaged or does not list its replies"
            if any(stone.source == rederived.source for stone in policy.deleted.stones):
                reason = f"its raw object {raw} was deleted for good, or is missing (`quantx delete --list`)"
            done.left[rederived.source, symbol] = reason
        both = [
            {name: rows.join(strange, on="symbol", how="anti") for name, rows in frames.items()}
            for frames in (rederived.tables, stored)
        ]
        changes = {}
        for table in curated_tables():
            derived, before = ((frames[table.name], frames[table.revisions.name]) for frames in both)
            changes[table.revisions.name] = revisions_change_of(table, derived, before)
            changes[table.name] = change_of(table, derived[0], before[0])
        replies = pl.concat([rederived.read, rederived.lost])
        quarantined = both[1][QUARANTINE.name].join(replies, on=["symbol", "raw"], how="semi")
        changes[QUARANTINE.name] = quarantine_change_of(both[0][QUARANTINE.name], quarantined, policy.rules.version)
        return changes

    def _commit(self, holder: RoleHolder, changes: Mapping[str, Change], versions: Mapping[str, int | None]) -> int:
        """Commit the changes, revisions before their tables; return the number of commits."""
        commits, context = 0, CommitContext(by=holder)
        for name, change in changes.items():
            if not change.empty:
                table = self.curator.tables[name]
                commits += table.commit(context, change.new, change.changed, change.gone, read_at=versions[name])
        return commits

    def _note_disagreements(self, rederived: _Rederived, symbols: Sequence[str]) -> None:
        """Record the findings about adjusted closes that the proofs show now."""
        proofs = rederived.tables[ADJUSTMENT_PROOFS.name].filter(pl.col("symbol").is_in(symbols))
        rules, reason = [rule.id for rule in ADJUSTMENT_RULES], "it is derived again, and the adjusted closes agree"
        self.curator.findings.restate(
            rules, rederived.source, ADJUSTMENT_PROOFS.name, disagreements(proofs), reason, symbols
        )

    def _restate(self, rederived: _Rederived, changes: Mapping[str, Change], left: Collection[str]) -> None:
        """Record in the state what has changed of its series and recent bars, or all of it where the state is new.

        A state that was restored from a backup of its database may not know the newest replies of a series.
        """
        sessions = dict[Series, Sessions]()
        for timeframe, tables in _BARS.items():
            of = {s.symbol: s for s in rederived.series if (s.dataset, s.timeframe) == ("bars", timeframe)}
            progress = self.series.progress(rederived.source, "bars", timeframe, sorted(of))
            touched = {symbol for t in tables for symbol in _symbols(changes[t.name])}
            spans = _spans(pl.concat(rederived.tables[t.name].select("symbol", "date") for t in tables))
            newer = _newer(rederived.facts, progress, of.values())
            moved = ((of.keys() - progress.keys()) | newer | (touched & of.keys())) - set(left)
            sessions |= {of[symbol]: spans.get(symbol, (None, None)) for symbol in moved}
        if not sessions:
            return
        symbols = {series.symbol for series in sessions}
        facts = [
            fact
            for fact in rederived.facts
            if fact.series in sessions or (fact.series.dataset == "actions" and fact.series.symbol in symbols)
        ]
        recent = {series.symbol for series in sessions if series.timeframe == "1d"}
        bars = rederived.tables[BARS_1D.name].filter(pl.col("symbol").is_in(recent))
        self.replies.restate(rederived.source, facts, sessions, recent, recent_bars(bars))


def _newer(
    facts: Sequence[SeriesFacts], progress: Mapping[str, SeriesProgress], series: Collection[Series]
) -> set[str]:
    """Return the symbols of series with a reply that was fetched after the last request that the state has."""
    last = {fact.series: fact.asked_at for fact in sorted(facts, key=lambda fact: fact.asked_at)}
    return {
        each.symbol
        for each in series
        if each in last and each.symbol in progress and (progress[each.symbol].asked_at or last[each]) < last[each]
    }


def _batches(holdings: Sequence[Holding]) -> Iterator[list[Holding]]:
    """Yield symbols of one vendor: as many as memory allows, but at least one."""
    by_source = defaultdict[str, list[Holding]](list)
    for each in holdings:
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


def _in_turn(table: Table, rows: pl.DataFrame, revisions: pl.DataFrame) -> pl.DataFrame:
    """End each revision of a key where the next value of the key begins.

    A row that a decision accepts is known from the decision on: later than the values of other replies before it.
    """
    key = list(table.key)
    begins = pl.concat(each.select(*key, "known_from") for each in (rows, revisions)).unique().sort("known_from")
    begins = begins.with_columns(pl.col("known_from").shift(-1).over(key).alias("next"))
    joined = revisions.join(begins, on=[*key, "known_from"], how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(pl.min_horizontal("known_to", "next").alias("known_to")).drop("next")


def _origins(replies: Sequence[StoredReply]) -> pl.DataFrame:
    pairs = {(x.series.symbol, parse_raw_path(x.path)[2]) for x in replies}
    return pl.DataFrame(sorted(pairs), schema={"symbol": pl.String, "raw": pl.String}, orient="row")


def _symbols(change: Change) -> set[str]:
    return {*change.new["symbol"], *change.changed["symbol"], *change.gone["symbol"]}


def _spans(bars: pl.DataFrame) -> dict[str, Sessions]:
    spans = bars.group_by("symbol").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    return {symbol: (first, last) for symbol, first, last in spans.iter_rows()}
