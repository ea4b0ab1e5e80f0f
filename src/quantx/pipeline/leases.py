"""Keeping what a worker holds: its leases in PostgreSQL and its messages in the queue, extended while it works."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import structlog

from quantx.core.model import FetchTask
from quantx.errors import QueueError, StateError
from quantx.pipeline.platform import Platform
from quantx.queues.protocol import Message

log = structlog.get_logger()


class Leases:
    """Extends the leases of a batch in the background while the block lasts.

    A lease that could not be extended is dropped: the worker must not touch that task any more, and if it tries, the
    fencing number refuses it.
    """

    def __init__(self, platform: Platform, held: dict[int, tuple[FetchTask, Message]]) -> None:
        self._platform = platform
        self._held = dict(held)
        self._seconds = platform.settings.lease_seconds
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def message_of(self, task: FetchTask) -> Message:
        """Return the task's message with its newest receipt."""
        with self._lock:
            return self._held[task.id][1]

    def done_with(self, task: FetchTask) -> None:
        """Stop extending a task."""
        with self._lock:
            self._held.pop(task.id, None)

    def _beat(self) -> None:
        while not self._over.wait(self._seconds / 3):
            try:
                self._extend()
            except (StateError, QueueError) as error:
                log.warning("lease.not_extended", error=str(error))

    def _extend(self) -> None:
        with self._lock:
            held = dict(self._held)
        if not held:
            return
        kept = {
            row["id"]
            for row in self._platform.database.rows(
                "tasks.extend_leases",
                ids=list(held),
                fences=[task.fence for task, _ in held.values()],
                lease=self._seconds,
            )
        }
        for task_id, (task, message) in held.items():
            renewed = self._platform.queue.extend([message], self._seconds)[0] if task_id in kept else None
            with self._lock:
                if task_id not in self._held:
                    continue
                if renewed is not None:
                    self._held[task_id] = (task, renewed)
                elif task_id not in kept:
                    log.warning("lease.lost", task_id=task_id, symbol=task.series.symbol)
