"""What becomes of fetched tasks: one raw object per batch, a record in one transaction, then the messages."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from ulid import ULID

from quantx.core.model import FetchTask, Payload
from quantx.errors import MalformedPayload, ProviderError, RateLimited, TerminalProviderError, UnknownSymbol
from quantx.lake.raw import Landing, raw_path, write_batch
from quantx.pipeline.leases import Leases
from quantx.pipeline.platform import Platform
from quantx.state.database import run as run_statement

log = structlog.get_logger()

_WAIT_WHEN_LIMITED = 10.0  # seconds, where the vendor does not say
_SHORTEST_CLOSURE, _LONGEST_CLOSURE = 1.0, 3600.0  # an absurd Retry-After is not believed beyond an hour
_BACKOFF = 0.5  # seconds; doubles with each failure, with jitter


@dataclass
class Progress:
    """What a worker has done so far; the command line shows it."""

    landed: int = 0
    failed: int = 0
    requests: int = 0
    rows: int = 0
    last_error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one task: a payload, an error, or neither where the vendor was not asked."""

    task: FetchTask
    payload: Payload | None = None
    error: ProviderError | None = None

    @property
    def reply(self) -> Payload | None:
        """Return the reply that is to be kept: a good one, or one that is malformed."""
        if isinstance(self.error, MalformedPayload) and isinstance(self.error.payload, Payload):
            return self.error.payload
        return self.payload


def settle(
    platform: Platform, outcomes: Sequence[Outcome], leases: Leases, progress: Progress, *, stopping: bool
) -> None:
    """Store what came, then land, retry, delay or give up each task.

    Messages are deleted only after the reply is stored and PostgreSQL says so.
    """
    by_source: dict[str, list[tuple[Outcome, Payload]]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.reply is not None:
            by_source[outcome.task.series.source].append((outcome, outcome.reply))
    for source, kept in by_source.items():
        landed = _land(platform, source, kept)
        progress.landed += len(landed)
        for outcome, _ in kept:
            if outcome.task.id in landed:
                platform.queue.delete([leases.message_of(outcome.task)])
                leases.done_with(outcome.task)
    limits = [(o.task.series.source, o.error) for o in outcomes if isinstance(o.error, RateLimited)]
    limits.sort(key=lambda limit: limit[1].retry_after or 0.0)
    for source, longest in dict(limits).items():
        _close_vendor(platform, source, longest)
    for outcome in outcomes:
        if isinstance(outcome.error, RateLimited):
            progress.last_error = str(outcome.error)
            _put_back(platform, outcome, leases, asked=True, at_once=stopping)
        elif outcome.error is not None:
            progress.last_error = str(outcome.error)
            progress.failed += _count_failure(platform, outcome.task, outcome.error, leases)
        elif outcome.payload is None:
            _put_back(platform, outcome, leases, asked=False, at_once=stopping)


def _land(platform: Platform, source: str, kept: Sequence[tuple[Outcome, Payload]]) -> set[int]:
    """Store replies as one raw object and record them; return the tasks that have landed.

    A task whose lease has passed to another worker does not land: its fencing number has risen.
    """
    dataset = kept[0][0].task.series.dataset
    path = raw_path(source, dataset, platform.clock.now().date().isoformat(), str(ULID()))
    size = write_batch(platform.location, path, [Landing(o.task.id, payload) for o, payload in kept])
    good = [(row, o.task, payload) for row, (o, payload) in enumerate(kept) if o.error is None]
    values: dict[str, Any] = {
        "ids": [task.id for _, task, _ in good],
        "fences": [task.fence for _, task, _ in good],
        "rows": [row for row, _, _ in good],
        "times": [payload.fetched_at for _, _, payload in good],
        "sizes": [len(payload.body) for _, _, payload in good],
    }
    with platform.database.transaction() as connection:
        stored = {"path": path, "source": source, "dataset": dataset, "payloads": len(kept), "bytes": size}
        raw_id = run_statement(connection, "curation.add_raw_object", stored)[0]["id"]
        landed = run_statement(connection, "curation.land", {"raw_id": raw_id, **values})
        for row, (outcome, payload) in enumerate(kept):
            if outcome.error is not None:
                evidence = {"task_id": outcome.task.id, "malformed": str(outcome.error)}
                evidence |= {"fetched_at": payload.fetched_at, "bytes": len(payload.body)}
                run_statement(connection, "curation.land_evidence", {"raw_id": raw_id, "raw_row": row, **evidence})
    log.info("batch.landed", source=source, payloads=len(kept), bytes=size, path=path)
    return {row["task_id"] for row in landed}


def _close_vendor(platform: Platform, source: str, error: RateLimited) -> None:
    wait = _WAIT_WHEN_LIMITED if error.retry_after is None else error.retry_after
    seconds = min(max(wait, _SHORTEST_CLOSURE), _LONGEST_CLOSURE)
    platform.database.rows("series.close_quota", source=source, seconds=seconds, reason=str(error))
    log.warning("vendor.closed", source=source, seconds=seconds, reason=str(error))


def _put_back(platform: Platform, outcome: Outcome, leases: Leases, *, asked: bool, at_once: bool) -> None:
    """Return a task to the queue until its vendor has a slot again; no failure is counted."""
    task = outcome.task
    rows = platform.database.rows("series.next_slot", source=task.series.source)
    delay = 0.0 if at_once or not rows else max(0.0, rows[0]["wait"])
    message = leases.message_of(task)
    leases.done_with(task)
    platform.database.rows(
        "tasks.release_tasks",
        ids=[task.id],
        fences=[task.fence],
        delay=delay,
        error=str(outcome.error) if outcome.error else None,
        requests=int(asked),
    )
    platform.queue.extend([message], delay)


def _count_failure(platform: Platform, task: FetchTask, error: ProviderError, leases: Leases) -> bool:
    """Count a failed attempt: the task is tried again later, or given up; return whether it was given up."""
    message = leases.message_of(task)
    leases.done_with(task)
    delay = _BACKOFF * 2**task.attempts * random.uniform(1, 1.5)
    rows = platform.database.rows(
        "tasks.fail_attempt",
        id=task.id,
        fence=task.fence,
        terminal=_is_final(error, task),
        most=platform.settings.max_attempts,
        error_class=type(error).__name__,
        error=str(error),
        delay=delay,
    )
    if not rows or rows[0]["state"] != "failed":
        platform.queue.extend([message], delay)
        return False
    platform.database.rows("tasks.note_series_failure", **vars(task.series), error=str(error))
    platform.queue.delete([message])
    log.info("task.failed", symbol=task.series.symbol, error=str(error), error_class=type(error).__name__)
    return True


def _is_final(error: ProviderError, task: FetchTask) -> bool:
    """Tell whether asking again is useless.

    A malformed reply may be a broken transfer. A symbol with history that is suddenly unknown may be a refusal in
    disguise (yfinance#2125: a 429 that arrives as "possibly delisted").
    """
    if isinstance(error, MalformedPayload) or (isinstance(error, UnknownSymbol) and task.has_history):
        return False
    return isinstance(error, TerminalProviderError)
