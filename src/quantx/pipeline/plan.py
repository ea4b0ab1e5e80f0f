"""Planning: calendar − coverage = missing sessions → tasks in PostgreSQL → outbox → queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from psycopg.types.json import Jsonb
from ulid import ULID

from quantx.core.calendars import calendar
from quantx.core.coverage import daily_window, missing_hull
from quantx.core.model import SETTLED_AFTER, Window
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import ConfigError
from quantx.pipeline.platform import Platform
from quantx.queues import messages
from quantx.state.database import run as run_statement

log = structlog.get_logger()

DATASET = "bars"
_SEND_AT_ONCE = 500
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


@dataclass(frozen=True)
class Plan:
    """What was planned: the run, its unfinished tasks, and for how many symbols nothing was missing."""

    run_id: str
    task_ids: tuple[int, ...]
    skipped: int


def plan_backfill(
    platform: Platform, scope: Scope, window: Window, *, source: str, timeframe: str = "1d", again: bool = False
) -> Plan:
    """Plan the sessions of `window` that were never answered (`again`: all of them), one task per symbol."""
    symbols = resolve_symbols(platform, scope)
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
    asked = {symbol: window for symbol, window in windows.items() if window is not None}
    rows = platform.database.rows(
        "series.uncovered",
        source=source,
        dataset=DATASET,
        timeframe=timeframe,
        symbols=list(asked),
        starts=[w.start for w in asked.values()],
        ends=[w.end for w in asked.values()],
        now=platform.clock.now(),
        patience=_LATE_PATIENCE,
    )
    gaps: dict[str, list[Window]] = defaultdict(list)
    for row in rows:
        gaps[row["symbol"]].append(Window(row["gap_start"], row["gap_end"]))
    return {symbol: missing_hull(found, calendar(venue_of(symbol).calendar)) for symbol, found in gaps.items()}


def plan_daily(platform: Platform, scope: Scope, *, source: str, lookback: int, timeframe: str = "1d") -> Plan:
    """Plan every session since each watermark, and `lookback` known ones before so that corrections are seen."""
    symbols = resolve_symbols(platform, scope)
    _check_source(platform, source, timeframe)
    now = platform.clock.now()
    rows = platform.database.rows(
        "series.watermarks", source=source, dataset=DATASET, timeframe=timeframe, symbols=list(symbols), now=now
    )
    known = {row["symbol"]: row for row in rows}
    windows: dict[str, Window | None] = {}
    for symbol in symbols:
        row = known.get(symbol)
        watermark = row["watermark"] if row else None
        at_rest = row is not None and row["at_rest"]
        windows[symbol] = (
            None if at_rest else daily_window(watermark, now, lookback, calendar(venue_of(symbol).calendar))
        )
    return _add_run(platform, "daily", source, timeframe, symbols, windows, {**scope.describe(), "lookback": lookback})


def resolve_symbols(platform: Platform, scope: Scope) -> tuple[str, ...]:
    """Return the canonical symbols of a scope; everything that is enabled where it names nothing."""
    if scope.symbols:
        return tuple(dict.fromkeys(parse_symbol(s) for s in scope.symbols))
    rows = platform.database.rows("universes.current_symbols", universe=scope.universe, phase=scope.phase)
    if not rows:
        wanted = (
            f"universe {scope.universe!r}"
            if scope.universe
            else f"phase {scope.phase!r}"
            if scope.phase
            else "universe"
        )
        known = ", ".join(row["name"] for row in platform.database.rows("universes.list_universes")) or "none yet"
        raise ConfigError(f"no {wanted} with members (known: {known}); run `quantx refresh-universe` or give --symbols")
    return tuple(row["symbol"] for row in rows)


def send_outbox(platform: Platform) -> int:
    """Hand all planned tasks to the queue; return how many. A crash in between sends some twice, and loses none."""
    sent = 0
    while True:
        with platform.database.transaction() as connection:
            rows = run_statement(connection, "tasks.take_outbox", {"most": _SEND_AT_ONCE})
            if not rows:
                return sent
            platform.queue.send([messages.encode(row) for row in rows])
            run_statement(connection, "tasks.clear_outbox", {"ids": [row["task_id"] for row in rows]})
            sent += len(rows)


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
    windows: dict[str, Window | None],
    request: dict[str, object],
) -> Plan:
    """Record the run, its tasks and their outbox rows in one transaction, then send."""
    run_id = str(ULID())
    wanted = {symbol: window for symbol, window in windows.items() if window is not None}
    skipped = len(symbols) - len(wanted)
    with platform.database.transaction() as connection:
        run_statement(
            connection,
            "runs.add_run",
            {"id": run_id, "kind": kind, "source": source, "request": Jsonb(request), "skipped": skipped},
        )
        rows = run_statement(
            connection,
            "tasks.add_tasks",
            {
                "run_id": run_id,
                "kind": kind,
                "source": source,
                "dataset": DATASET,
                "timeframe": timeframe,
                "symbols": list(wanted),
                "starts": [w.start for w in wanted.values()],
                "ends": [w.end for w in wanted.values()],
            },
        )
        run_statement(connection, "tasks.add_to_outbox", {"ids": [row["id"] for row in rows if row["created"]]})
    log.info("run.planned", run_id=run_id, kind=kind, tasks=len(rows), skipped=skipped)
    send_outbox(platform)
    return Plan(run_id, tuple(row["id"] for row in rows), skipped)
