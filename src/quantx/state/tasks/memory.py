"""Tasks in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from typing_extensions import override

from quantx.core.model import FetchTask, RunKind, Series, StoredReply, Window
from quantx.state.memory_records import ReplyRecord, RunRecord, TaskRecord
from quantx.state.tasks.memory_shown import ShownTasks
from quantx.state.tasks.port import Claim, NewTask, Plan, RawObject, Ticket
from quantx.state.values import UNFINISHED, NewRun, TaskState

_MOST_LAPSES = 10  # holders of a task that may die before it fails
_MOST_RESENT = 1000
_REFUSALS = ("UnknownSymbol", "NotEntitled")


class MemoryTasks(ShownTasks):
    """The state's tasks."""

    @override
    def plan(self, run: NewRun, wanted: Sequence[NewTask]) -> Plan:
        keys = {(run.kind, new.series, new.window): new.fallback for new in sorted(wanted, key=_order)}
        with self._records.lock:
            if run.id in self._records.runs:
                return self._planned_before(run, list(keys))
            return self._add_or_join(run, keys)

    @override
    def plan_held(self, run: NewRun, wanted: Sequence[NewTask], owner: str, lease: float) -> tuple[FetchTask, ...]:
        with self._records.lock:
            outbox = dict(self._records.outbox)
            named = [self._records.tasks[i] for i in sorted(self.plan(run, wanted).task_ids)]
            self._records.outbox, now = outbox, self._records.clock.now()
            return tuple(
                self._lease(task, owner, lease)
                for task in named
                if task.state in ("pending", "leased") and (not task.leased_at(now) or task.lease_owner == owner)
            )

    @override
    def retry(self, run: NewRun, ids: Collection[int] | None) -> Plan:
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

    @override
    def to_send(self, most: int, seconds: float) -> list[Ticket]:
        now = self._records.clock.now()
        with self._records.lock:
            for task_id in list(self._records.outbox):
                if self._records.tasks[task_id].state not in ("pending", "leased"):
                    del self._records.outbox[task_id]  # a message arrived although its sender got an error
            tasks = [
                self._records.tasks[i] for i, taken in self._records.outbox.items() if taken is None or taken <= now
            ]
            tasks = sorted(tasks, key=lambda task: (task.kind != "daily", task.id))[:most]
            free = [task.id for task in tasks]
            self._records.outbox |= dict.fromkeys(free, self._records.in_(seconds))
            return [Ticket(t.id, t.run_id, t.series, t.window) for t in tasks]

    @override
    def unsent(self) -> int:
        now = self._records.clock.now()
        with self._records.lock:
            return sum(taken is None or taken <= now for taken in self._records.outbox.values())

    @override
    def sent(self, task_ids: Collection[int]) -> None:
        with self._records.lock:
            for task_id in task_ids:
                self._records.outbox.pop(task_id, None)

    @override
    def claim(
        self, ids: Collection[int], owner: str, lease: float, most: int, widths: Mapping[str, int] | None = None
    ) -> Claim:
        with self._records.lock:
            tasks = self._records.tasks
            named = [tasks[i] for i in dict.fromkeys(ids) if i in tasks]
            for task in named:
                self._fail_deadly(task, owner)
            held: list[FetchTask] = []
            for task in sorted([*named, *self._urgent(named)], key=lambda t: (t.kind != "daily", t.id)):
                if len(held) < most and self._can_be_claimed(task, owner):
                    held.append(self._lease(task, owner, lease))
                    self._take_from_lapsed(task)
            held += self._claim_mates(held, widths or {}, owner, lease)
            complete = frozenset(t.id for t in named if t.state in ("landed", "done", "failed"))
            return Claim(tuple(held), complete, frozenset(i for i in ids if i not in tasks))

    @override
    def extend(self, tasks: Sequence[FetchTask], lease: float) -> set[int]:
        with self._records.lock:
            held = [record for task in tasks if (record := self._held(task)) is not None]
            for record in held:
                record.lease_until = self._records.in_(lease)
            return {record.id for record in held}

    @override
    def land(
        self,
        raw: RawObject,
        replies: Sequence[StoredReply],
        tasks: Sequence[FetchTask],
        requests: Sequence[int] | None = None,
    ) -> set[int]:
        costs = [1] * len(replies) if requests is None else requests
        with self._records.lock:
            if raw.path in self._records.raw:
                return set(self._records.raw[raw.path])
            landed = self._records.raw[raw.path] = set()
            now = self._records.clock.now()
            sizes = {"source": raw.source, "dataset": raw.dataset, "replies": raw.payloads, "size": raw.size}
            self._records.raw_sizes.append(sizes | {"last_at": now})
            for reply, held, cost in zip(replies, tasks, costs, strict=True):
                if reply.malformed is None:
                    task = self._may_land(held)
                    if task is None:
                        continue
                    task.becomes("landed", now)
                    task.requests += cost
                    task.error_class = task.last_error = None
                    landed.add(task.id)
                    self._settle_dead(task)
                number = len(self._records.replies) + 1
                self._records.replies.append(ReplyRecord(number, reply, landed_at=now))
            return set(landed)

    def _settle_dead(self, landed: TaskRecord) -> None:
        """Settle the dead tasks whose windows this later task of their series has fetched again."""
        for task in self._records.tasks.values():
            dead = task.state == "failed" and task.retried_by is None
            start, end = landed.window.start <= task.window.start, landed.window.end >= task.window.end
            if dead and task.series == landed.series and task.id < landed.id and start and end:
                task.retried_by = landed.id

    @override
    def release(self, tasks: Sequence[FetchTask], delay: float, error: str | None = None, requests: int = 0) -> None:
        with self._records.lock:
            for place, task in enumerate(tasks):
                record = self._held(task)
                if record is not None:
                    record.becomes("pending", self._records.clock.now())
                    record.not_before = self._records.in_(delay)
                    record.requests += requests if place == 0 else 0
                    record.last_error = error or record.last_error

    @override
    def pass_on(
        self, task: FetchTask, error_class: str, error: str, *, requests: int = 1, events: Window | None = None
    ) -> bool:
        with self._records.lock:
            record = self._held(task)
            if record is None or not (record.fallback or (bars := self._bars_passed_on(record))):
                return False
            record.attempts, record.requests = record.attempts + 1, record.requests + requests
            if not record.fallback:
                self._follow(record, bars, error_class, error)
                return True
            series = replace(record.series, source=record.fallback[0])
            planned = self._unfinished_equal(record.kind, series, record.window)
            planned = planned or self._add(record.run_id, record.kind, series, record.window, record.fallback[1:])
            self._follow(record, planned.id, error_class, error)
            for beside in self._records.tasks_of(record.run_id):
                waits = beside.state == "pending" or (beside.state == "failed" and beside.retried_by is None)
                if waits and self._bars_passed_on(beside) == planned.id:
                    self._follow(beside, planned.id, error_class, error)
            if events is not None:
                apart = replace(series, dataset="actions")
                if self._unfinished_equal(record.kind, apart, events) is None:
                    self._add(record.run_id, record.kind, apart, events)
            if error_class in _REFUSALS:
                self._note_failure(record.series, error, refused=True)
            return True

    def _bars_passed_on(self, events: TaskRecord) -> int | None:
        """Return the successor of the bars beside these events; None where the bars were not passed on."""
        bars = replace(events.series, dataset="bars")
        beside = [t for t in self._records.tasks_of(events.run_id) if t.series == bars and t.passed_on]
        return beside[0].retried_by if beside and events.series.dataset == "actions" else None

    def _follow(self, task: TaskRecord, by: int | None, error_class: str, error: str) -> None:
        """Fail a task that has a successor."""
        task.becomes("failed", self._records.clock.now())
        task.passed_on, task.retried_by = True, by
        task.error_class, task.last_error = error_class, error

    @override
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
        with self._records.lock:
            record = self._held(task)
            if record is None:
                return None
            record.attempts += 1
            record.requests += requests
            failed = final or record.attempts >= most
            record.becomes("failed" if failed else "pending", self._records.clock.now())
            record.not_before = self._records.in_(delay)
            record.error_class, record.last_error = error_class, error
            if failed:
                self._note_failure(record.series, error, refused=error_class in _REFUSALS)
            return failed

    def _note_failure(self, named: Series, error: str, *, refused: bool) -> None:
        series = self._records.series_of(named)
        series.failures += 1
        series.last_error, series.refused = error, refused
        series.last_asked_at = self._records.clock.now()

    @override
    def complete(self, task: FetchTask, new: int, changed: int, rejected: int) -> bool:
        with self._records.lock:
            record = self._held(task)
            if record is None:
                return False
            record.add_rows(new=new, changed=changed, rejected=rejected)
            record.becomes("done", self._records.clock.now())
            return True

    @override
    def resend_lost(self, seconds: float) -> int:
        with self._records.lock:
            overdue = self._records.clock.now() - timedelta(seconds=seconds)
            lost = [task for task in self._records.tasks.values() if task.is_lost(overdue)][:_MOST_RESENT]
            for task in lost:
                task.updated_at = self._records.clock.now()
                self._records.outbox[task.id] = None
            return len(lost)

    @override
    def count(self, ids: Collection[int] | None = None) -> dict[TaskState, int]:
        counted: dict[TaskState, int] = {}
        with self._records.lock:
            current = None if ids is None else self._successors(ids)
            for task in self._records.tasks.values():
                if task.id in current if current is not None else not task.passed_on:
                    counted[task.state] = counted.get(task.state, 0) + 1
        return counted

    @override
    def any_unfinished(self, ids: Collection[int] | None = None) -> bool:
        with self._records.lock:
            return any(self.count(ids).get(state) for state in UNFINISHED)

    @override
    def few_left(self, most: int) -> bool:
        with self._records.lock:
            return sum(task.state in ("pending", "leased") for task in self._records.tasks.values()) <= most

    @override
    def dead(self) -> int:
        with self._records.lock:
            return sum(t.state == "failed" and t.retried_by is None for t in self._records.tasks.values())

    @override
    def settled(self, ids: Collection[int]) -> set[int]:
        with self._records.lock:
            named = [self._records.tasks[i] for i in ids if i in self._records.tasks]
            retried = {t.id for t in named if t.state == "failed" and t.retried_by is not None}
            return retried | {t.id for t in named if t.state in ("landed", "done")}

    def _successors(self, ids: Collection[int]) -> set[int]:
        """Return these tasks or their successors, and the events that are fetched beside the successors."""
        current = {self._successor(i) for i in ids}
        others = [self._records.tasks[i] for i in current - set(ids)]
        events = {(t.run_id, replace(t.series, dataset="actions")) for t in others if t.series.dataset == "bars"}
        return current | {t.id for t in self._records.tasks.values() if (t.run_id, t.series) in events}

    def _successor(self, task_id: int) -> int:
        """Return the successor of a task that was passed on, or the task itself."""
        task = self._records.tasks.get(task_id)
        while task is not None and task.passed_on and task.retried_by is not None:
            task = self._records.tasks[task.retried_by]
        return task_id if task is None else task.id

    def _claim_mates(
        self, claimed: Sequence[FetchTask], widths: Mapping[str, int], owner: str, lease: float
    ) -> list[FetchTask]:
        """Lease tasks that the requests for claimed tasks can serve, too."""
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
        """Add a run with its tasks, or return the plan of the one run that has them all."""
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
        """Return the plan of an earlier call with the same run."""
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
            id=number,
            run_id=run_id,
            kind=kind,
            series=series,
            window=window,
            created_at=now,
            updated_at=now,
            not_before=now,
            fallback=fallback,
        )
        self._records.outbox[number] = None
        return task

    def _urgent(self, named: Sequence[TaskRecord]) -> list[TaskRecord]:
        """Return the daily tasks that are not named and go before the named ones."""
        if all(task.kind == "daily" or task.state not in ("pending", "leased") for task in named):
            return []
        names, now = {task.id for task in named}, self._records.clock.now()
        return [
            task
            for task in self._records.tasks.values()
            if task.kind == "daily" and task.state == "pending" and task.not_before <= now and task.id not in names
        ]

    def _take_from_lapsed(self, claimed: TaskRecord) -> None:
        """Release lapsed leases of the series' other tasks: a holder that comes back must not land them."""
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

    def _fail_deadly(self, task: TaskRecord, owner: str) -> None:
        """Fail a task whose holders have died too often, instead of leasing it again."""
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
        return task.as_held(has_history=series is not None and series.watermark is not None)

    def _held(self, task: FetchTask) -> TaskRecord | None:
        """Return the record of a task where it is still held under this fencing number, else None."""
        record = self._records.tasks.get(task.id)
        return record if record is not None and record.state == "leased" and record.fence == task.fence else None

    def _may_land(self, task: FetchTask) -> TaskRecord | None:
        return self._held(task)


def _order(new: NewTask) -> tuple[object, ...]:
    series = new.series
    return (series.symbol, series.dataset, series.timeframe, series.source, new.window.start, new.window.end)


def _group(series: Series, window: Window) -> tuple[object, ...]:
    """Return the key that tasks of one request have in common."""
    return (series.source, series.dataset, series.timeframe, window)
