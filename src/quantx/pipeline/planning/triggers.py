"""The services that triggers call: one function for each thing that a trigger can request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

from quantx.errors import ConfigError, QuantxError
from quantx.pipeline.planning.fundamentals import plan_beside_bars
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.rates import plan_rates
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.planning.symbols_of_list import has_list
from quantx.pipeline.planning.update_request import FieldError, InvalidRequest, UpdateRequest, parse_request
from quantx.pipeline.runtime.context import Context, open_context
from quantx.settings import Settings, is_symbol_list, source_of
from quantx.state.entra import identity_of_state
from quantx.state.postgres import open_state
from quantx.state.tasks.port import Plan

__all__ = [
    "UnknownRun",
    "UpdateRequest",
    "parse_request",
    "plan_facts",
    "plan_request",
    "plan_update",
    "run_facts",
]

_MOST_FAILURES = 100
_MOST_UNSERVED = 100
_RUN_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")  # a ULID
_EVERYTHING = UpdateRequest()


class UnknownRun(QuantxError):
    """There is no such run."""


def plan_request(context: Context, request: UpdateRequest) -> Plan:
    """Plan a request, and send its tasks to the queue."""
    scope = Scope(request.symbols, request.universe, request.phase)
    timeframe, source = request.timeframe, None if request.source is None else source_of(request.source)
    if request.window is not None:
        return plan_backfill(context, scope, request.window, source=source, timeframe=timeframe, again=request.again)
    lookback = context.settings.lookback_days if request.lookback_days is None else request.lookback_days
    plan = plan_daily(context, scope, source=source, lookback=lookback, timeframe=timeframe)
    if context.settings.fundamentals and timeframe == "1d" and source is None:
        more = plan_beside_bars(context, scope)
        plan = replace(plan, task_ids=(*plan.task_ids, *more))
    if context.settings.rates and timeframe == "1d" and source is None:
        plan = replace(plan, task_ids=(*plan.task_ids, *plan_rates(context).task_ids))
    return plan


def plan_update(settings: Settings, request: UpdateRequest = _EVERYTHING) -> Plan:
    """Plan a request; InvalidRequest where this installation has no such universe, phase or vendor."""
    with open_context(settings) as context:
        listed = request.universe is not None and is_symbol_list(request.universe)
        if listed and not has_list(context.location, request.universe or ""):  # a request reads no file of this machine
            raise InvalidRequest([FieldError(f"there is no file {request.universe!a} in the lake", "#/universe")])
        try:
            return plan_request(context, request)
        except ConfigError as error:
            unknown = list(_unknown_names(context, request, None if listed else request.universe))
            raise InvalidRequest(unknown or [FieldError(str(error))]) from error


def plan_facts(plan: Plan) -> dict[str, Any]:
    """Return what a plan holds: its run, counts, and the symbols (at most 100) that no vendor serves, with reasons."""
    counts = {"tasks": len(plan.task_ids), "skipped": plan.skipped, "shared": plan.shared}
    return {"run_id": plan.run_id, **counts, "unserved": {x.symbol: x.why for x in plan.unserved[:_MOST_UNSERVED]}}


def _unknown_names(context: Context, request: UpdateRequest, universe: str | None) -> Iterator[FieldError]:
    rows = context.state.universes.listed() if universe or request.phase else []
    fields = {
        "universe": (universe, {row["name"] for row in rows}),
        "phase": (request.phase, {row["phase"] for row in rows}),
        "source": (request.source and source_of(request.source), context.providers.keys()),
    }
    for field, (wanted, names) in fields.items():
        if wanted is not None and wanted not in names:
            names_text = ", ".join(sorted(names)) or "none yet"
            yield FieldError(f"there is no {field} {wanted!a}; there is {names_text}", f"#/{field}")


def run_facts(settings: Settings, run_id: str) -> dict[str, Any]:
    """Return a run with its state, totals, failures and report; UnknownRun where there is none."""
    if not _RUN_ID.fullmatch(run_id):
        raise UnknownRun(f"{run_id[:40]!a} is not the id of a run")
    with closing(open_state(settings.state_url, identity_of_state(settings))) as state:
        run = state.runs.find(run_id)
        if run is None:
            raise UnknownRun(f"there is no run {run_id!a}")
        failures = state.runs.failures(run_id) if run["failed"] else []
    facts = ("kind", "source", "request", "created_at", "finished_at", "skipped", "report")
    counts = ("tasks", "success", "failed", "unfinished", "rows_new", "rows_changed", "rows_rejected")
    return {
        "run_id": run["id"],
        "state": "running" if run["unfinished"] else "done_with_failures" if run["failed"] else "done",
        **{name: run[name] for name in facts},
        "totals": {name: run[name] for name in counts},
        "failures": failures[:_MOST_FAILURES],  # `totals` has their number
    }
