"""The worker: receive → claim → fetch within the quota → settle, until nothing is left to do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date

import structlog
from ulid import ULID

from quantx.core.model import FetchTask, Series, Window
from quantx.errors import ProviderError, QueueError
from quantx.pipeline import curate, report
from quantx.pipeline.leases import Leases
from quantx.pipeline.plan import send_outbox
from quantx.pipeline.platform import Platform
from quantx.pipeline.settle import Outcome, Progress, settle
from quantx.queues import messages
from quantx.queues.protocol import Message
from quantx.state.database import run as run_statement

log = structlog.get_logger()

_IDLE_SECONDS = 0.2


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
                settle(self.platform, outcomes, leases, self.progress, stopping=self.stopping.is_set())
            self.on_progress(self.progress)
        return True

    def _claim(self, received: Sequence[Message]) -> dict[int, tuple[FetchTask, Message]]:
        by_task: dict[int, Message] = {}
        for message in received:
            try:
                task_id = messages.decode(message.body).task_id
            except QueueError as error:
                log.error("message.poison", error=str(error), body=message.body[:200])
                self.platform.queue.delete([message])
                continue
            if task_id in by_task:  # sent twice: one delivery is enough
                self.platform.queue.delete([message])
            else:
                by_task[task_id] = message
        ids = list(by_task)
        rows = self.platform.database.rows(
            "tasks.claim_tasks", ids=ids, owner=self.owner, lease=self.platform.settings.lease_seconds
        )
        held = {row["id"]: (_task(row), by_task[row["id"]]) for row in rows}
        # What is settled needs no message; what another worker holds keeps its message, in case that worker dies.
        for row in self.platform.database.rows("tasks.settled_tasks", ids=[i for i in ids if i not in held]):
            self.platform.queue.delete([by_task[row["id"]]])
        return held

    def _fetch_all(self, pool: ThreadPoolExecutor, tasks: Sequence[FetchTask]) -> list[Outcome]:
        """Ask for all tasks, each in its slot; those whose vendor has no slot soon come back unasked."""
        outcomes: list[Outcome] = []
        asked: list[tuple[FetchTask, float]] = []
        for source in {task.series.source for task in tasks}:
            mine = [task for task in tasks if task.series.source == source]
            starts = self._reserve(source, len(mine))
            if starts is None:
                outcomes += [Outcome(task) for task in mine]
            else:
                asked += zip(mine, starts, strict=True)
        return outcomes + list(pool.map(lambda pair: self._fetch(*pair), asked))

    def _reserve(self, source: str, count: int) -> list[float] | None:
        """Reserve slots of the vendor's quota, for all workers together; return when each begins, None if not soon."""
        rate = self.platform.quotas.get(source)
        gap = 0.0 if rate is None else 1 / rate
        patience = self.platform.settings.lease_seconds
        rows = self.platform.database.rows(
            "series.reserve_slots", source=source, count=count, gap=gap, patience=patience
        )
        if not rows:
            return None
        first = time.monotonic() + max(0.0, rows[0]["wait"])
        return [first + k * gap for k in range(count)]

    def _fetch(self, task: FetchTask, start: float) -> Outcome:
        if self.stopping.wait(max(0.0, start - time.monotonic())):
            return Outcome(task)
        provider = self.platform.providers[task.series.source]
        try:
            return Outcome(task, payload=provider.fetch(task.series.symbol, task.window))
        except ProviderError as error:
            return Outcome(task, error=error)
        except Exception as error:  # a mistake in one vendor's adapter must not stop the others' work
            log.exception("provider.broken", source=task.series.source, symbol=task.series.symbol)
            return Outcome(task, error=ProviderError(f"the adapter of {task.series.source} failed: {error!r}"))
        finally:
            self.progress.requests += 1

    def _curate(self, *, everything: bool) -> None:
        """Take the curator's role where it is free, when enough has landed or nothing is left to fetch."""
        self.progress.rows += curate.curate_landed(self.platform, everything=everything, stopping=self.stopping.is_set)
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
