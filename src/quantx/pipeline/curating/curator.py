"""The curator: landed payloads → rows → one commit per table → coverage, watermarks, hot bars.

One process at a time holds the role (a lock that the state frees when its holder dies). Work is done in rounds: a
round's payloads are fixed in the state before it begins and its number is Delta's transaction version, so a
round that was interrupted is repeated with the same input, and a table that has it already is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl
import structlog

from quantx.core.merge import Merge
from quantx.core.model import StoredReply
from quantx.core.quality.operational_rules import EVENTS_MISSING
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.protocol import CommitContext
from quantx.pipeline.curating.compaction import compact_minutes, fold_tables
from quantx.pipeline.curating.derive import BARS, DERIVED, derive, recent_bars, series_facts
from quantx.pipeline.curating.normalize import Rows
from quantx.pipeline.curating.proof_findings import tell
from quantx.pipeline.curating.stored_replies import ReadReply, read_replies
from quantx.pipeline.curating.withdrawn_bars import note_dropped
from quantx.pipeline.runtime.context import confirm_lake
from quantx.pipeline.runtime.platform import Platform
from quantx.state.rounds.port import TaskResult
from quantx.tracing import shared_span

log = structlog.get_logger()

# Both bound a round's memory: 30 replies of 20 years (150,000 rows), or 1,500 of a daily update.
_ROUND_BYTES = 18_000_000
_ROUND_REPLIES = 1500
_WORTH_BYTES = 6_000_000  # of replies are worth a round while there is still something to fetch


def curate_landed(platform: Platform, *, everything: bool, stopping: Callable[[], bool] = lambda: False) -> int:
    """Curate what has landed and return how many rows are new or changed.

    Does nothing where another process has the role, or where too little has landed and `everything` is false. Ends
    after the round in which `stopping` turns true.
    """
    if stopping() or not _is_worth_it(platform, everything):
        return 0
    rows = 0
    with platform.state.exclusive("curator") as mine:
        if mine is None:
            return 0
        confirm_lake(platform.location, platform.state)
        above: int | None = None
        while _is_worth_it(platform, everything):
            above = _last_round(platform) if above is None else above
            round_id = _next_round(platform, above)
            if round_id is None:
                break
            replies = platform.state.rounds.replies(round_id)
            with shared_span("round", [reply.run_id for reply in replies], round=round_id, replies=len(replies)):
                rows += _curate_round(platform, round_id, replies)
            if stopping():
                break
            mine.confirm()
        if everything and not stopping():
            fold_tables(platform)
            compact_minutes(platform, stopping=stopping)
    return rows


def finish_begun(platform: Platform) -> None:
    """Finish the round that was interrupted, if there is one: before its holder's role is used for anything else.

    Other commits would take the table's numbers, and the round would be taken for a repetition.
    """
    round_id = platform.state.rounds.unfinished()
    if round_id is not None:
        _curate_round(platform, round_id, platform.state.rounds.replies(round_id))


def curate_left(platform: Platform) -> int:
    """Curate what has landed where no worker is left that would; return how many rows are new or changed."""
    counts = platform.state.tasks.count()
    if counts.get("leased", 0) or not counts.get("landed", 0):
        return 0
    return curate_landed(platform, everything=True)


def _is_worth_it(platform: Platform, everything: bool) -> bool:
    replies, size = platform.state.rounds.waiting()
    return replies > 0 and (everything or size >= _WORTH_BYTES)


def _last_round(platform: Platform) -> int:
    """Return the last round that one of the curator's tables has seen; a lake may be older than its state."""
    return max(platform.tables[table.name].committed_round() for table in DERIVED)


def _next_round(platform: Platform, above: int) -> int | None:
    """Return the round that was interrupted, or a new one with the oldest landings; None where nothing is left."""
    rounds = platform.state.rounds
    unfinished = rounds.unfinished()
    if unfinished is not None:
        return unfinished
    if rounds.waiting()[0] == 0:
        return None
    return rounds.start(above, _ROUND_BYTES, _ROUND_REPLIES)


def _curate_round(platform: Platform, round_id: int, replies: Sequence[StoredReply]) -> int:
    read, lost = read_replies(platform, replies)
    context = CommitContext(round_id, sorted({x.run_id for x in replies}), sorted({x.path for x in replies}))
    derived = derive(platform, context, read, lost, platform.judge())
    parts, merged, rejected = derived.parts, derived.merged, derived.rejected
    results = [r for items, rows in parts for r in _task_results(items, rows, merged[rows.table], rejected)]
    most = platform.settings.max_attempts
    results += [
        TaskResult(reply.task_id, "pending", "DamagedObject", why, max_attempts=most)
        for reply, why in lost
        if reply.malformed is None
    ]
    facts = [f for items, rows in parts for f in series_facts(items, rows)]
    platform.state.findings.note([finding for _, rows in parts for finding in rows.findings])
    tell(platform, [rows.proved for _, rows in parts])
    note_dropped(platform, parts)
    asked = [(item, rows) for items, rows in parts if rows.table == ACTIONS.name for item in items]
    if came := [item.symbol for item, rows in asked if item.symbol in rows.coverage]:
        platform.state.findings.resolve(EVENTS_MISSING, came, "the events have come")
    platform.state.rounds.finish(
        round_id, results, facts, recent_bars(pl.concat([merged[BARS_1D.name].new, merged[BARS_1D.name].changed]))
    )
    bars = [merged[table.name] for table in BARS]
    new, changed, same = (
        sum(m.new.height for m in bars),
        sum(m.changed.height for m in bars),
        sum(m.same for m in bars),
    )
    log.info(
        "round.curated",
        round=round_id,
        payloads=len(replies),
        new=new,
        changed=changed,
        same=same,
        rejected=rejected.height,
    )
    return new + changed


def _task_results(items: Sequence[ReadReply], rows: Rows, merged: Merge, rejected: pl.DataFrame) -> list[TaskResult]:
    """Tell how each task ended; `merged` and `rejected` may hold rows of other vendors, too."""
    source = items[0].stored.series.source

    def count(frame: pl.DataFrame) -> dict[str, int]:
        counted = frame.filter(pl.col("source") == source).group_by("symbol").len()
        return dict(zip(counted["symbol"].to_list(), counted["len"].to_list(), strict=True))

    new, changed, total = count(merged.new), count(merged.changed), count(rows.tables[rows.table])
    bad = count(rejected.filter(pl.col("dataset") == rows.table))
    results = []
    for item in items:
        if item.stored.malformed is not None:  # evidence: its task goes on
            continue
        why, fresh, revised = (
            rows.malformed.get(item.stored.task_id),
            new.get(item.symbol, 0),
            changed.get(item.symbol, 0),
        )
        results.append(
            TaskResult(
                item.stored.task_id,
                "done" if why is None else "failed",
                None if why is None else "MalformedPayload",
                why,
                new=fresh,
                changed=revised,
                same=max(0, total.get(item.symbol, 0) - fresh - revised),  # an event of before may have got its close
                rejected=bad.get(item.symbol, 0),
            )
        )
    return results
