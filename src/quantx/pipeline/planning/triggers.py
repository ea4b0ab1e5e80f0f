"""What triggers call: one function per thing that a trigger can want."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from quantx.errors import ConfigError, QuantxError
from quantx.pipeline.planning.plan import Scope, plan_backfill, plan_daily
from quantx.pipeline.planning.sweep import SweepResult, sweep
from quantx.pipeline.planning.update_request import Wish, Wrong, WrongRequest, parse_wish
from quantx.pipeline.runtime.context import Context, open_context
from quantx.settings import Settings
from quantx.state.entra import identity_of_state
from quantx.state.postgres import open_state
from quantx.state.tasks.port import Plan

__all__ = ["UnknownRun", "Wish", "parse_wish", "plan_update", "plan_wish", "run_facts", "sweep_up"]

_MOST_FAILURES = 100
_RUN_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")  # a ULID
_ALL = Wish()


class UnknownRun(QuantxError):
    """There is no such run."""


def plan_wish(context: Context, wish: Wish) -> Plan:
    """Plan what somebody wishes, and hand its tasks to the queue."""
    scope, source = Scope(wish.symbols, wish.universe, wish.phase), wish.source
    if wish.window is not None:
        return plan_backfill(context, scope, wish.window, source=source, timeframe=wish.timeframe, again=wish.again)
    lookback = context.settings.lookback_days if wish.lookback_days is None else wish.lookback_days
    return plan_daily(context, scope, source=source, lookback=lookback, timeframe=wish.timeframe)


def plan_update(settings: Settings, wish: Wish = _ALL) -> Plan:
    """Plan what somebody wishes; WrongRequest where this installation has no such universe, phase or vendor."""
    with open_context(settings) as context:
        if errors := list(_unknown(context, wish)):
            raise WrongRequest(errors)
        try:
            return plan_wish(context, wish)
        except ConfigError as error:
            raise WrongRequest([Wrong(str(error))]) from error


def _unknown(context: Context, wish: Wish) -> Iterator[Wrong]:
    listed = context.state.universes.listed() if wish.universe or wish.phase else []
    known = {
        "universe": (wish.universe, {row["name"] for row in listed}),
        "phase": (wish.phase, {row["phase"] for row in listed}),
        "source": (wish.source, context.providers.keys()),
    }
    for name, (wanted, names) in known.items():
        if wanted is not None and wanted not in names:
            yield Wrong(
                f"there is no {name} {wanted!a}; there is {', '.join(sorted(names)) or 'none yet'}", f"#/{name}"
            )


def sweep_up(settings: Settings) -> SweepResult:
    """Do once what a timer may have missed; see `sweep`."""
    with open_context(settings) as context:
        return sweep(context)


def run_facts(settings: Settings, run_id: str) -> dict[str, Any]:
    """Return what became of a run: its state, totals, failures and report; UnknownRun where there is none."""
    if not _RUN_ID.fullmatch(run_id):
        raise UnknownRun(f"{run_id[:40]!a} is no run's id")
    state = open_state(settings.state_url, identity_of_state(settings))
    try:
        run = state.runs.find(run_id)
        if run is None:
            raise UnknownRun(f"there is no run {run_id!a}")
        failures = state.runs.failures(run_id) if run["failed"] else []
    finally:
        state.close()
    told = ("kind", "source", "request", "created_at", "finished_at", "skipped", "report")
    counts = ("tasks", "success", "failed", "unfinished", "rows_new", "rows_changed", "rows_rejected")
    return {
        "run_id": run["id"],
        "state": "running" if run["unfinished"] else "done_with_failures" if run["failed"] else "done",
        **{name: run[name] for name in told},
        "totals": {name: run[name] for name in counts},
        "failures": failures[:_MOST_FAILURES],  # `totals` says how many there are
    }
