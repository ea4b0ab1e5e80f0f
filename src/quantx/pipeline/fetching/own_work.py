"""Tasks that a worker carries out itself: nothing is fetched for them, and their rows need no curator.

A handler does the whole work of a task, one at a time in a process: such a task may take minutes, and much of the
memory. The others of a batch go back to the queue at once, for other workers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from quantx.core.model import FetchTask
from quantx.errors import ProviderError
from quantx.pipeline.fetching.landing import Progress
from quantx.pipeline.fetching.leases import Leases
from quantx.pipeline.runtime.retry import Retry
from quantx.queues.protocol import Message, TaskQueue
from quantx.state.tasks.port import Tasks

log = structlog.get_logger()


@dataclass(frozen=True)
class OwnResult:
    """The rows of a task that its handler has committed."""

    new: int = 0
    changed: int = 0
    rejected: int = 0


OwnHandler = Callable[[FetchTask], OwnResult | None]  # None: another process does it; a ProviderError: it failed


@dataclass(frozen=True, kw_only=True)
class OwnWork:
    """The handlers by dataset, and the one place in which they run."""

    handlers: Mapping[str, OwnHandler]
    tasks: Tasks
    queue: TaskQueue
    lease: float  # seconds
    stopping: Callable[[], bool]
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def is_own(self, task: FetchTask) -> bool:
        """Return whether a task is carried out by a handler."""
        return task.series.dataset in self.handlers

    def carry_out(self, tasks: Sequence[FetchTask], leases: Leases, retry: Retry, progress: Progress) -> None:
        """Carry out the first of the tasks, after the one that is under way here; the rest go back to the queue."""
        first, *rest = tasks
        if rest:
            self._put_back(rest, leases, retry, 0.0)
        with self._one_at_a_time:
            if self.stopping():
                self._put_back([first], leases, retry, 0.0)
            else:
                self._carry_out(first, leases, retry, progress)

    def _carry_out(self, task: FetchTask, leases: Leases, retry: Retry, progress: Progress) -> None:
        try:
            result = self.handlers[task.series.dataset](task)
        except ProviderError as error:
            name, why = type(error).__name__, str(error)
            log.info("task.failed", symbol=task.series.symbol, error=why, error_class=name)
            fail = partial(self.tasks.fail, task, name, why, final=True, most=1, delay=0.0, requests=0)
            progress.failed += bool(retry.call(fail))
            progress.last_error = why
            self._delete(leases.release([task]), retry)
            return
        if result is None:
            self._put_back([task], leases, retry, self.lease)
            return
        if retry.call(partial(self.tasks.complete, task, result.new, result.changed, result.rejected)):
            progress.landed += 1
            progress.rows += result.new + result.changed
        self._delete(leases.release([task]), retry)

    def _put_back(self, tasks: Sequence[FetchTask], leases: Leases, retry: Retry, delay: float) -> None:
        messages = leases.release(tasks)
        retry.call(partial(self.tasks.release, tasks, delay))
        if messages:
            retry.call(partial(self.queue.extend, messages, delay))

    def _delete(self, messages: Sequence[Message], retry: Retry) -> None:
        if messages:
            retry.call(partial(self.queue.delete, messages))
