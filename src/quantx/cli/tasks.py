"""Commands about tasks: list them, and retry those that failed permanently."""

from __future__ import annotations

from typing import Annotated

import typer

from quantx.cli.audited import audited
from quantx.cli.options import Json, Most, UseLocal, exits, settings_for
from quantx.cli.output import counted, out, print_json, print_table
from quantx.pipeline.runtime.platform import open_platform
from quantx.state.values import TaskState

tasks = typer.Typer(help="List tasks, and retry those that failed permanently.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    tasks.command("list")(exits(tasks_list))
    tasks.command("retry")(exits(tasks_retry))
    app.add_typer(tasks, name="tasks")


def tasks_list(
    state: Annotated[TaskState | None, typer.Option(help="Only tasks in this state.")] = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="Tasks that failed permanently, and the messages of the poison queue.")
    ] = False,
    run: Annotated[str | None, typer.Option(help="Only tasks of this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of tasks, the newest first.")] = 50,
    most: Most = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List tasks, the newest first.

    Example: quantx tasks list --dead
    """
    with open_platform(settings_for(use_local)) as platform:
        rows = platform.state.tasks.listed(state, run, most or limit, dead=dead)
        poison = [vars(p) for p in platform.queue.poisoned(min(most or limit, 32))] if dead else []
    columns = [
        "id",
        "kind",
        "source",
        "dataset",
        "timeframe",
        "symbol",
        "window_start",
        "window_end",
        "state",
        "attempts",
        "rows_new",
        "rows_changed",
        "rows_rejected",
        "last_error",
    ]
    if json:
        print_json({"tasks": rows, "poison": poison} if dead else rows)
        return 0
    shown = [row | ({"state": "passed on"} if row["passed_on"] else {}) for row in rows]
    print_table("tasks", shown, columns)
    if poison:
        print_table("poison queue", poison)
    return 0


def tasks_retry(
    ids: Annotated[list[int] | None, typer.Option("--id", help="Only this task; may be repeated.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Retry tasks that failed permanently: they get a run of their own, which `quantx work` processes.

    Example: quantx tasks retry --id 17
    """
    from quantx.pipeline.planning.plan import retry_dead

    about = f"task {', '.join(map(str, ids))}" if ids else "all dead tasks"
    with open_platform(settings_for(use_local)) as platform, audited(platform.state, "tasks.retry", about):
        plan = retry_dead(platform, ids)
    facts = {"run_id": plan.run_id, "enqueued": len(plan.task_ids)}
    print_json(facts) if json else out.print(
        f"run {plan.run_id}: {counted(len(plan.task_ids), 'task')} enqueued again" if plan.task_ids else "no dead tasks"
    )
    return 0
