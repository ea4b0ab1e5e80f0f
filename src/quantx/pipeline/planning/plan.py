"""Planning: calendar − coverage = missing sessions → tasks in the state → outbox → queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import structlog
from ulid import ULID

from quantx.core.calendars import calendar
from quantx.core.coverage import daily_window, missing_hull, months_of
from quantx.core.gap_schedule import HEAL
from quantx.core.model import SETTLED_AFTER, Series, Window
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import ConfigError, QueueError
from quantx.pipeline.planning.current_symbols import trading_symbols
from quantx.pipeline.planning.vendor_order import awake, events_window, orders_of, progress_of, take_overs
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.retry import Retry
from quantx.queues import messages
from quantx.queues.protocol import NotSent
from quantx.state.tasks.port import NewTask, Plan, Ticket
from quantx.state.values import NewRun
from quantx.tracing import run_span
from quantx.universes.declaration import enabled_universes

log = structlog.get_logger()

DATASET = "bars"
_SEND_AT_ONCE = 500
_FULL = 1000  # messages in the queue
_SENDER_PATIENCE = 30.0  # seconds after which another sender takes what this one has not sent
_PATIENCE = 10.0  # seconds that a trigger waits for the state or the queue
_LATE_PATIENCE = 3600.0  # seconds before a backfill asks again for sessions that the vendor was late with


@dataclass(frozen=True)
class Scope:
    """Which symbols a run is about: some symbols, a universe or a phase."""

    symbols: tuple[str, ...] = ()
    universe: str | None = None
    phase: str | None = None

    def describe(self) -> dict[str, object]:
        """Return the scope as it is kept with the run."""
        named = {"universe": self.universe, "phase": self.phase, "symbols": list(self.symbols)}
        return {k: v for k, v in named.items() if v}


def plan_backfill(
    context: Context,
    scope: Scope,
    window: Window,
    *,
    source: str | None = None,
    timeframe: str = "1d",
    again: bool = False,
) -> Plan:
    """Plan the sessions of `window` that were never answered (`again`: all of them).

    Of a universe also those who have left it since the window's first day. Without a `source`, the vendors that the
    settings declare are asked, one in place of the other.
    """
    symbols = resolve_symbols(context, scope, since=window.start)
    orders = orders_of(context, symbols, timeframe, source)
    known, now = progress_of(context, orders, timeframe), context.clock.now()
    wanted = []
    for symbol in symbols:
        order = awake(orders[symbol], symbol, known, now) if source is None else orders[symbol]
        final = calendar(venue_of(symbol).calendar).last_closed(now, SETTLED_AFTER)
        if final is not None and final >= window.start:
            first, *rest = order or orders[symbol]
            wanted += _tasks(
                context, symbol, (first, *rest), timeframe, Window(window.start, min(window.end, final)), final
            )
    if not again:
        wanted = _unanswered(context, wanted)
    request = {**scope.describe(), "start": str(window.start), "end": str(window.end), "again": again}
    return _add_run(context, "backfill", source, symbols, _in_months(wanted), request)


def plan_daily(
    context: Context, scope: Scope, *, lookback: int, source: str | None = None, timeframe: str = "1d"
) -> Plan:
    """Plan every session since each watermark, and `lookback` known ones before so that corrections are seen.

    Of minutes at most one known session is read again.
    """
    symbols = trading_symbols(context, resolve_symbols(context, scope))
    orders = orders_of(context, symbols, timeframe, source)
    known, now = progress_of(context, orders, timeframe), context.clock.now()
    orders = {symbol: awake(order, symbol, known, now) for symbol, order in orders.items()}
    wanted = []
    for symbol, order in orders.items():
        if order:
            progress, sessions = known[order[0]].get(symbol), calendar(venue_of(symbol).calendar)
            back = lookback if timeframe == "1d" else min(lookback, 1)
            missing = daily_window(progress.watermark if progress else None, now, back, sessions)
            if missing is not None:
                wanted += _tasks(context, symbol, order, timeframe, missing, missing.end)
    context.state.findings.note(take_overs(orders, known))
    return _add_run(context, "daily", source, symbols, _in_months(wanted), {**scope.describe(), "lookback": lookback})


def _tasks(
    context: Context, symbol: str, order: tuple[str, ...], timeframe: str, window: Window, newest: date
) -> list[NewTask]:
    """Return what is asked for a window of bars, and for the events since where they do not come with the bars."""
    source, *others = order
    known = calendar(venue_of(symbol).calendar)
    sessions = missing_hull([window], known)
    if sessions is None:
        return []
    bars = Series(source, DATASET, timeframe, symbol)
    tasks = [NewTask(bars, sessions, tuple(others))]
    events = events_window(context, bars, sessions, newest)
    if events is not None:
        also = tuple(s for s in others if "actions" in context.providers[s].capabilities.datasets)
        tasks.append(NewTask(Series(source, "actions", timeframe, symbol), events, also))
    return tasks


def _unanswered(context: Context, wanted: Sequence[NewTask]) -> list[NewTask]:
    """Return for each task the smallest window within its own that holds all sessions which were never answered."""
    alike: dict[tuple[str, str, str], list[NewTask]] = defaultdict(list)
    for task in wanted:
        alike[task.series.source, task.series.dataset, task.series.timeframe].append(task)
    left = []
    for tasks in alike.values():
        asked = [(task.series, task.window) for task in tasks]
        gaps = context.state.series.uncovered(asked, context.clock.now(), _LATE_PATIENCE)
        for task in tasks:
            hull = missing_hull(gaps.get(task.series.symbol, []), calendar(venue_of(task.series.symbol).calendar))
            if hull is not None:
                left.append(replace(task, window=hull))
    return left


def _in_months(wanted: Sequence[NewTask]) -> list[NewTask]:
    """Cut windows of minutes at the ends of months: one month of a symbol is 8,000 bars."""
    return [
        replace(task, window=window)
        for task in wanted
        for window in (months_of(task.window) if task.series.timeframe == "1m" else [task.window])
    ]


def plan_heal(context: Context, wanted: Sequence[NewTask]) -> Plan:
    """Plan requests for sessions that series lack, after all daily work."""
    symbols = sorted({task.series.symbol for task in wanted})
    return _add_run(context, HEAL, None, symbols, _in_months(wanted), {"symbols": symbols})


def plan_retry(context: Context, task_ids: Sequence[int] | None) -> Plan:
    """Plan dead tasks (those of `task_ids`, or all) once more, as a run of their own."""
    request: dict[str, object] = {"retry": "all" if task_ids is None else list(task_ids)}
    run = NewRun(str(ULID()), "manual", "any", request)
    with run_span("plan", run.id, kind=run.kind, source=run.source) as span:
        plan = context.state.tasks.retry(run, task_ids)
        span.set_attributes({"run_id": plan.run_id, "tasks": len(plan.task_ids)})
        _send(context, plan)
    return plan


def resolve_symbols(context: Context, scope: Scope, *, since: date | None = None) -> tuple[str, ...]:
    """Return the canonical symbols of a scope; everything that is enabled where it names nothing.

    `since`: also who has left a universe on that day or later. A universe that is not declared any more, or not enabled,
    counts only where it is named.
    """
    if scope.symbols:
        return tuple(dict.fromkeys(parse_symbol(s) for s in scope.symbols))
    among = None if scope.universe else enabled_universes(context.settings.universe_path)
    symbols = context.state.universes.symbols(scope.universe, scope.phase, since=since, among=among)
    if not symbols:
        wanted = (
            f"universe {scope.universe!r}"
            if scope.universe
            else f"enabled universe of phase {scope.phase!r}"
            if scope.phase
            else "enabled universe"
        )
        known = ", ".join(row["name"] for row in context.state.universes.listed()) or "none yet"
        raise ConfigError(f"no {wanted} with members (known: {known}); run `quantx refresh-universe` or give --symbols")
    return tuple(symbols)


def send_outbox(context: Context) -> int:
    """Hand planned tasks to the queue until it is full or has them all; return how many.

    A short queue is quicker and cheaper, and what is urgent need not wait behind much else: the rest stays in the state,
    and the workers send it when there is room. A crash in between sends some twice, and loses none.
    """
    tasks, sent = context.state.tasks, 0
    while tasks.unsent() and (room := _FULL - context.queue.depth().total) > 0:
        tickets = tasks.to_send(min(room, _SEND_AT_ONCE), _SENDER_PATIENCE)
        left = {ticket.task_id: _message(ticket) for ticket in tickets}
        Retry(context.runtime, _PATIENCE).call(partial(_send_messages, context, left))
        sent += len(tickets)
    return sent


def _send_messages(context: Context, left: dict[int, str]) -> None:
    """Send the messages, and drop from `left` what the queue has accepted, also where it has not accepted all."""
    ids = list(left)
    try:
        context.queue.send(list(left.values()))
    except NotSent as error:
        _forget(context, left, [ids[k] for k in error.sent])
        raise
    _forget(context, left, ids)


def _forget(context: Context, left: dict[int, str], sent: Sequence[int]) -> None:
    context.state.tasks.sent(sent)
    for task_id in sent:
        del left[task_id]


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
    kind: str,
    source: str | None,
    symbols: Sequence[str],
    wanted: Sequence[NewTask],
    request: dict[str, object],
) -> Plan:
    """Record the run, its tasks and their outbox rows in one transaction, then send."""
    asked = {task.series.symbol for task in wanted}
    sources = source or ",".join(sorted({task.series.source for task in wanted})) or "any"
    run = NewRun(str(ULID()), kind, sources, request, skipped=len(symbols) - len(asked))
    retry = Retry(context.runtime, _PATIENCE)
    with run_span("plan", run.id, kind=kind, source=sources) as span:
        plan = retry.call(lambda: context.state.tasks.plan(run, wanted))
        span.set_attributes({"run_id": plan.run_id, "tasks": len(plan.task_ids), "shared": plan.shared})
        log.info("run.planned", run_id=plan.run_id, kind=kind, tasks=len(plan.task_ids), shared=plan.shared)
        _send(context, plan)
    return plan


def _send(context: Context, plan: Plan) -> None:
    try:
        send_outbox(context)
    except QueueError as error:
        raise QueueError(
            f"the tasks of run {plan.run_id} are planned, but the queue does not take them: {error}; nothing is lost: the"
            " next trigger or any worker sends them"
        ) from error
