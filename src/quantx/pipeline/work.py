"""The worker: receive → claim → fetch within the quota → store one raw object → record landed → delete messages."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import structlog
from ulid import ULID

from quantx.core.model import FetchTask, Payload, Series, Window
from quantx.errors import (
    LakeError,
    MalformedPayload,
    ProviderError,
    QueueError,
    RateLimited,
    TerminalProviderError,
    UnknownSymbol,
)
from quantx.lake.raw import Landing, raw_path, write_batch
from quantx.pipeline import curate, report
from quantx.pipeline.leases import Leases
from quantx.pipeline.plan import send_outbox
from quantx.pipeline.platform import Platform
from quantx.queues import messages
from quantx.queues.protocol import Message
from quantx.state.database import run as run_statement

log = structlog.get_logger()

_IDLE_SECONDS = 0.2
_WAIT_WHEN_LIMITED = 10.0  # seconds, where the vendor does not say
_LONGEST_CLOSURE = 3600.0  # a vendor's absurd Retry-After is not believed beyond an hour
_BACKOFF = 0.5  # seconds; doubles with each failure, with jitter


@dataclass
class Progress:
    """What a worker has done so far; the command line shows it."""

    landed: int = 0
    failed: int = 0
    requests: int = 0
    rows: int = 0
    last_error: str | None = None


@dataclass
class _Fetched:
    """The outcome of one task: exactly one of payload and error is set."""

    task: FetchTask
    payload: Payload | None = None
    error: ProviderError | None = None


@dataclass
class Worker:
    """Drains the queue. Any number may run, anywhere; any may die at any moment."""

    platform: Platform
    on_progress: Callable[[Progress], None] = lambda progress: None
    progress: Progress = field(default_factory=Progress)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{ULID()}"

    def run(
        self, *, task_ids: Sequence[int] | None = None, until_empty: bool = True, time_budget: float | None = None
    ) -> Progress:
        """Work until all of `task_ids` have ended, or else until nothing is left to do.

        Stops claiming at 80 % of `time_budget` (seconds) or when `stopping` is set, finishes what it holds, and curates
        what has landed.
        """
        started = time.monotonic()
        threads = self.platform.settings.max_workers
        with ThreadPoolExecutor(threads, thread_name_prefix="fetch") as pool:
            while not self.stopping.is_set():
                if time_budget is not None and time.monotonic() - started > 0.8 * time_budget:
                    break
                worked = self._one_batch(pool)
                self._curate(everything=not worked)
                if worked:
                    continue
                if task_ids is not None and self._all_ended(task_ids):
                    break
                if task_ids is None and until_empty and not self._anything_unfinished():
                    break
                self._resend_lost()
                self.stopping.wait(_IDLE_SECONDS)
        self._curate(everything=True)
        return self.progress

    def _one_batch(self, pool: ThreadPoolExecutor) -> bool:
        """Handle up to 32 messages; return whether there was one."""
        received = self.platform.queue.receive(self.platform.settings.chunk_size, self.platform.settings.lease_seconds)
        if not received:
            return False
        held = self._claim(received)
        if held:
            with Leases(self.platform, held) as leases:
                outcomes = self._fetch_all(pool, [task for task, _ in held.values()])
                self._settle(outcomes, leases)
            self.on_progress(self.progress)
        return True

    def _claim(self, received: Sequence[Message]) -> dict[int, tuple[FetchTask, Message]]:
        by_task: dict[int, Message] = {}
        for message in received:
            try:
                task_id = messages.decode(message.body).task_id
            except QueueError as error:
                log.error("message.poison", error=str(error), body=message.body[:200])
                self.platform.queue.delete(message)
                continue
            if task_id in by_task:  # sent twice: one delivery is enough
                self.platform.queue.delete(message)
            else:
                by_task[task_id] = message
        ids = list(by_task)
        rows = self.platform.database.rows(
            "tasks.claim_tasks", ids=ids, owner=self.owner, lease=self.platform.settings.lease_seconds
        )
        held = {row["id"]: (_task(row), by_task[row["id"]]) for row in rows}
        # What is settled needs no message; what another worker holds keeps its message, in case that worker dies.
        for row in self.platform.database.rows("tasks.settled_tasks", ids=[i for i in ids if i not in held]):
            self.platform.queue.delete(by_task[row["id"]])
        return held

    def _fetch_all(self, pool: ThreadPoolExecutor, tasks: Sequence[FetchTask]) -> list[_Fetched]:
        starts = self._reserve(tasks)
        return list(pool.map(self._fetch, tasks, starts))

    def _reserve(self, tasks: Sequence[FetchTask]) -> list[float]:
        """Reserve a slot of the vendor's quota per task, for all workers together; return when each may start."""
        starts = [0.0] * len(tasks)
        for source in {task.series.source for task in tasks}:
            mine = [i for i, task in enumerate(tasks) if task.series.source == source]
            rate = self.platform.quotas.get(source)
            gap = 0.0 if rate is None else 1 / rate
            row = self.platform.database.rows("series.reserve_slots", source=source, count=len(mine), gap=gap)[0]
            first = time.monotonic() + max(0.0, row["wait"])
            for k, i in enumerate(mine):
                starts[i] = first + k * gap
        return starts

    def _fetch(self, task: FetchTask, start: float) -> _Fetched:
        if self.stopping.wait(max(0.0, start - time.monotonic())):
            return _Fetched(task, error=RateLimited("the worker is stopping", 0))
        provider = self.platform.providers[task.series.source]
        try:
            return _Fetched(task, payload=provider.fetch(task.series.symbol, task.window))
        except ProviderError as error:
            return _Fetched(task, error=error)
        finally:
            self.progress.requests += 1

    def _settle(self, outcomes: Sequence[_Fetched], leases: Leases) -> None:
        """Store what came, in one object, then decide about each task."""
        landings = [Landing(o.task.id, p) for o in outcomes if (p := _reply_of(o)) is not None]
        if landings:
            self._land(outcomes, landings, leases)
        for outcome in outcomes:
            if outcome.error is not None:
                self._give_back(outcome.task, outcome.error, leases)

    def _land(self, outcomes: Sequence[_Fetched], landings: Sequence[Landing], leases: Leases) -> None:
        by_source: dict[str, list[tuple[int, Landing, _Fetched]]] = {}
        by_task = {o.task.id: o for o in outcomes}
        for landing in landings:
            outcome = by_task[landing.task_id]
            rows = by_source.setdefault(outcome.task.series.source, [])
            rows.append((len(rows), landing, outcome))
        for source, rows in by_source.items():
            dataset = rows[0][2].task.series.dataset
            path = raw_path(source, dataset, self.platform.clock.now().date().isoformat(), str(ULID()))
            size = write_batch(self.platform.location, path, [landing for _, landing, _ in rows])
            landed = self._record(path, source, dataset, size, rows)
            for _, _, outcome in rows:
                if outcome.task.id in landed:
                    self.platform.queue.delete(leases.message_of(outcome.task))
                    leases.done_with(outcome.task)
            self.progress.landed += len(landed)
            log.info("batch.landed", source=source, payloads=len(rows), bytes=size, path=path)

    def _record(
        self, path: str, source: str, dataset: str, size: int, rows: Sequence[tuple[int, Landing, _Fetched]]
    ) -> set[int]:
        """Record a raw object and its landings in one transaction; return the tasks that have landed."""
        good = [(i, landing, o) for i, landing, o in rows if o.payload is not None]
        with self.platform.database.transaction() as connection:
            raw_id = run_statement(
                connection,
                "curation.add_raw_object",
                {"path": path, "source": source, "dataset": dataset, "payloads": len(rows), "bytes": size},
            )[0]["id"]
            landed = run_statement(
                connection,
                "curation.land",
                {
                    "raw_id": raw_id,
                    "ids": [o.task.id for _, _, o in good],
                    "fences": [o.task.fence for _, _, o in good],
                    "rows": [i for i, _, _ in good],
                    "times": [landing.payload.fetched_at for _, landing, _ in good],
                },
            )
            for i, landing, outcome in rows:
                if outcome.payload is None:
                    values = {
                        "raw_id": raw_id,
                        "raw_row": i,
                        "task_id": landing.task_id,
                        "malformed": str(outcome.error),
                    }
                    run_statement(
                        connection, "curation.land_evidence", {**values, "fetched_at": landing.payload.fetched_at}
                    )
        return {row["task_id"] for row in landed}

    def _give_back(self, task: FetchTask, error: ProviderError, leases: Leases) -> None:
        """Delay, retry or give up a task, by the class of its error."""
        message = leases.message_of(task)
        leases.done_with(task)
        self.progress.last_error = str(error)
        if isinstance(error, RateLimited):
            delay = min(_WAIT_WHEN_LIMITED if error.retry_after is None else error.retry_after, _LONGEST_CLOSURE)
            if delay:
                self.platform.database.rows(
                    "series.close_quota", source=task.series.source, seconds=delay, reason=str(error)
                )
            self.platform.database.rows(
                "tasks.release_tasks", ids=[task.id], fences=[task.fence], delay=delay, error=str(error), requests=1
            )
            self.platform.queue.extend(message, delay)
            return
        # A symbol with history that is suddenly unknown may be a refusal in disguise: that is tried again.
        terminal = isinstance(error, TerminalProviderError) and not isinstance(error, MalformedPayload)
        if isinstance(error, UnknownSymbol) and task.has_history:
            terminal = False
        delay = _BACKOFF * 2**task.attempts * random.uniform(1, 1.5)
        rows = self.platform.database.rows(
            "tasks.fail_attempt",
            id=task.id,
            fence=task.fence,
            terminal=terminal,
            most=self.platform.settings.max_attempts,
            error_class=type(error).__name__,
            error=str(error),
            delay=delay,
        )
        if rows and rows[0]["state"] == "failed":
            s = task.series
            self.platform.database.rows(
                "tasks.note_series_failure",
                source=s.source,
                dataset=s.dataset,
                timeframe=s.timeframe,
                symbol=s.symbol,
                error=str(error),
            )
            self.platform.queue.delete(message)
            self.progress.failed += 1
            log.info("task.failed", symbol=s.symbol, error=str(error), error_class=type(error).__name__)
        else:
            self.platform.queue.extend(message, delay)

    def _curate(self, *, everything: bool) -> None:
        """Take the curator's role where it is free, when enough has landed or nothing is left to fetch."""
        try:
            self.progress.rows += curate.curate_landed(self.platform, everything=everything)
        except LakeError:
            if not self.stopping.is_set():
                raise
        report.report_ended_runs(self.platform)
        self.on_progress(self.progress)

    def _all_ended(self, task_ids: Sequence[int]) -> bool:
        rows = self.platform.database.rows("tasks.count_by_state", ids=list(task_ids))
        return not any(row["state"] in ("pending", "leased", "landed") for row in rows)

    def _anything_unfinished(self) -> bool:
        rows = self.platform.database.rows("tasks.count_by_state", ids=None)
        return any(row["state"] in ("pending", "leased", "landed") for row in rows)

    def _resend_lost(self) -> None:
        """Send again what has no message any more, and what the outbox still holds."""
        send_outbox(self.platform)
        patience = self.platform.settings.lease_seconds * 2
        rows = self.platform.database.rows("tasks.lost_tasks", patience=patience)
        if rows:
            ids = [row["id"] for row in rows]
            with self.platform.database.transaction() as connection:
                run_statement(connection, "tasks.touch_tasks", {"ids": ids})
                run_statement(connection, "tasks.add_to_outbox", {"ids": ids})
            send_outbox(self.platform)


def _reply_of(outcome: _Fetched) -> Payload | None:
    """Return the reply to be kept: a good one, or one that is malformed."""
    if isinstance(outcome.error, MalformedPayload) and isinstance(outcome.error.payload, Payload):
        return outcome.error.payload
    return outcome.payload


def _task(row: dict[str, object]) -> FetchTask:
    def day(name: str) -> date:
        value = row[name]
        assert isinstance(value, date)
        return value

    return FetchTask(
        id=int(str(row["id"])),
        run_id=str(row["run_id"]),
        kind=str(row["kind"]),
        series=Series(str(row["source"]), str(row["dataset"]), str(row["timeframe"]), str(row["symbol"])),
        window=Window(day("window_start"), day("window_end")),
        attempts=int(str(row["attempts"])),
        fence=int(str(row["fence"])),
        has_history=bool(row["has_history"]),
    )
