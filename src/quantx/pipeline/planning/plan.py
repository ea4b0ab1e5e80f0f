"""Planning: calendar − coverage = missing sessions → tasks in the state → outbox → queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial

import structlog
from ulid import ULID

from quantx.core.calendars import calendar
from quantx.core.coverage import daily_window, missing_hull, months_of
from quantx.core.gap_schedule import HEAL
from quantx.core.model import SETTLED_AFTER, RunKind, Series, Window
from quantx.core.symbols import venue_of
from quantx.core.tombstones import Deleted
from quantx.errors import ConfigError, QueueError
from quantx.lake.tombstones import deleted_of
from quantx.pipeline.planning.current_symbols import current_symbols
from quantx.pipeline.planning.deleted import orders_left, refuse_all_deleted, tasks_left, unserved_deleted
from quantx.pipeline.planning.scope import Scope, resolve_symbols
from quantx.pipeline.planning.vendor_order import (
    Providers,
    active_vendors,
    events_window,
    progress_by_vendor,
    takeover_findings,
    unserved_symbol,
    vendor_orders,
)
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime
from quantx.queues import messages
from quantx.queues.protocol import NotSent, TaskQueue
from quantx.state.series.port import SeriesBook
from quantx.state.tasks.port import NewTask, Plan, Tasks, Ticket
from quantx.state.values import NewRun
from quantx.tracing import run_span

log = structlog.get_logger()

DATASET = "bars"
_SEND_AT_ONCE = 500
_FULL_QUEUE = 1000  # messages
_SENDER_SECONDS = 30.0  # after which another sender takes over what this one has not sent
_RETRY_SECONDS = 10.0  # for which a trigger retries the state or the queue
_SHOWN_UNSERVED = 100  # symbols that the record of a run names
_LATE_SECONDS = 3600.0  # before a backfill requests again what the vendor published late


def plan_backfill(
    context: Context,
    scope: Scope,
    window: Window,
    *,
    source: str | None = None,
    timeframe: str = "1d",
    again: bool = False,
) -> Plan:
    """Plan the sessions of `window` that no vendor has answered yet (`again`: all of them).

    A universe includes the symbols that left it on the window's first day or later. Without a `source`, the declared
    vendors are used: the preferred one, then its fallbacks.
    """
    symbols = resolve_symbols(context, scope, since=window.start)
    orders = vendor_orders(context.settings, context.providers, symbols, timeframe, source)
    deleted = deleted_of(context.location)
    orders, refused = orders_left(deleted, orders)
    refuse_all_deleted(refused, symbols)
    progress, now = progress_by_vendor(context.state.series, orders, timeframe), context.clock.now()
    tasks: list[NewTask] = []
    for symbol in symbols:
        order = orders[symbol]
        if not order:
            continue
        if source is None:
            order = active_vendors(order, symbol, progress, now) or order
        newest = calendar(venue_of(symbol).calendar).last_closed(now, SETTLED_AFTER)
        if newest is not None and newest >= window.start:
            settled = Window(window.start, min(window.end, newest))
            tasks += _symbol_tasks(context.providers, symbol, order, timeframe, settled, newest)
    if not again:
        tasks = _unanswered(context.state.series, tasks, now)
    request = {**scope.describe(), "start": str(window.start), "end": str(window.end), "again": again}
    plan = _add_run(context, "backfill", symbols, _by_month(tasks), request, source, deleted)
    return replace(plan, unserved=tuple(unserved_deleted(refused)))


def plan_daily(
    context: Context, scope: Scope, *, lookback: int, source: str | None = None, timeframe: str = "1d"
) -> Plan:
    """Plan every session since each watermark, and `lookback` earlier ones, so that corrections are noticed.

    Of minutes at most one earlier session is read again.
    """
    symbols = resolve_symbols(context, scope)
    symbols = current_symbols(context.state.instruments, symbols, context.clock.now().date())
    deleted = deleted_of(context.location)
    orders, refused = orders_left(
        deleted, vendor_orders(context.settings, context.providers, symbols, timeframe, source)
    )
    refuse_all_deleted(refused, scope.symbols and symbols)
    progress, now = progress_by_vendor(context.state.series, orders, timeframe), context.clock.now()
    unserved = unserved_deleted(refused)
    for symbol, order in orders.items():
        if symbol in refused:
            continue
        orders[symbol] = active_vendors(order, symbol, progress, now)
        if not orders[symbol]:
            unserved.append(unserved_symbol(order, symbol, progress))
    tasks: list[NewTask] = []
    for symbol, order in orders.items():
        if order:
            series, sessions = progress[order[0]].get(symbol), calendar(venue_of(symbol).calendar)
            back = lookback if timeframe == "1d" else min(lookback, 1)
            missing = daily_window(series.watermark if series else None, now, back, sessions)
            if missing is not None:
                tasks += _symbol_tasks(context.providers, symbol, order, timeframe, missing, missing.end)
    context.state.findings.note(takeover_findings(orders, progress))
    request: dict[str, object] = {**scope.describe(), "lookback": lookback}
    if unserved:
        request["unserved"] = {each.symbol: each.why for each in unserved[:_SHOWN_UNSERVED]}
    plan = _add_run(context, "daily", symbols, _by_month(tasks), request, source, deleted)
    return replace(plan, unserved=tuple(unserved))


def _symbol_tasks(
    providers: Providers, symbol: str, order: tuple[str, ...], timeframe: str, window: Window, newest: date
) -> list[NewTask]:
    """Return the task for a window of bars, and one for the later events where they do not come with the bars."""
    source, *fallbacks = order
    sessions = missing_hull([window], calendar(venue_of(symbol).calendar))
    if sessions is None:
        return []
    bars = Series(source, DATASET, timeframe, symbol)
    tasks = [NewTask(bars, sessions, tuple(fallbacks))]
    events = events_window(providers, bars, sessions, newest)
    if events is not None:
        capable = tuple(other for other in fallbacks if "actions" in providers[other].capabilities.datasets)
        tasks.append(NewTask(Series(source, "actions", timeframe, symbol), events, capable))
    return tasks


def _unanswered(book: SeriesBook, tasks: Sequence[NewTask], now: datetime) -> list[NewTask]:
    """Return each task with the smallest window that holds all of its unanswered sessions, without empty ones."""
    by_kind: dict[tuple[str, str, str], list[NewTask]] = defaultdict(list)
    for task in tasks:
        by_kind[task.series.source, task.series.dataset, task.series.timeframe].append(task)
    unanswered = []
    for alike in by_kind.values():
        gaps = book.uncovered([(task.series, task.window) for task in alike], now, _LATE_SECONDS)
        for task in alike:
            symbol = task.series.symbol
            hull = missing_hull(gaps.get(symbol, []), calendar(venue_of(symbol).calendar))
            if hull is not None:
                unanswered.append(replace(task, window=hull))
    return unanswered


def _by_month(tasks: Sequence[NewTask]) -> list[NewTask]:
    """Split windows of minutes at the ends of months: one month of a symbol is 8,000 bars."""
    return [
        replace(task, window=window)
        for task in tasks
        for window in (months_of(task.window) if task.series.timeframe == "1m" else [task.window])
    ]


def plan_heal(context: Context, tasks: Sequence[NewTask]) -> Plan:
    """Plan requests for missing sessions of series, to be worked on after all daily work."""
    symbols = sorted({task.series.symbol for task in tasks})
    return _add_run(context, HEAL, symbols, _by_month(tasks), {"symbols": symbols})


def plan_filers(
    context: Context, kind: RunKind, tasks: Sequence[NewTask], filers: Sequence[str], request: dict[str, object]
) -> Plan:
    """Plan requests about filers; those of `filers` that have no task are up to date."""
    return _add_run(context, kind, filers, tasks, request)


def plan_retry(context: Context, task_ids: Sequence[int] | None) -> Plan:
    """Plan permanently failed tasks (those of `task_ids`, or all) once more, as a run of their own."""
    request: dict[str, object] = {"retry": "all" if task_ids is None else list(task_ids)}
    run = NewRun(str(ULID()), "manual", "any", request)
    with run_span("plan", run.id, kind=run.kind, source=run.source) as span:
        plan = context.state.tasks.retry(run, task_ids)
        span.set_attributes({"run_id": plan.run_id, "tasks": len(plan.task_ids)})
        _send(context, plan)
    return plan


def retry_dead(context: Context, task_ids: Sequence[int] | None) -> Plan:
    """Plan dead tasks once more (None: all); ConfigError, and no plan, where one of `task_ids` is not dead."""
    dead = {row["id"] for row in context.state.tasks.listed("failed", None, None, dead=True)}
    if unknown := sorted(set(task_ids or ()) - dead):
        raise ConfigError(f"task {unknown[0]} is not a dead task; `quantx tasks list --dead` lists them")
    return plan_retry(context, task_ids)


def send_outbox(tasks: Tasks, queue: TaskQueue, runtime: Runtime) -> int:
    """Send planned tasks to the queue until it is full or has them all; return their number.

    A short queue is quicker and cheaper, and an urgent task does not wait behind many others. The rest stays in the
    state, and workers send it when there is room. A crash in between sends some messages twice, and loses none.
    """
    sent = 0
    while tasks.unsent() and (some := _send_some(tasks, queue, runtime)):
        sent += some
    return sent


def _send_some(tasks: Tasks, queue: TaskQueue, runtime: Runtime) -> int:
    """Send at most `_SEND_AT_ONCE` planned tasks to the queue, as long as it has room; return their number."""
    room = _FULL_QUEUE - queue.total()
    if room <= 0:
        return 0
    tickets = tasks.to_send(min(room, _SEND_AT_ONCE), _SENDER_SECONDS)
    if unsent := {ticket.task_id: _message(ticket) for ticket in tickets}:
        Retry(runtime, _RETRY_SECONDS).call(partial(_send_messages, tasks, queue, unsent))
    return len(tickets)


def _send_messages(tasks: Tasks, queue: TaskQueue, unsent: dict[int, str]) -> None:
    """Send the messages; drop from `unsent` what the queue has accepted, also where it has not accepted all."""
    ids = list(unsent)
    try:
        queue.send(list(unsent.values()))
    except NotSent as error:
        _record_sent(tasks, unsent, [ids[position] for position in error.sent])
        raise
    _record_sent(tasks, unsent, ids)


def _record_sent(tasks: Tasks, unsent: dict[int, str], sent: Sequence[int]) -> None:
    tasks.sent(sent)
    for task_id in sent:
        del unsent[task_id]


def _message(ticket: Ticket) -> str:
    series, window = ticket.series, ticket.window
    return messages.encode(
        {
            "task_id": ticket.task_id,
            "run_id": ticket.run_id,
            "source": series.source,
            "symbol": series.symbol,
            "timeframe": series.timeframe,
            "window_start": window.start,
            "window_end": window.end,
        }
    )


def _add_run(
    context: Context,
    kind: RunKind,
    symbols: Sequence[str],
    tasks: Sequence[NewTask],
    request: dict[str, object],
    source: str | None = None,
    deleted: Deleted | None = None,
) -> Plan:
    """Record the run, its tasks and their outbox rows in one transaction, then send; deleted data is not requested."""
    tasks = tasks_left(deleted_of(context.location) if deleted is None else deleted, tasks) if tasks else tasks
    planned = {task.series.symbol for task in tasks}
    sources = source or ",".join(sorted({task.series.source for task in tasks})) or "any"
    run = NewRun(str(ULID()), kind, sources, request, skipped=len(symbols) - len(planned))
    retry = Retry(context.runtime, _RETRY_SECONDS)
    with run_span("plan", run.id, kind=kind, source=sources) as span:
        plan = retry.call(lambda: context.state.tasks.plan(run, tasks))
        span.set_attributes({"run_id": plan.run_id, "tasks": len(plan.task_ids), "shared": plan.shared})
        log.info("run.planned", run_id=plan.run_id, kind=kind, tasks=len(plan.task_ids), shared=plan.shared)
        _send(context, plan)
    return plan


def _send(context: Context, plan: Plan) -> None:
    """Send enough for workers to start; they send the rest."""
    try:
        _send_some(context.state.tasks, context.queue, context.runtime)
    except QueueError as error:
        raise QueueError(
            f"the tasks of run {plan.run_id} are planned, but the queue does not take them: {error}; nothing is lost:"
            " the next trigger or any worker sends them"
        ) from error
