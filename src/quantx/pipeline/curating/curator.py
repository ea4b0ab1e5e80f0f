"""The curator: stored replies → rows → one commit per table → coverage, watermarks, hot bars.

One process at a time holds the role: a lock that the state frees when its holder dies, and an epoch in the lake. The
curator works in rounds. The state fixes a round's replies before it begins, and its number is Delta's transaction
version: an interrupted round is repeated with the same input, and a table that has it already stays unchanged. After a
conflict with another committer everything is taken again: the role, the round, the rows and the merge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import polars as pl
import structlog

from quantx.core.fact_tables import FUNDAMENTALS_FACTS
from quantx.core.fundamentals.concept_map import ConceptMap
from quantx.core.merge import Merge
from quantx.core.model import Clock, StoredReply
from quantx.core.quality.operational_rules import EVENTS_MISSING
from quantx.core.quality.policy import Policy
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, DECISIONS
from quantx.lake.one_state import one_state
from quantx.lake.protocol import CommitContext, Tables
from quantx.lake.store import LakeLocation
from quantx.lake.tombstones import deleted_of, reopen
from quantx.pipeline.curating.adjustment_findings import note_disagreements
from quantx.pipeline.curating.compaction import compact_minutes, fold_tables
from quantx.pipeline.curating.derive import BARS, Derived, derive, derived_tables, recent_bars, series_facts
from quantx.pipeline.curating.held_replies import HELD_BACK, note_held_replies
from quantx.pipeline.curating.normalize import Normalize, ReaderOf, Rows, normalize_round
from quantx.pipeline.curating.read_ahead import ReadAhead, ReadRound, read_round, read_round_in_frames
from quantx.pipeline.curating.repeated_rows import note_repeats
from quantx.pipeline.curating.schema_drift import note_drift
from quantx.pipeline.curating.stored_replies import Lost, ReadReply
from quantx.pipeline.curating.withdrawn_bars import WithdrawnBars
from quantx.pipeline.runtime.roles import RoleHolder, committing, tables_of
from quantx.state.findings.port import Findings
from quantx.state.rounds.port import Rounds, TaskResult
from quantx.state.series.port import SeriesBook
from quantx.state.tasks.port import Tasks
from quantx.tracing import shared_span

log = structlog.get_logger()

# A third of a round is worth one while there is still something to fetch. Less is, down to a megabyte, where no more is
# to be fetched than waits: so each of the last rounds is half of the one before, and little is left for the end.
_WORTH, _LITTLE = 3, 18


@dataclass(frozen=True, kw_only=True)
class Curator:
    """Turns stored replies into rows of the curated tables, under the curator's role."""

    clock: Clock
    location: LakeLocation
    tables: Tables
    role: Callable[[], AbstractContextManager[RoleHolder | None]]  # None: another process has it
    rounds: Rounds
    series: SeriesBook
    findings: Findings
    policy: Policy
    concepts: ConceptMap
    reader_of: ReaderOf
    max_attempts: int  # of a task whose stored reply is lost
    round_bytes: int  # of replies; with their number, this bounds the memory of a round
    round_replies: int
    few_left: Callable[[int], bool] = lambda most: False  # whether at most so many tasks are still to be fetched
    normalize: Normalize = normalize_round
    reads_ahead: bool = False  # the next round, into frames, beside the one that is committed: not by `normalize`

    def curate(self, *, everything: bool, stopping: Callable[[], bool] = lambda: False) -> int:
        """Curate the stored replies; return how many rows are new or changed.

        Does nothing where another process has the role, or where too little has landed and `everything` is false. Ends
        after the round in which `stopping` turns true.
        """
        if stopping() or not self._is_worth_it(everything):
            return 0
        rows: list[int] = []  # of each round, also of those before a conflict
        committing(self.role, partial(self._curate_held, rows, everything=everything, stopping=stopping))
        return sum(rows)

    def _curate_held(
        self, rows: list[int], holder: RoleHolder | None, *, everything: bool, stopping: Callable[[], bool]
    ) -> None:
        if holder is None:
            return
        above: int | None = None
        with one_state(tables_of("curator", self.tables)), ReadAhead(self.read) as ahead:
            while self._is_worth_it(everything):
                above = self._last_round(holder) if above is None else above
                round_id = self._next_round(above)
                if round_id is None:
                    break
                replies = self.rounds.replies(round_id)
                with shared_span("round", [reply.run_id for reply in replies], round=round_id, replies=len(replies)):
                    read = ahead.take(replies)
                    if self.reads_ahead and not stopping():
                        ahead.begin(self._upcoming(replies, everything))
                    rows.append(self._curate_round(holder, round_id, replies, read))
                    del read
                if stopping():
                    break
                holder.confirm_lock()
            if everything and not stopping():
                fold_tables(self.tables, holder)
                compact_minutes(self.tables[BARS_1M.name], holder, self.clock.now(), stopping=stopping)

    def finish_interrupted_round(self, holder: RoleHolder) -> None:
        """Finish the round that was interrupted, if there is one, before the role is used for other commits.

        A round depends on the rows that other commits change.
        """
        round_id = self.rounds.unfinished()
        if round_id is not None:
            replies = self.rounds.replies(round_id)
            self._curate_round(holder, round_id, replies, self.read(replies))

    def row_policy(self) -> RowPolicy:
        """Return the rules, with the manual decisions and the tombstones as they are now."""
        decisions = self.tables[DECISIONS.name].read()
        return RowPolicy(self.policy, decisions, self.concepts, deleted_of(self.location))

    def _is_worth_it(self, everything: bool) -> bool:
        replies, size = self.rounds.waiting()
        if everything or replies == 0:
            return replies > 0
        if size >= self.round_bytes // _WORTH or replies >= self.round_replies // _WORTH:
            return True
        return size >= self.round_bytes // _LITTLE and self.few_left(replies)

    def _last_round(self, holder: RoleHolder) -> int:
        """Return the last round that one of the curator's tables has; a lake may be newer than a restored state."""
        return max(self.tables[table.name].committed_round(holder.state_id) for table in derived_tables())

    def _next_round(self, above: int) -> int | None:
        """Return the interrupted round, or a new one with the oldest replies; None where no reply waits."""
        unfinished = self.rounds.unfinished()
        if unfinished is not None:
            return unfinished
        if self.rounds.waiting()[0] == 0:
            return None
        return self.rounds.start(above, self.round_bytes, self.round_replies)

    def read(self, replies: Sequence[StoredReply]) -> ReadRound:
        """Read replies from the raw zone, and those of bars and events into frames where rounds are read ahead."""
        if self.reads_ahead:
            return read_round_in_frames(self.location, replies, self.reader_of)
        return read_round(self.location, replies)

    def _upcoming(self, replies: Sequence[StoredReply], everything: bool) -> list[StoredReply]:
        """Return the replies of the round after the one with `replies`; none where it is too large, or not full yet.

        A round that is not full may get more replies while others still fetch.
        """
        upcoming = self.rounds.upcoming(self.round_bytes, self.round_replies)
        size = sum(reply.size for reply in upcoming)
        is_full = size >= self.round_bytes or len(upcoming) == self.round_replies
        fits = size + sum(reply.size for reply in replies) <= 2 * self.round_bytes  # of both rounds
        return upcoming if fits and (everything or is_full) else []

    def _curate_round(self, holder: RoleHolder, round_id: int, replies: Sequence[StoredReply], read: ReadRound) -> int:
        runs, raws = sorted({x.run_id for x in replies}), sorted({x.path for x in replies})
        policy = self.row_policy()
        for stone in {stone for x in replies if (stone := policy.deleted.of_series(x.series, x.window)) is not None}:
            reopen(self.location, stone)  # planned before it was deleted: its raw object is removed by the next sweep
        derived = derive(
            self.tables,
            read.read,
            read.lost,
            policy,
            context=CommitContext(round_id, runs, raws, holder),
            reader_of=self.reader_of,
            normalize=self.normalize,
            frames=read.frames,
        )
        results = [*_results(derived), *self._lost_results(read.lost)]
        facts = [fact for items, rows in derived.parts for fact in series_facts(items, rows)]
        self._note_findings(derived)
        daily = derived.merged[BARS_1D.name]
        self.rounds.finish(round_id, results, facts, recent_bars(pl.concat([daily.new, daily.changed])))
        return _logged(round_id, len(replies), derived)

    def _lost_results(self, lost: Sequence[Lost]) -> list[TaskResult]:
        return [
            TaskResult(reply.task_id, "pending", "DamagedObject", reason, max_attempts=self.max_attempts)
            for reply, reason in lost
            if reply.malformed is None
        ]

    def _note_findings(self, derived: Derived) -> None:
        self.findings.note([finding for _, rows in derived.parts for finding in rows.findings])
        for items, rows in derived.parts:
            note_repeats(self.findings, items, rows.table, rows.findings)
            source = items[0].stored.series.source
            rows.events.note(self.findings, source)
            if rows.table == BARS_1D.name:
                note_held_replies(self.findings, source, rows.coverage, rows.held)
        note_disagreements(self.findings, [rows.proofs for _, rows in derived.parts])
        note_drift(self.findings, [reply for _, rows in derived.parts for reply in rows.compared])
        WithdrawnBars(tables=self.tables, series=self.series, findings=self.findings).note(derived.parts)
        events = [(item, rows) for items, rows in derived.parts if rows.table == ACTIONS.name for item in items]
        if came := [item.symbol for item, rows in events if item.symbol in rows.coverage]:
            self.findings.resolve(EVENTS_MISSING, came, "the events have come")


def curate_left(curator: Curator, tasks: Tasks) -> int:
    """Curate what has landed where no worker is left to do it; return how many rows are new or changed."""
    counts = tasks.count()
    if counts.get("leased", 0) or not counts.get("landed", 0):
        return 0
    return curator.curate(everything=True)


def _logged(round_id: int, replies: int, derived: Derived) -> int:
    """Log a round; return how many bars and facts are new or changed."""
    bars = [derived.merged[table.name] for table in (*BARS, FUNDAMENTALS_FACTS)]
    new, changed = sum(m.new.height for m in bars), sum(m.changed.height for m in bars)
    log.info(
        "round.curated",
        round=round_id,
        payloads=replies,
        new=new,
        changed=changed,
        same=sum(m.same for m in bars),
        rejected=derived.rejected.height,
    )
    return new + changed


def _results(derived: Derived) -> list[TaskResult]:
    """Return how each task of the read replies ended."""
    return [
        result
        for items, rows in derived.parts
        for result in _task_results(items, rows, derived.merged[rows.table], derived.rejected)
    ]


def _task_results(items: Sequence[ReadReply], rows: Rows, merged: Merge, rejected: pl.DataFrame) -> list[TaskResult]:
    """Return the results of one source's tasks; `merged` and `rejected` may hold rows of other vendors, too."""
    source = items[0].stored.series.source

    def count(frame: pl.DataFrame) -> dict[str, int]:
        if frame.is_empty():
            return {}
        return dict(frame.filter(pl.col("source") == source)["symbol"].value_counts().iter_rows())

    new, changed, total = count(merged.new), count(merged.changed), count(rows.tables[rows.table])
    bad = count(rejected.filter(pl.col("dataset") == rows.table))
    results = []
    for item in items:
        if item.stored.malformed is not None:  # evidence: its task goes on
            continue
        error, held = rows.malformed.get(item.stored.task_id), rows.held.get(item.stored.task_id)
        if held is not None:  # no coverage: the next run plans its sessions again
            results.append(TaskResult(item.stored.task_id, "done", HELD_BACK, held.message))
            continue
        fresh, revised = new.get(item.symbol, 0), changed.get(item.symbol, 0)
        results.append(
            TaskResult(
                item.stored.task_id,
                "done" if error is None else "failed",
                None if error is None else "MalformedPayload",
                error,
                new=fresh,
                changed=revised,
                same=max(0, total.get(item.symbol, 0) - fresh - revised),  # an earlier event may have got its close
                rejected=bad.get(item.symbol, 0),
            )
        )
    return results
