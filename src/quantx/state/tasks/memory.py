"""Tasks in memory: planned once, held by one worker at a time, never lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from quantx.core.model import FetchTask, RunKind, Series, Window
from quantx.state.memory_records import LandingRecord, Records, RunRecord, TaskRecord
from quantx.state.tasks.port import Claim, LandedReply, NewTask, Plan, RawObject, Ticket
from quantx.state.values import UNFINISHED, NewRun, Row, TaskState

_MOST_LAPSES = 10  # holders that may die over a task before it is given up
_MOST_RESENT = 1000
_REFUSALS = ("UnknownSymbol", "NotEntitled")


class MemoryTasks:
    """The state's tasks."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def plan(self, run: NewRun, wanted: Sequence[NewTask]) -> Plan:
        """Record a run with its tasks; unfinished equal tasks are shared."""
        keys = {(run.kind, new.series, new.window): new.fallback for new in sorted(wanted, key=_order)}
        with self._records.lock:
            if run.id in self._records.runs:
                return self._planned_before(run, list(keys))
            return self._add_or_join(run, keys)

    def retry(self, run: NewRun, ids: Collection[int] | None) -> Plan:
        """Plan failed tasks that nobody has retried once more."""
        with self._records.lock:
            if run.id in self._records.runs:
                return self._planned_before(run, [])
            dead = [
                task
                for task in self._records.tasks.values()
                if task.state == "failed" and task.retried_by is None and (ids is None or task.id in ids)
            ]
            plan = self._add_or_join(run, {(t.kind, t.series, t.window): t.fallback for t in dead})
            for task in dead:
                again = self._unfinished_equal(task.kind, task.series, task.window)
                task.retried_by = again.id if again else None
            return plan

    def to_send(self, most: int, patience: float) -> list[Ticket]:
        """Take tasks whose message is to be sent."""
        now = self._records.clock.now()
        with self._records.lock:
            for task_id in list(self._records.outbox):
                if self._records.tasks[task_id].state not in ("pending", "leased"):
                    del self._records.outbox[task_id]  # a message came although its sender got an error
            tasks = [
                self._records.tasks[i] for i, taken in self._records.outbox.items() if taken is None or taken <= now
            ]
            tasks = sorted(tasks, key=lambda task: (task.kind != "daily", task.id))[:most]
            free = [task.id for task in tasks]
            self._records.outbox |= dict.fromkeys(free, self._records.in_(patience))
            return [Ticket(t.id, t.run_id, t.series, t.window) for t in tasks]

    def unsent(self) -> int:
        """Return how many tasks wait for their message to be sent, and no sender has taken them."""
        now = self._records.clock.now()
        with self._records.lock:
            return sum(taken is None or taken <= now for taken in self._records.outbox.values())

    def sent(self, task_ids: Collection[int]) -> None:
        """Forget that the messages of these tasks are to be sent."""
        with self._records.lock:
            for task_id in task_ids:
                self._records.outbox.pop(task_id, None)

    def claim(
        self, ids: Collection[int], owner: str, lease: float, most: int, widths: Mapping[str, int] | None = None
    ) -> Claim:
        """Lease up to `most` tasks to `owner`, daily work first, and what the same requests can serve."""
        with self._records.lock:
            tasks = self._records.tasks
            named = [tasks[i] for i in dict.fromkeys(ids) if i in tasks]
            for task in named:
                self._give_up_deadly(task, owner)
            held: list[FetchTask] = []
            for task in sorted([*named, *self._urgent(named)], key=lambda t: (t.kind != "daily", t.id)):
                if len(held) < most and self._can_be_claimed(task, owner):
                    held.append(self._lease(task, owner, lease))
                    self._take_from_lapsed(task)
            held += self._claim_mates(held, widths or {}, owner, lease)
            settled = frozenset(t.id for t in named if t.state in ("landed", "done", "failed"))
            return Claim(tuple(held), settled, frozenset(i for i in ids if i not in tasks))

    def extend(self, tasks: Sequence[FetchTask], lease: float) -> set[int]:
        """Extend leases and return the ids of those tasks that are still held."""
        with self._records.lock:
            kept = [found for task in tasks if (found := self._held(task)) is not None]
            for found in kept:
                found.lease_until = self._records.in_(lease)
            return {found.id for found in kept}

    def land(self, raw: RawObject, replies: Sequence[LandedReply]) -> set[int]:
        """Record stored replies and return the tasks that have landed."""
        with self._records.lock:
            if raw.path in self._records.raw:
                return set(self._records.raw[raw.path])
            landed = self._records.raw[raw.path] = set()
            for reply in replies:
                if reply.malformed is None:
                    task = self._may_land(reply.task)
                    if task is None:
                        continue
                    task.becomes("landed", self._records.clock.now())
                    task.requests += reply.requests
                    task.error_class = task.last_error = None
                    landed.add(task.id)
                number = len(self._records.landings) + 1
                place = (number, raw.path, reply.row, reply.task.id, reply.task.series)
                self._records.landings.append(
                    LandingRecord(
                        *place,
                        reply.fetched_at,
                        reply.size,
                        reply.malformed,
                        landed_at=self._records.clock.now(),
                        rows=reply.rows,
                    )
                )
            return set(landed)

    def release(self, tasks: Sequence[FetchTask], delay: float, error: str | None = None, requests: int = 0) -> None:
        """Give tasks back; no failure is counted."""
        with self._records.lock:
            for place, task in enumerate(tasks):
                found = self._held(task)
                if found is not None:
                    found.becomes("pending", self._records.clock.now())
                    found.not_before = self._records.in_(delay)
                    found.requests += requests if place == 0 else 0
                    found.last_error = error or found.last_error

    def pass_on(
        self, task: FetchTask, error_class: str, error: str, *, requests: int = 1, events: Window | None = None
    ) -> bool:
        """Give a task up at its vendor, and plan it at the next one in its order, with its events where they are apart."""
        with self._records.lock:
            found = self._held(task)
            if found is None or not (found.fallback or (bars := self._bars_passed_on(found))):
                return False
            found.attempts, found.requests = found.attempts + 1, found.requests + requests
            if not found.fallback:
                self._follow(found, bars, error_class, error)
                return True
            there = replace(found.series, source=found.fallback[0])
            planned = self._unfinished_equal(found.kind, there, found.window)
            planned = planned or self._add(found.run_id, found.kind, there, found.window, found.fallback[1:])
            self._follow(found, planned.id, error_class, error)
            for beside in self._records.tasks_of(found.run_id):
                waits = beside.state == "pending" or (beside.state == "failed" and beside.retried_by is None)
                if waits and self._bars_passed_on(beside) == planned.id:
                    self._follow(beside, planned.id, error_class, error)
            if events is not None:
                apart = replace(there, dataset="actions")
                if self._unfinished_equal(found.kind, apart, events) is None:
                    self._add(found.run_id, found.kind, apart, events)
            if error_class in _REFUSALS:
                self._note_failure(found.series, error, refused=True)
            return True

    def _bars_passed_on(self, events: TaskRecord) -> int | None:
        """Return the task that has taken the place of the bars beside events, None where they were not passed on."""
        bars = replace(events.series, dataset="bars")
        beside = [t for t in self._records.tasks_of(events.run_id) if t.series == bars and t.passed_on]
        return beside[0].retried_by if beside and events.series.dataset == "actions" else None

    def _follow(self, task: TaskRecord, by: int | None, error_class: str, error: str) -> None:
        """Give a task up for the one that takes its place."""
        task.becomes("failed", self._records.clock.now())
        task.passed_on, task.retried_by = True, by
        task.error_class, task.last_error = error_class, error

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
        """Count a failure; True: given up, False: to be tried again, None: no longer held."""
        with self._records.lock:
            found = self._held(task)
            if found is None:
                return None
            found.attempts += 1
            found.requests += requests
            given_up = final or found.attempts >= most
            found.becomes("failed" if given_up else "pending", self._records.clock.now())
            found.not_before = self._records.in_(delay)
            found.error_class, found.last_error = error_class, error
            if given_up:
                self._note_failure(found.series, error, refused=error_class in _REFUSALS)
            return given_up

    def _note_failure(self, named: Series, error: str, *, refused: bool) -> None:
        series = self._records.series_of(named)
        series.failures += 1
        series.last_error, series.refused = error, refused
        series.last_asked_at = self._records.clock.now()

    def resend_lost(self, patience: float) -> int:
        """Have messages sent again for unfinished tasks that nobody holds and whose message is overdue."""
        with self._records.lock:
            overdue = self._records.clock.now() - timedelta(seconds=patience)
            lost = [task for task in self._records.tasks.values() if _is_lost(task, overdue)][:_MOST_RESENT]
            for task in lost:
                task.updated_at = self._records.clock.now()
                self._records.outbox[task.id] = None
            return len(lost)

    def count(self, ids: Collection[int] | None = None) -> dict[TaskState, int]:
        """Return how many tasks are in each state."""
        counted: dict[TaskState, int] = {}
        with self._records.lock:
            standing = None if ids is None else self._standing(ids)
            for task in self._records.tasks.values():
                if task.id in standing if standing is not None else not task.passed_on:
                    counted[task.state] = counted.get(task.state, 0) + 1
        return counted

    def any_unfinished(self, ids: Collection[int] | None = None) -> bool:
        """Tell whether one of these tasks, or of all, has not ended."""
        with self._records.lock:
            return any(self.count(ids).get(state) for state in UNFINISHED)

    def dead(self) -> int:
        """Return how many tasks were given up and not retried."""
        with self._records.lock:
            return sum(t.state == "failed" and t.retried_by is None for t in self._records.tasks.values())

    def listed(self, state: TaskState | None, run_id: str | None, most: int, *, dead: bool = False) -> list[Row]:
        """Return tasks for people, the newest first."""
        with self._records.lock:
            found = [
                task
                for task in reversed(self._records.tasks.values())
                if (state is None or task.state == state)
                and (run_id is None or task.run_id == run_id)
                and (not dead or (task.state == "failed" and task.retried_by is None))
            ]
            return [_shown(task) for task in found[:most]]

    def _standing(self, ids: Collection[int]) -> set[int]:
        """Return the tasks that stand for these now, and the events that are asked for with those of other vendors."""
        standing = {self._standing_for(i) for i in ids}
        others = [self._records.tasks[i] for i in standing - set(ids)]
        events = {(t.run_id, replace(t.series, dataset="actions")) for t in others if t.series.dataset == "bars"}
        return standing | {t.id for t in self._records.tasks.values() if (t.run_id, t.series) in events}

    def _standing_for(self, task_id: int) -> int:
        """Return the task that has taken the place of one that was passed on, or the task itself."""
        task = self._records.tasks.get(task_id)
        while task is not None and task.passed_on and task.retried_by is not None:
            task = self._records.tasks[task.retried_by]
        return task_id if task is None else task.id

    def _claim_mates(
        self, claimed: Sequence[FetchTask], widths: Mapping[str, int], owner: str, lease: float
    ) -> list[FetchTask]:
        """Lease what the requests for claimed tasks can serve as well."""
        groups = Counter((task.series.source, _group(task.series, task.window)) for task in claimed)
        now, mates = self._records.clock.now(), list[FetchTask]()
        held = {task.id for task in claimed}
        for (source, group), count in groups.items():
            left = widths.get(source, 1) - count
            for task in sorted(self._records.tasks.values(), key=lambda t: (t.kind != "daily", t.id)):
                waits = task.state == "pending" and task.not_before <= now
                mine = task.state == "leased" and task.lease_owner == owner and task.id not in held
                fits = (waits or mine) and _group(task.series, task.window) == group
                if left > 0 and fits and self._can_be_claimed(task, owner):
                    mates.append(self._lease(task, owner, lease))
                    self._take_from_lapsed(task)
                    left -= 1
        return mates

    def _add_or_join(self, run: NewRun, wanted: Mapping[tuple[RunKind, Series, Window], tuple[str, ...]]) -> Plan:
        """Add a run with its tasks, or find the one run that has them all."""
        equal = [self._unfinished_equal(*key) for key in wanted]
        owners = {task.run_id for task in equal if task is not None}
        if wanted and None not in equal and len(owners) == 1:
            earlier = self._records.runs[owners.pop()].asked
            return Plan(earlier.id, tuple(task.id for task in equal if task is not None), earlier.skipped)
        self._records.runs[run.id] = RunRecord(run, self._records.clock.now())
        tasks = {key: self._unfinished_equal(*key) or self._add(run.id, *key, order) for key, order in wanted.items()}
        shared = sum(task.run_id != run.id for task in tasks.values())
        return Plan(run.id, tuple(task.id for task in tasks.values()), run.skipped, shared)

    def _planned_before(self, run: NewRun, wanted: Sequence[tuple[RunKind, Series, Window]]) -> Plan:
        """Return what an earlier call with the same run has planned."""
        own = [task.id for task in self._records.tasks_of(run.id)]
        equal = [self._unfinished_equal(*key) for key in wanted]
        shared = [task.id for task in equal if task is not None and task.run_id != run.id]
        return Plan(run.id, (*own, *shared), self._records.runs[run.id].asked.skipped, len(shared))

    def _unfinished_equal(self, kind: RunKind, series: Series, window: Window) -> TaskRecord | None:
        for task in self._records.tasks.values():
            if task.state in UNFINISHED and task.key == (kind, series, window):
                return task
        return None

    def _add(
        self, run_id: str, kind: RunKind, series: Series, window: Window, fallback: tuple[str, ...] = ()
    ) -> TaskRecord:
        now, number = self._records.clock.now(), len(self._records.tasks) + 1
        task = self._records.tasks[number] = TaskRecord(
            number, run_id, kind, series, window, now, now, now, fallback=fallback
        )
        self._records.outbox[number] = None
        return task

    def _urgent(self, named: Sequence[TaskRecord]) -> list[TaskRecord]:
        """Return the daily tasks that go before the named ones, although nobody named them."""
        if all(task.kind == "daily" or task.state not in ("pending", "leased") for task in named):
            return []
        names, now = {task.id for task in named}, self._records.clock.now()
        return [
            task
            for task in self._records.tasks.values()
            if task.kind == "daily" and task.state == "pending" and task.not_before <= now and task.id not in names
        ]

    def _take_from_lapsed(self, claimed: TaskRecord) -> None:
        """Whose lease of another task of the series has run out must not come back to it."""
        for task in self._records.tasks.values():
            if task.series == claimed.series and task.id != claimed.id and task.state == "leased":
                task.becomes("pending", self._records.clock.now())
                task.fence, task.lapses = task.fence + 1, task.lapses + 1

    def _can_be_claimed(self, task: TaskRecord, owner: str) -> bool:
        now = self._records.clock.now()
        if task.state not in ("pending", "leased") or (task.leased_at(now) and task.lease_owner != owner):
            return False
        return not any(
            other.leased_at(now) and other.series == task.series and other is not task
            for other in self._records.tasks.values()
        )

    def _give_up_deadly(self, task: TaskRecord, owner: str) -> None:
        """Fail a task that has killed too many workers, instead of giving it to another one."""
        now = self._records.clock.now()
        lapsed = task.state == "leased" and not task.leased_at(now) and task.lease_owner != owner
        if lapsed and task.lapses + 1 >= _MOST_LAPSES:
            task.lapses += 1
            task.becomes("failed", now)
            task.error_class = "WorkerDied"
            task.last_error = f"the workers that held it died {task.lapses} times"

    def _lease(self, task: TaskRecord, owner: str, lease: float) -> FetchTask:
        if task.lease_owner != owner:
            task.lapses += task.state == "leased"
            task.fence += 1
        task.becomes("leased", self._records.clock.now())
        task.lease_owner, task.lease_until = owner, self._records.in_(lease)
        return self._as_held(task)

    def _as_held(self, task: TaskRecord) -> FetchTask:
        series = self._records.series.get(task.series)
        known = series is not None and series.watermark is not None
        return FetchTask(
            task.id,
            task.run_id,
            task.kind,
            task.series,
            window=task.window,
            attempts=task.attempts,
            fence=task.fence,
            has_history=known,
            fallback=task.fallback,
        )

    def _held(self, task: FetchTask) -> TaskRecord | None:
        """Return the record of a task if it is still held under this fencing number."""
        found = self._records.tasks.get(task.id)
        return found if found is not None and found.state == "leased" and found.fence == task.fence else None

    def _may_land(self, task: FetchTask) -> TaskRecord | None:
        return self._held(task)


def _order(new: NewTask) -> tuple[object, ...]:
    series = new.series
    return (series.symbol, series.dataset, series.timeframe, series.source, new.window.start, new.window.end)


def _group(series: Series, window: Window) -> tuple[object, ...]:
    """Return what tasks have in common that one request can serve."""
    return (series.source, series.dataset, series.timeframe, window)


def _is_lost(task: TaskRecord, overdue: datetime) -> bool:
    if task.state == "pending":
        return task.not_before < overdue and task.updated_at < overdue
    return task.state == "leased" and task.lease_until is not None and max(task.lease_until, task.updated_at) < overdue


def _shown(task: TaskRecord) -> Row:
    return {
        "id": task.id,
        "run_id": task.run_id,
        "kind": task.kind,
        "source": task.series.source,
        "dataset": task.series.dataset,
        "symbol": task.series.symbol,
        "timeframe": task.series.timeframe,
        "window_start": task.window.start,
        "window_end": task.window.end,
        "state": task.state,
        "attempts": task.attempts,
        "lapses": task.lapses,
        "rows_new": task.rows["new"],
        "rows_changed": task.rows["changed"],
        "rows_rejected": task.rows["rejected"],
        "error_class": task.error_class,
        "last_error": task.last_error,
        "updated_at": task.updated_at,
        "retried_by": task.retried_by,
        "passed_on": task.passed_on,
    }
