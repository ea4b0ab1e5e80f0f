"""Leases: the tasks and messages that a worker holds, extended while it works on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from quantx.core.model import FetchTask
from quantx.errors import QueueError, StateError
from quantx.pipeline.runtime.threads import Runtime
from quantx.queues.protocol import Message, TaskQueue
from quantx.state.tasks.port import Tasks

log = structlog.get_logger()


class Leases:
    """The tasks of a batch with their messages. A task that was claimed as urgent has no message.

    A task whose lease could not be extended is dropped: the worker must not land it. If it tries, the fencing number
    refuses it.
    """

    def __init__(
        self,
        held: Sequence[FetchTask],
        messages: Mapping[int, Message],
        *,
        tasks: Tasks,
        queue: TaskQueue,
        seconds: float,
    ) -> None:
        self._port = tasks
        self._queue = queue
        self._seconds = seconds
        self._lock = threading.Lock()  # never held during a port's call
        self._tasks = {task.id: task for task in held}
        self._messages = {task.id: messages[task.id] for task in held if task.id in messages}

    @contextmanager
    def extended(self, runtime: Runtime) -> Iterator[None]:
        """Extend all leases and messages periodically while the block lasts."""
        # Two threads: each goes on while the other waits for a service that is down.
        seconds = self._seconds / 3
        with runtime.repeating(seconds, self.extend_leases), runtime.repeating(seconds, self.extend_messages):
            yield

    def release(self, tasks: Sequence[FetchTask]) -> list[Message]:
        """Stop extending these tasks; return their messages with their newest receipts."""
        with self._lock:
            for task in tasks:
                self._tasks.pop(task.id, None)
            messages = [self._messages.pop(task.id, None) for task in tasks]
        return [message for message in messages if message is not None]

    def adopt(self, task_id: int, message: Message) -> bool:
        """Keep the message of a task that is held without one.

        False where the task is not held here, or has a message already.
        """
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
            held = self._port.extend(tasks, self._seconds)
        except StateError as error:
            log.warning("lease.not_extended", error=str(error))
            return
        with self._lock:
            for task in tasks:
                if task.id not in held and task.id in self._tasks:
                    del self._tasks[task.id]
                    self._messages.pop(task.id, None)
                    log.warning("lease.lost", task_id=task.id, symbol=task.series.symbol)

    def extend_messages(self) -> None:
        """Hide all messages from other workers once more."""
        with self._lock:
            messages = dict(self._messages)
        if not messages:
            return
        try:
            renewed = self._queue.extend(list(messages.values()), self._seconds)
        except QueueError as error:
            log.warning("message.not_hidden", error=str(error))
            return
        with self._lock:
            for task_id, message in zip(messages, renewed, strict=True):
                if message is not None and task_id in self._messages:
                    self._messages[task_id] = message
