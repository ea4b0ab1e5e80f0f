"""Tasks in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb
from typing_extensions import override

from quantx.core.model import FetchTask, Series, StoredReply, Window
from quantx.state.database import Database, run
from quantx.state.tasks.port import Claim, NewTask, Plan, RawObject, Tasks, Ticket
from quantx.state.values import NewRun, Row, TaskState

_DEADLY = 10  # leases of one task that may run out before it fails
_COMPLETE = ("landed", "done", "failed")
_GROUP = ("source", "dataset", "timeframe", "window_start", "window_end")  # what one request has in common
_LASTING = ("UnknownSymbol", "NotEntitled")  # errors that the next day does not change


class PostgresTasks(Tasks):
    """Tasks, the outbox of their messages, and their stored replies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    def plan(self, new: NewRun, wanted: Sequence[NewTask]) -> Plan:
        with self._database.transaction() as connection:
            rows = run(connection, "tasks.plan", {**_facts_of(new), **_new_tasks(wanted)})
            return _joined(connection, new, rows) if rows else _plan_of(connection, new)

    @override
    def plan_held(self, new: NewRun, wanted: Sequence[NewTask], owner: str, lease: float) -> tuple[FetchTask, ...]:
        with self._database.transaction() as connection:
            rows = run(connection, "tasks.plan", {**_facts_of(new), **_new_tasks(wanted)})
            plan = _joined(connection, new, rows) if rows else _plan_of(connection, new)
            run(connection, "tasks.clear_outbox", {"ids": [row["id"] for row in rows if row["created"]]})
            wanted_ids = {"ids": list(plan.task_ids), "owner": owner, "lease": lease}
            return tuple(_task(row) for row in run(connection, "tasks.lease_planned", wanted_ids))

    @override
    def retry(self, new: NewRun, ids: Collection[int] | None) -> Plan:
        with self._database.transaction() as connection:
            if not _add_run(connection, new):
                return _plan_of(connection, new)
            dead = run(connection, "tasks.dead_tasks", {"ids": None if ids is None else list(ids)})
            rows = [run(connection, "tasks.retry_task", {"id": row["id"], "run_id": new.id})[0] for row in dead]
            run(connection, "tasks.add_to_outbox", {"ids": [row["id"] for row in rows if row["created"]]})
            if not rows:  # nothing to retry is no run
                run(connection, "tasks.drop_run", {"id": new.id})
            return _joined(connection, new, rows)

    @override
    def to_send(self, most: int, seconds: float) -> list[Ticket]:
        rows = self._database.rows("tasks.take_outbox", most=most, seconds=seconds)
        rows.sort(key=lambda row: (row["kind"] != "daily", row["id"]))
        return [Ticket(row["id"], row["run_id"], _series(row), _window(row)) for row in rows]

    @override
    def unsent(self) -> int:
        return int(self._database.rows("tasks.count_unsent")[0]["unsent"])

    @override
    def sent(self, task_ids: Collection[int]) -> None:
        self._database.rows("tasks.clear_outbox", ids=list(task_ids))

    @override
    def claim(
        self, ids: Collection[int], owner: str, lease: float, most: int, widths: Mapping[str, int] | None = None
    ) -> Claim:
        wanted = {"ids": list(ids), "owner": owner}
        with self._database.transaction() as connection:
            run(connection, "tasks.one_claim_at_a_time", {})
            run(connection, "tasks.give_up_deadly", {**wanted, "lease": lease, "deadly": _DEADLY})
            rows = run(connection, "tasks.claim_tasks", {**wanted, "lease": lease, "most": most})
            rows += _claim_mates(connection, rows, widths or {}, {"owner": owner, "lease": lease})
            run(connection, "tasks.take_from_lapsed", {"ids": [row["id"] for row in rows]})
            states = {r["id"]: r["state"] for r in run(connection, "tasks.states_of", {"ids": list(ids)})}
        return Claim(
            held=tuple(_task(row) for row in rows),
            complete=frozenset(i for i, state in states.items() if state in _COMPLETE),
            unknown=frozenset(ids) - states.keys(),
        )

    @override
    def extend(self, tasks: Sequence[FetchTask], lease: float) -> set[int]:
        return {row["id"] for row in self._database.rows("tasks.extend_leases", **_held(tasks), lease=lease)}

    @override
    def land(
        self,
        raw: RawObject,
        replies: Sequence[StoredReply],
        tasks: Sequence[FetchTask],
        requests: Sequence[int] | None = None,
    ) -> set[int]:
        stored = {"path": raw.path, "source": raw.source, "dataset": raw.dataset}
        costs = [1] * len(replies) if requests is None else requests
        each = list(zip(replies, (task.fence for task in tasks), costs, strict=True))
        good = [(reply, fence, cost) for reply, fence, cost in each if reply.malformed is None]
        bad = [reply for reply in replies if reply.malformed is not None]
        with self._database.transaction() as connection:
            added = run(connection, "tasks.add_raw_object", {**stored, "payloads": raw.payloads, "bytes": raw.size})
            if not added:
                return {row["task_id"] for row in run(connection, "tasks.landed_before", {"path": raw.path})}
            raw_id = added[0]["id"]
            claims = {"fences": [fence for _, fence, _ in good], "requests": [cost for *_, cost in good]}
            landed = run(
                connection, "tasks.land", {"raw_id": raw_id, **claims, **_replies([reply for reply, *_ in good])}
            )
            run(connection, "tasks.settle_dead", {"ids": [row["task_id"] for row in landed]})
            if bad:
                why = {"why": [reply.malformed for reply in bad]}
                run(connection, "tasks.land_evidence", {"raw_id": raw_id, **why, **_replies(bad)})
            return {row["task_id"] for row in landed}

    @override
    def release(self, tasks: Sequence[FetchTask], delay: float, error: str | None = None, requests: int = 0) -> None:
        self._database.rows("tasks.release_tasks", **_held(tasks), delay=delay, error=error, requests=requests)

    @override
    def pass_on(
        self, task: FetchTask, error_class: str, error: str, *, requests: int = 1, events: Window | None = None
    ) -> bool:
        how = {"error_class": error_class, "error": error, "requests": requests}
        with self._database.transaction() as connection:
            rows = run(connection, "tasks.pass_on", {"id": task.id, "fence": task.fence, **how})
            if not rows and task.series.dataset == "actions":
                return bool(run(connection, "tasks.follow_bars", {"id": task.id, "fence": task.fence, **how}))
            if rows:
                run(connection, "tasks.note_successor", {"id": task.id, "by": rows[0]["id"]})
                run(connection, "tasks.events_follow", {"id": task.id})
                if events is not None:
                    window = {"start": events.start, "end": events.end}
                    rows += run(connection, "tasks.pass_on_events", {"id": task.id, "by": rows[0]["id"], **window})
                run(connection, "tasks.add_to_outbox", {"ids": [row["id"] for row in rows if row["created"]]})
                if error_class in _LASTING:
                    run(connection, "tasks.note_failure", {**vars(task.series), "error": error, "refused": True})
        return bool(rows)

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
        how = {"final": final, "most": most, "delay": delay, "error_class": error_class, "error": error}
        how["requests"] = requests
        with self._database.transaction() as connection:
            rows = run(connection, "tasks.fail_attempt", {"id": task.id, "fence": task.fence, **how})
            if rows and rows[0]["state"] == "failed":
                noted = {**vars(task.series), "error": error, "refused": error_class in _LASTING}
                run(connection, "tasks.note_failure", noted)
        return rows[0]["state"] == "failed" if rows else None

    @override
    def complete(self, task: FetchTask, new: int, changed: int, rejected: int) -> bool:
        held = {"id": task.id, "fence": task.fence}
        return bool(self._database.rows("tasks.complete", **held, new=new, changed=changed, rejected=rejected))

    @override
    def resend_lost(self, seconds: float) -> int:
        with self._database.transaction() as connection:
            lost = run(connection, "tasks.lost_tasks", {"seconds": seconds})
            run(connection, "tasks.add_to_outbox", {"ids": [row["id"] for row in lost]})
        return len(lost)

    @override
    def count(self, ids: Collection[int] | None = None) -> dict[TaskState, int]:
        rows = self._database.rows("tasks.count_by_state", ids=None if ids is None else list(ids))
        return {row["state"]: row["tasks"] for row in rows}

    @override
    def any_unfinished(self, ids: Collection[int] | None = None) -> bool:
        return bool(self._database.rows("tasks.any_unfinished", ids=None if ids is None else list(ids))[0]["any"])

    @override
    def few_left(self, most: int) -> bool:
        return bool(self._database.rows("tasks.few_left", most=most)[0]["few"])

    @override
    def dead(self) -> int:
        return int(self._database.rows("tasks.count_dead")[0]["dead"])

    @override
    def settled(self, ids: Collection[int]) -> set[int]:
        return {row["id"] for row in self._database.rows("tasks.settled_of", ids=list(ids))}

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
        wanted = {"state": state, "run_id": run_id, "source": source, "symbol": symbol, "before": before}
        return self._database.rows("tasks.list_tasks", limit=limit, dead=dead, **wanted)

    @override
    def find(self, task_id: int) -> Row | None:
        rows = self._database.rows("tasks.find_task", id=task_id)
        return rows[0] if rows else None

    @override
    def replies_of(self, task_id: int) -> list[Row]:
        return self._database.rows("tasks.replies_of_task", id=task_id)


def _add_run(connection: psycopg.Connection[DictRow], new: NewRun) -> bool:
    """Record a run; False where it exists: an earlier try of the same call has happened."""
    return bool(run(connection, "tasks.add_run", _facts_of(new)))


def _facts_of(new: NewRun) -> Row:
    facts = {"id": new.id, "kind": new.kind, "source": new.source, "skipped": new.skipped}
    return {**facts, "request": Jsonb(dict(new.request))}


def _plan_of(connection: psycopg.Connection[DictRow], new: NewRun) -> Plan:
    rows = run(connection, "tasks.tasks_of", {"run_id": new.id})
    return Plan(new.id, tuple(row["id"] for row in rows), new.skipped)


def _joined(connection: psycopg.Connection[DictRow], new: NewRun, rows: Sequence[Row]) -> Plan:
    """Return the plan of a run's tasks; where all of them are those of one earlier run, drop the new run."""
    created = [row["id"] for row in rows if row["created"]]
    ids, owners = tuple(sorted({row["id"] for row in rows})), {row["run_id"] for row in rows}
    if rows and not created and len(owners) == 1:
        run(connection, "tasks.drop_run", {"id": new.id})
        (earlier,) = owners
        return Plan(earlier, ids, run(connection, "tasks.skipped_of", {"id": earlier})[0]["skipped"])
    return Plan(new.id, ids, new.skipped, shared=len(ids) - len(created))


def _claim_mates(
    connection: psycopg.Connection[DictRow], claimed: Sequence[Row], widths: Mapping[str, int], holder: Row
) -> list[Row]:
    """Claim tasks that the requests for claimed tasks can serve, too."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in claimed:
        if widths.get(row["source"], 1) > 1:
            groups.setdefault(tuple(row[name] for name in _GROUP), []).append(row["id"])
    mates: list[Row] = []
    for group, ids in groups.items():
        request = dict(zip(_GROUP, group, strict=True))
        most = widths[request["source"]] - len(ids)
        if most > 0:
            mates += run(connection, "tasks.claim_mates", {**request, **holder, "held": ids, "most": most})
    return mates


def _new_tasks(wanted: Sequence[NewTask]) -> dict[str, Any]:
    return {
        "sources": [task.series.source for task in wanted],
        "datasets": [task.series.dataset for task in wanted],
        "timeframes": [task.series.timeframe for task in wanted],
        "symbols": [task.series.symbol for task in wanted],
        "starts": [task.window.start for task in wanted],
        "ends": [task.window.end for task in wanted],
        "fallbacks": [",".join(task.fallback) for task in wanted],
    }


def _held(tasks: Sequence[FetchTask]) -> dict[str, Any]:
    return {"ids": [task.id for task in tasks], "fences": [task.fence for task in tasks]}


def _replies(replies: Sequence[StoredReply]) -> dict[str, Any]:
    return {
        "ids": [r.task_id for r in replies],
        "rows": [r.row for r in replies],
        "pages": [r.rows for r in replies],
        "times": [r.fetched_at for r in replies],
        "sizes": [r.size for r in replies],
    }


def _series(row: Row) -> Series:
    return Series(row["source"], row["dataset"], row["timeframe"], row["symbol"])


def _window(row: Row) -> Window:
    return Window(row["window_start"], row["window_end"])


def _task(row: Row) -> FetchTask:
    return FetchTask(
        id=row["id"],
        run_id=row["run_id"],
        kind=row["kind"],
        series=_series(row),
        window=_window(row),
        attempts=row["attempts"],
        fence=row["fence"],
        has_history=row["has_history"],
        fallback=tuple(row["fallback"]),
    )
