"""Tasks in memory, as people see them."""

from __future__ import annotations

from typing_extensions import override

from quantx.core.model import StoredReply
from quantx.state.memory_records import Records, TaskRecord
from quantx.state.tasks.port import Tasks
from quantx.state.values import Row, TaskState


class ShownTasks(Tasks):
    """The part of the tasks in memory that shows them."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @override
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
        with self._records.lock:
            rows = [
                task
                for task in reversed(self._records.tasks.values())
                if (state is None or task.state == state)
                and (run_id is None or task.run_id == run_id)
                and (not dead or (task.state == "failed" and task.retried_by is None))
                and source in (None, task.series.source)
                and symbol in (None, task.series.symbol)
                and (before is None or task.id < before)
            ]
            return [shown_task(task) for task in rows[:limit]]

    @override
    def find(self, task_id: int) -> Row | None:
        with self._records.lock:
            task = self._records.tasks.get(task_id)
            return None if task is None else full_task(task)

    @override
    def replies_of(self, task_id: int) -> list[Row]:
        with self._records.lock:
            return [shown_reply(x.reply) for x in self._records.replies if x.reply.task_id == task_id]


def shown_task(task: TaskRecord) -> Row:
    """Return a task as `Tasks.listed` shows it."""
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


def full_task(task: TaskRecord) -> Row:
    """Return a task as `Tasks.find` shows it."""
    return shown_task(task) | {
        "rows_same": task.rows["same"],
        "requests": task.requests,
        "created_at": task.created_at,
        "not_before": task.not_before,
        "lease_until": task.lease_until,
        "fallback": list(task.fallback),
    }


def shown_reply(reply: StoredReply) -> Row:
    """Return a stored reply as `Tasks.replies_of` shows it."""
    return {name: getattr(reply, name) for name in ("path", "row", "fetched_at", "size", "malformed")}
