"""What the state promises of tasks, and the values that it takes and gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quantx.core.model import FetchTask, Series, StoredReply, Window
from quantx.state.values import NewRun, Row, TaskState


@dataclass(frozen=True)
class NewTask:
    """A task as it is planned."""

    series: Series
    window: Window
    fallback: tuple[str, ...] = ()  # vendors that are asked in its vendor's place, the first one first


@dataclass(frozen=True)
class Plan:
    """What came of planning: the run that has the tasks, the tasks, and how many of them another run had planned."""

    run_id: str
    task_ids: tuple[int, ...]
    skipped: int
    shared: int = 0  # tasks of earlier runs, which report them


@dataclass(frozen=True)
class Ticket:
    """A task that waits for its message to be sent."""

    task_id: int
    run_id: str
    series: Series
    window: Window


@dataclass(frozen=True)
class Claim:
    """What became of the tasks that a worker wanted to claim."""

    held: tuple[FetchTask, ...]  # leased to this worker; may hold urgent tasks that it did not name
    settled: frozenset[int] = frozenset()  # need no worker any more
    unknown: frozenset[int] = frozenset()  # there is no such task


@dataclass(frozen=True)
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

    def retry(self, run: NewRun, ids: Collection[int] | None) -> Plan:
        """Plan failed tasks (`ids`, or all that nobody has retried) once more, in a run of their own."""
        ...

    def to_send(self, most: int, patience: float) -> list[Ticket]:
        """Take tasks whose message is to be sent, daily work first; others get them only after `patience` seconds."""
        ...

    def unsent(self) -> int:
        """Return how many tasks wait for their message to be sent, and no sender has taken them."""
        ...

    def sent(self, task_ids: Collection[int]) -> None:
        """Forget that the messages of these tasks are to be sent."""
        ...

    def claim(
        self, ids: Collection[int], owner: str, lease: float, most: int, widths: Mapping[str, int] | None = None
    ) -> Claim:
        """Lease up to `most` tasks to `owner` for `lease` seconds; each claim raises a task's fencing number.

        A task can be claimed when nobody holds its lease and no other task of its series is leased. Daily work goes
        first: where some of `ids` are other work, pending daily tasks are claimed before them, also unnamed ones. A
        task whose holders have died too often is given up. The same `owner` again gets what it has got.

        Of a vendor that answers so many symbols at once (`widths`, by source), pending tasks with the dataset,
        timeframe and window of a claimed one come along, although unnamed.
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
        landed.
        """
        ...

    def release(self, tasks: Sequence[FetchTask], delay: float, error: str | None = None, requests: int = 0) -> None:
        """Give tasks back, to be claimed after `delay` seconds; no failure is counted.

        `requests` were made for them together.
        """
        ...

    def pass_on(
        self, task: FetchTask, error_class: str, error: str, *, requests: int = 1, events: Window | None = None
    ) -> bool:
        """Give a task up at its vendor, and plan it at the next one in its order, in the same run.

        `events`: also the events of that window, which do not come with the next vendor's bars; who waits for the task
        (`count`, `any_unfinished`) waits for these, too. Events that this vendor was to tell follow their bars: they are
        given up with them. False where it is no longer held, or no other vendor stands in.
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
        """Count a failure; True: given up, False: to be tried again after `delay` seconds, None: no longer held.

        A task is given up after `most` failures, or at once where the failure is `final`.
        """
        ...

    def resend_lost(self, patience: float) -> int:
        """Have messages sent again for unfinished tasks that nobody holds and whose message is overdue; how many."""
        ...

    def count(self, ids: Collection[int] | None = None) -> dict[TaskState, int]:
        """Return how many tasks (of `ids`, or all) are in each state; states without tasks are absent.

        A task that was passed on is not counted, but the one that took its place, also among `ids`.
        """
        ...

    def any_unfinished(self, ids: Collection[int] | None = None) -> bool:
        """Tell whether one of these tasks (or one that took its place), or of all, has not ended."""
        ...

    def dead(self) -> int:
        """Return how many tasks were given up and not retried."""
        ...

    def listed(self, state: TaskState | None, run_id: str | None, most: int, *, dead: bool = False) -> list[Row]:
        """Return tasks for people, the newest first; `dead`: given up and not retried."""
        ...
