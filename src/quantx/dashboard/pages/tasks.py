"""The tasks: filter, detail with replies and trace, and retry of those that failed permanently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.actions import Action, Form
from quantx.dashboard.context import Dashboard
from quantx.dashboard.filters import PAGE_ROWS, Filter, Filters, filters_of, number_of, older_link
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.pages.runs import run_address
from quantx.dashboard.tables import ShownCell, ShownColumn, ShownTable, days_of_row, shown_table
from quantx.errors import NotInLake
from quantx.pages.views import text_of
from quantx.state.values import Row, TaskState

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform
    from quantx.state.tasks.port import Tasks

_DEAD = "dead"
_STATE = Filter(
    "state", "state", (*((each, each) for each in get_args(TaskState)), (_DEAD, "failed permanently, not retried"))
)
_FILTERS = (_STATE, Filter("source", "vendor"), Filter("symbol", "symbol"), Filter("run", "run"))


def task_address(task_id: int) -> str:
    """Return the address of a task's page."""
    return f"/tasks/{task_id}"


def state_of(row: Mapping[str, Any]) -> str:
    """Return the state of a task as people name it."""
    if row["passed_on"]:
        return "passed on"
    return "failed, retried" if row["state"] == "failed" and row["retried_by"] is not None else str(row["state"])


def tasks_table(rows: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the table of tasks, the newest first."""
    columns = [
        ShownColumn("id", "task", link=lambda row: task_address(row["id"]), value=lambda row: str(row["id"])),
        ShownColumn("state", value=state_of, level=True),
        ShownColumn("symbol"),
        ShownColumn("source", "vendor"),
        ShownColumn("dataset", value=lambda row: f"{row['dataset']} {row['timeframe']}"),
        ShownColumn("days", value=lambda row: days_of_row(row, "window_start", "window_end")),
        ShownColumn("kind"),
        ShownColumn("attempts", "failures"),
        *(ShownColumn(name) for name in ("rows_new", "rows_changed", "rows_rejected")),
        ShownColumn("updated_at", "changed (UTC)"),
        ShownColumn("last_error", text=True),
    ]
    return shown_table(rows, "tasks, the newest first", columns)


def task_facts(row: Mapping[str, Any]) -> list[tuple[str, ShownCell]]:
    """Return the facts of a task."""
    retried = row["retried_by"]
    texts: dict[str, Any] = {
        "state": state_of(row),
        "symbol": row["symbol"],
        "vendor": row["source"],
        "dataset": f"{row['dataset']} {row['timeframe']}",
        "days": days_of_row(row, "window_start", "window_end"),
        "kind": row["kind"],
        "planned (UTC)": row["created_at"],
        "changed (UTC)": row["updated_at"],
        "not before (UTC)": row["not_before"] if row["state"] == "pending" else None,
        "lease until (UTC)": row["lease_until"],
        "requests": row["requests"],
        "failures": row["attempts"],
        "leases that ran out": row["lapses"],
        "rows": ", ".join(f"{row[f'rows_{name}']:,} {name}" for name in ("new", "changed", "same", "rejected")),
        "fallback vendors": ", ".join(row["fallback"]) or None,
        "error": row["error_class"],
    }
    links = [
        ("run", ShownCell(row["run_id"], run_address(row["run_id"]))),
        ("retried by", ShownCell(f"task {retried}", task_address(retried))) if retried else None,
    ]
    facts = [(name, ShownCell(text_of(value))) for name, value in texts.items() if value is not None]
    return [*facts, *(link for link in links if link is not None)]


def list_tasks(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the newest tasks, or of those before one."""
    filters = filters_of(request, *_FILTERS)
    rows = dashboard.from_state(lambda platform: _rows(platform.state.tasks, filters))
    dead = [row for row in rows or () if row["state"] == "failed" and row["retried_by"] is None]
    return rendered(
        request,
        "tasks.html",
        title="Tasks",
        filters=filters,
        no_database=dashboard.no_database if rows is None else "",
        table=tasks_table(rows or []),
        links=older_link(filters, rows or []),
        dead=[(row["id"], f"{row['id']}: {row['symbol']} of {row['source']}") for row in dead],
        dead_address=f"/tasks?state={_DEAD}",
    )


def show_task(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of a task: its facts, its last error, its replies, and the trace of its run."""
    from quantx.tracing import run_context

    text = request.path_params["task"]
    number = number_of(text)
    if number is None:
        raise NotInLake("a task has a number; the list of tasks has all of them")
    found = dashboard.from_state(lambda p: (p.state.tasks.find(number), p.state.tasks.replies_of(number)))
    if found is not None and found[0] is None:
        raise NotInLake(f"there is no task {text}; the list of tasks has all of them")
    task, replies = found or (None, [])
    columns = [
        ShownColumn("fetched_at", "fetched (UTC)"),
        ShownColumn("size", "bytes"),
        ShownColumn("row", "place in the object"),
    ]
    columns += [ShownColumn("malformed", "can't be read", text=True), ShownColumn("path", "raw object", text=True)]
    return rendered(
        request,
        "task.html",
        title=f"Task {text}",
        no_database=dashboard.no_database if task is None else "",
        task=task,
        facts=task_facts(task) if task else [],
        is_dead=bool(task and task["state"] == "failed" and task["retried_by"] is None),
        replies=shown_table(replies, "replies in the raw zone", columns),
        trace=f"{run_context(task['run_id']).trace_id:032x}" if task else "",
        series=f"/series?symbol={quote(task['symbol'], safe='')}" if task else "",
    )


def _rows(tasks: Tasks, filters: Filters) -> list[Row]:
    state = filters.get("state")
    return tasks.listed(
        None if state == _DEAD else cast("TaskState | None", state),
        filters.get("run"),
        PAGE_ROWS,
        dead=state == _DEAD,
        source=filters.get("source"),
        symbol=filters.get("symbol"),
        before=filters.number("before"),
    )


def _retry(platform: Platform, form: Form) -> str:
    from quantx.pipeline.planning.plan import retry_dead

    plan = retry_dead(platform, form.numbers("task"))
    return f"run {plan.run_id} has {len(plan.task_ids):,} of them; a worker processes it"


PAGES = (
    WebPage(path="/tasks", title="Tasks", handler=list_tasks),
    WebPage(path="/tasks/{task}", handler=show_task),
)
ACTIONS = (Action(name="tasks.retry", label="Retry", run=_retry, fields=("task",)),)
