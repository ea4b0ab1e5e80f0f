"""Planning: calendar − coverage = missing sessions → tasks in the state → outbox → queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

import structlog
from ulid import ULID

from quantx.core.calendars import calendar
from quantx.core.coverage import daily_window, missing_hull
from quantx.core.model import SETTLED_AFTER, Series, Window
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import ConfigError, QueueError
from quantx.pipeline.instruments import trading_symbols
from quantx.pipeline.patience import Patience
from quantx.pipeline.platform import Platform
from quantx.queues import messages
from quantx.queues.protocol import NotSent
from quantx.state.protocol import NewRun, Plan, SeriesProgress, Ticket
from quantx.universes.declared import enabled_universes

log = structlog.get_logger()

DATASET = "bars"
_SEND_AT_ONCE = 500
_FULL = 1000  # messages in the queue
_SENDER_PATIENCE = 30.0  # seconds after which another sender takes what this one has not sent
_PATIENCE = 10.0  # seconds that a trigger waits for the state or the queue
_LATE_PATIENCE = 3600.0  # seconds before a backfill asks again for sessions that the vendor was late with
_AT_REST = timedelta(days=30)  # without a bar
_REST = timedelta(days=7)  # before a daily update asks again what has no bars or was refused


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
    platform: Platform, scope: Scope, window: Window, *, source: str, timeframe: str = "1d", again: bool = False
) -> Plan:
    """Plan the sessions of `window` that were never answered (`again`: all of them), one task per symbol.

    Of a universe also those who have left it since the window's first day.
    """
    symbols = resolve_symbols(platform, scope, since=window.start)
    _check_source(platform, source, timeframe)
    now = platform.clock.now()
    windows: dict[str, Window | None] = {}
    for symbol in symbols:
        known = calendar(venue_of(symbol).calendar)
        final = known.last_closed(now, SETTLED_AFTER)
        if final is not None and final >= window.start:
            windows[symbol] = missing_hull([Window(window.start, min(window.end, final))], known)
    if not again:
        windows = _unanswered(platform, windows, source, timeframe)
    request = {**scope.describe(), "start": str(window.start), "end": str(window.end), "again": again}
    return _add_run(platform, "backfill", source, timeframe, symbols, windows, request)


def _unanswered(
    platform: Platform, windows: Mapping[str, Window | None], source: str, timeframe: str
) -> dict[str, Window | None]:
    """Return the smallest window within each that holds all its sessions which were never answered."""
    asked = [(Series(source, DATASET, timeframe, symbol), w) for symbol, w in windows.items() if w is not None]
    gaps = platform.state.series.uncovered(asked, platform.clock.now(), _LATE_PATIENCE)
    return {symbol: missing_hull(found, calendar(venue_of(symbol).calendar)) for symbol, found in gaps.items()}


def plan_daily(platform: Platform, scope: Scope, *, source: str, lookback: int, timeframe: str = "1d") -> Plan:
    """Plan every session since each watermark, and `lookback` known ones before so that corrections are seen."""
    wanted = resolve_symbols(platform, scope)
    symbols = Patience(platform.runtime, _PATIENCE).insist(lambda: trading_symbols(platform, wanted))
    _check_source(platform, source, timeframe)
    now = platform.clock.now()
    known = platform.state.series.progress(source, DATASET, timeframe, symbols)
    windows: dict[str, Window | None] = {}
    for symbol in symbols:
        progress = known.get(symbol)
        if progress is None or not _rests(progress, now):
            watermark = progress.watermark if progress else None
            windows[symbol] = daily_window(watermark, now, lookback, calendar(venue_of(symbol).calendar))
    return _add_run(platform, "daily", source, timeframe, symbols, windows, {**scope.describe(), "lookback": lookback})


def _rests(progress: SeriesProgress, now: datetime) -> bool:
    """Tell whether asking daily is useless: the vendor has had nothing for a month, or does not know the symbol."""
    if progress.asked_at is None or progress.asked_at <= now - _REST:
        return False
    if progress.refused:
        return True
    asked, last = progress.asked_through, progress.watermark
    return asked is not None and last is not None and asked - last > _AT_REST


def plan_retry(platform: Platform, task_ids: Sequence[int] | None) -> Plan:
    """Plan dead tasks (those of `task_ids`, or all) once more, as a run of their own."""
    request: dict[str, object] = {"retry": "all" if task_ids is None else list(task_ids)}
    plan = platform.state.tasks.retry(NewRun(str(ULID()), "manual", "any", request), task_ids)
    _send(platform, plan)
    return plan


def resolve_symbols(platform: Platform, scope: Scope, *, since: date | None = None) -> tuple[str, ...]:
    """Return the canonical symbols of a scope; everything that is enabled where it names nothing.

    `since`: also who has left a universe on that day or later. A universe that is not declared any more, or not enabled,
    counts only where it is named.
    """
    if scope.symbols:
        return tuple(dict.fromkeys(parse_symbol(s) for s in scope.symbols))
    among = None if scope.universe else enabled_universes(platform.settings.universe_path)
    symbols = platform.state.universes.symbols(scope.universe, scope.phase, since=since, among=among)
    if not symbols:
        wanted = (
            f"universe {scope.universe!r}"
            if scope.universe
            else f"enabled universe of phase {scope.phase!r}"
            if scope.phase
            else "enabled universe"
        )
        known = ", ".join(row["name"] for row in platform.state.universes.listed()) or "none yet"
        raise ConfigError(f"no {wanted} with members (known: {known}); run `quantx refresh-universe` or give --symbols")
    return tuple(symbols)


def send_outbox(platform: Platform) -> int:
    """Hand planned tasks to the queue until it is full or has them all; return how many.

    A short queue is quicker and cheaper, and what is urgent need not wait behind much else: the rest stays in the state,
    and the workers send it when there is room. A crash in between sends some twice, and loses none.
    """
    tasks, sent = platform.state.tasks, 0
    while tasks.unsent() and (room := _FULL - platform.queue.depth().total) > 0:
        tickets = tasks.to_send(min(room, _SEND_AT_ONCE), _SENDER_PATIENCE)
        left = {ticket.task_id: _message(ticket) for ticket in tickets}
        Patience(platform.runtime, _PATIENCE).insist(partial(_send_messages, platform, left))
        sent += len(tickets)
    return sent


def _send_messages(platform: Platform, left: dict[int, str]) -> None:
    """Send the messages, and drop from `left` what the queue has accepted, also where it has not accepted all."""
    ids = list(left)
    try:
        platform.queue.send(list(left.values()))
    except NotSent as error:
        _forget(platform, left, [ids[k] for k in error.sent])
        raise
    _forget(platform, left, ids)


def _forget(platform: Platform, left: dict[int, str], sent: Sequence[int]) -> None:
    platform.state.tasks.sent(sent)
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


def _check_source(platform: Platform, source: str, timeframe: str) -> None:
    if source not in platform.providers:
        raise ConfigError(f"no source {source!r}; there is {', '.join(platform.providers)}")
    offered = platform.providers[source].capabilities.timeframes
    if timeframe not in offered:
        raise ConfigError(f"{source} does not give the timeframe {timeframe!r}; it gives {', '.join(offered)}")


def _add_run(
    platform: Platform,
    kind: str,
    source: str,
    timeframe: str,
    symbols: Sequence[str],
    windows: Mapping[str, Window | None],
    request: dict[str, object],
) -> Plan:
    """Record the run, its tasks and their outbox rows in one transaction, then send."""
    wanted = {symbol: window for symbol, window in windows.items() if window is not None}
    run = NewRun(str(ULID()), kind, source, request, skipped=len(symbols) - len(wanted))
    patience = Patience(platform.runtime, _PATIENCE)
    plan = patience.insist(lambda: platform.state.tasks.plan(run, DATASET, timeframe, wanted))
    log.info("run.planned", run_id=plan.run_id, kind=kind, tasks=len(plan.task_ids), shared=plan.shared)
    _send(platform, plan)
    return plan


def _send(platform: Platform, plan: Plan) -> None:
    try:
        send_outbox(platform)
    except QueueError as error:
        raise QueueError(
            f"the tasks of run {plan.run_id} are planned, but the queue does not take them: {error}; nothing is lost: the"
            " next trigger or any worker sends them"
        ) from error
