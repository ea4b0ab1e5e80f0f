"""Keeping what a worker holds: its leases in the state and its messages in the queue, extended while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from quantx.core.model import FetchTask
from quantx.errors import QueueError, StateError
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.threads import Runtime
from quantx.queues.protocol import Message

log = structlog.get_logger()


class Leases:
    """The tasks that a batch holds, with their messages; a task that was claimed as urgent has none.

    A lease that could not be extended is dropped: the worker must not touch that task any more, and if it tries, the
    fencing number refuses it.
    """

    def __init__(self, platform: Platform, tasks: Sequence[FetchTask], messages: Mapping[int, Message]) -> None:
        self._platform = platform
        self._seconds = platform.settings.lease_seconds
        self._lock = threading.Lock()  # never held while a port is asked
        self._tasks = {task.id: task for task in tasks}
        self._messages = {task.id: messages[task.id] for task in tasks if task.id in messages}

    @contextmanager
    def kept(self, runtime: Runtime) -> Iterator[None]:
        """Extend all leases again and again while the block lasts."""
        # Apart, since each protects also while the other waits for a service that is away.
        seconds = self._seconds / 3
        with runtime.repeating(seconds, self.extend_leases), runtime.repeating(seconds, self.extend_messages):
            yield

    def let_go(self, tasks: Sequence[FetchTask]) -> list[Message]:
        """Stop extending these tasks; return their messages with their newest receipts."""
        with self._lock:
            for task in tasks:
                self._tasks.pop(task.id, None)
            found = [self._messages.pop(task.id, None) for task in tasks]
        return [message for message in found if message is not None]

    def adopt(self, task_id: int, message: Message) -> bool:
        """Keep the message of a task that is held without one; False where the task is not held here, or has one."""
        with self._lock:
            if task_id not in self._tasks or task_id in self._messages:
                return False
            self._messages[task_id] = message
            return True

    def extend_leases(self) -> None:
        """Extend all leases once; drop the tasks whose lease is lost."""
        with self._lock:
            tasks = list(self._tasks.values())
        if not tasks:
            return
        try:
            kept = self._platform.state.tasks.extend(tasks, self._seconds)
        except StateError as error:
            log.warning("lease.not_extended", error=str(error))
            return
        with self._lock:
            for task in tasks:
                if task.id not in kept and task.id in self._tasks:
                    del self._tasks[task.id]
                    self._messages.pop(task.id, None)
                    log.warning("lease.lost", task_id=task.id, symbol=task.series.symbol)

    def extend_messages(self) -> None:
        """Hide all messages once more."""
        with self._lock:
            held = dict(self._messages)
        if not held:
            return
        try:
            renewed = self._platform.queue.extend(list(held.values()), self._seconds)
        except QueueError as error:
            log.warning("message.not_hidden", error=str(error))
            return
        with self._lock:
            for task_id, message in zip(held, renewed, strict=True):
                if message is not None and task_id in self._messages:
                    self._messages[task_id] = message
