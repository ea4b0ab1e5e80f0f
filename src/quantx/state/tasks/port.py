"""The port of tasks, and its values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quantx.core.model import FetchTask, Series, StoredReply, Window
from quantx.state.values import NewRun, Row, TaskState


@dataclass(frozen=True)
class NewTask:
    """A task to plan."""

    series: Series
    window: Window
    fallback: tuple[str, ...] = ()  # fallback vendors, in order


@dataclass(frozen=True)
class UnservedSymbol:
    """A symbol of a run for which no vendor is requested now."""

    symbol: str
    has_bars: bool
    why: str  # the fact and the day of the next request


@dataclass(frozen=True)
class Plan:
    """The result of planning: the run that has the tasks, and the tasks."""

    run_id: str
    task_ids: tuple[int, ...]
    skipped: int
    shared: int = 0  # tasks of earlier runs, which report them
    unserved: tuple[UnservedSymbol, ...] = ()  # among those that are skipped


@dataclass(frozen=True)
class Ticket:
    """A task whose message waits to be sent."""

    task_id: int
    run_id: str
    series: Series
    window: Window


@dataclass(frozen=True)
class Claim:
    """The result of a claim."""

    held: tuple[FetchTask, ...]  # leased to this worker; may hold urgent tasks that it did not name
    complete: frozenset[int] = frozenset()  # landed or ended: they need no worker
    unknown: frozenset[int] = frozenset()  # ids without a task


@dataclass(frozen=True, kw_only=True)
class RawObject:
    """A stored batch of replies."""

    path: str
    source: str
    dataset: str
    payloads: int
    size: int


class Tasks(Protocol):
    """Units of work: planned once, held by one worker at a time, never lost."""

    def plan(self, run: NewRun, wanted: Sequence[NewTask]) -> Plan:
        """Record a run with its tasks, one per series; all of its new tasks wait for their message to be sent.

        A task with the same kind, series and window that is unfinished is shared, not planned twice. Where a single
        earlier run has all of the tasks, no new run is made: the plan is that run's.
        """
        ...

    def plan_held(self, run: NewRun, wanted: Sequence[NewTask], owner: str, lease: float) -> tuple[FetchTask, ...]:
        """Record a run with its tasks, and lease them to `owner` for `lease` seconds; no message of them is sent.

        For work that only this process can do. A task that is unfinished already is leased, too, if no lease of it is
        in force and it has not landed. Several tasks may be of one series. After the lease, the tasks are lost ones.
        """
        ...

    def retry(self, run: NewRun, ids: Collection[int] | None) -> Plan:
        """Plan failed tasks once more, in a run of their own: `ids`, or all that were not retried."""
        ...

    def to_send(self, most: int, seconds: float) -> list[Ticket]:
        """Take tasks whose message is to be sent, daily work first; other senders get them only after `seconds`."""
        ...

    def unsent(self) -> int:
        """Return the number of tasks whose message waits to be sent, and that no sender has taken."""
        ...

    def sent(self, task_ids: Collection[int]) -> None:
        """Record that the messages of these tasks are sent."""
        ...

    def claim(
        self, ids: Collection[int], owner: str, lease: float, most: int, widths: Mapping[str, int] | None = None
    ) -> Claim:
        """Lease up to `most` tasks to `owner` for `lease` seconds; each claim raises a task's fencing number.

        A task can be claimed when no lease of it or of another task of its series is in force. Daily work goes first:
        where some of `ids` are other work, pending daily tasks are claimed before them, also tasks that are not in
        `ids`. A task whose holders have died too often fails. The same `owner` gets the same tasks again.

        `widths` are the numbers of symbols that a vendor answers at once, by source: up to them, pending tasks with the
        dataset, timeframe and window of a claimed one are claimed, too, although they are not in `ids`.
        """
        ...

    def extend(self, tasks: Sequence[FetchTask], lease: float) -> set[int]:
        """Extend leases and return the ids of those tasks that are still held under their fencing number."""
        ...

    def land(
        self,
        raw: RawObject,
        replies: Sequence[StoredReply],
        tasks: Sequence[FetchTask],
        requests: Sequence[int] | None = None,
    ) -> set[int]:
        """Record stored replies; return the ids of the tasks that landed: those still held under their fencing number.

        `tasks` are the claimed tasks of the replies, in the same order. `requests` are the requests that count for each
        task, by default one: a page that several tasks share was one request. The same object again returns what it
        landed. A landed task settles the dead tasks of its series that were planned before it and whose windows it
        covers: they count as retried by it.
        """
        ...

    def release(self, tasks: Sequence[FetchTask], delay: float, error: str | None = None, requests: int = 0) -> None:
        """Release tasks, to be claimed after `delay` seconds; no failure is counted.

        `requests` is the number of requests for all of them.
        """
        ...

    def pass_on(
        self, task: FetchTask, error_class: str, error: str, *, requests: int = 1, events: Window | None = None
    ) -> bool:
        """Fail a task at its vendor, and plan it at its next fallback vendor, in the same run.

        `events`: plan also the events of that window, where they do not come with the fallback's bars; `count` and
        `any_unfinished` of the task include them. Events of this vendor follow their bars: they fail with them. False
        where the task is no longer held, or has no fallback.
        """
        ...

    def fail(
        self,
        task: FetchTask,
        error_class: str,
        error: str,
        *,
        final: bool,
        most: int,
        delay: float,
        requests: int = 1,
    ) -> bool | None:
        """Count a failure; True: failed, False: pending again after `delay` seconds, None: no longer held.

        A task fails after `most` failures, or at once where the failure is `final`.
        """
        ...

    def complete(self, task: FetchTask, new: int, changed: int, rejected: int) -> bool:
        """Record that a task is done whose rows its holder has committed; False where it is no longer held."""
        ...

    def resend_lost(self, seconds: float) -> int:
        """Queue the messages of unfinished tasks again that no worker holds and that are overdue by `seconds`.

        Return their number.
        """
        ...

    def count(self, ids: Collection[int] | None = None) -> dict[TaskState, int]:
        """Return the number of tasks (of `ids`, or all) in each state; states without tasks are absent.

        In place of a task that was passed on, its successor counts, also among `ids`.
        """
        ...

    def any_unfinished(self, ids: Collection[int] | None = None) -> bool:
        """Return whether one of these tasks (or its successor), or of all, has not ended."""
        ...

    def few_left(self, most: int) -> bool:
        """Return whether at most so many tasks, of all, are still to be fetched; more are not counted."""
        ...

    def dead(self) -> int:
        """Return the number of dead tasks: they failed, were not retried, and no later task covers them."""
        ...

    def settled(self, ids: Collection[int]) -> set[int]:
        """Return those of these tasks that have landed, or that failed and have a successor."""
        ...

    def listed(
        self,
        state: TaskState | None,
        run_id: str | None,
        limit: int | None,
        *,
        dead: bool = False,
        source: str | None = None,
        symbol: str | None = None,
        before: int | None = None,
    ) -> list[Row]:
        """Return tasks for display, the newest first; limit None: all of them.

        `dead`: only those that `dead` counts. `before`: only those with a smaller id.
        """
        ...

    def find(self, task_id: int) -> Row | None:
        """Return a task as `listed` does, with its requests, lease and fallback vendors."""
        ...

    def replies_of(self, task_id: int) -> list[Row]:
        """Return path, row, fetched_at, size (bytes) and malformed (why it can't be read) of a task's replies."""
        ...
