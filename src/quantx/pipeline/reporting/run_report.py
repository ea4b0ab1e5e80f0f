"""The report of a run, written once its last task has ended."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import structlog

from quantx.core.model import Clock
from quantx.lake.store import LakeLocation
from quantx.state.port import State
from quantx.state.runs.port import EndedRun, Runs

log = structlog.get_logger()


def report_ended_runs(state: State, location: LakeLocation, clock: Clock) -> None:
    """Write `reports/<kind>/<date>/<run>.json` for each ended run without a report."""
    runs = state.runs
    if not runs.ended():
        return
    with state.exclusive("reporter") as role:
        if role is None:
            return
        for run in runs.ended():
            path = f"reports/{run.kind}/{run.created_at.date()}/{run.id}.json"
            summary = _summary(runs, run, clock.now())
            location.put(path, json.dumps(summary, indent=2, default=str).encode())
            runs.finish(run.id, path)
            failed = summary["results"]["failed"]
            log.info("run.ended", run_id=run.id, kind=run.kind, tasks=summary["tasks"], failed=failed, report=path)


def run_totals(runs: Runs, run_id: str) -> dict[str, int]:
    """Return the counts of a run: tasks, success, failed, requests and rows_new, _changed, _same, _rejected."""
    totals = runs.totals(run_id)
    counts = {"tasks": totals.tasks, "success": totals.success, "failed": totals.failed, "requests": totals.requests}
    return counts | {f"rows_{kind}": rows for kind, rows in totals.rows.items()}


def _summary(runs: Runs, run: EndedRun, now: datetime) -> dict[str, Any]:
    totals = runs.totals(run.id)
    landed_after = None if totals.landed_at is None else totals.landed_at - run.created_at
    return {
        "timestamp": now.isoformat(),
        "type": run.kind,
        "run_id": run.id,
        "source": run.source,
        "request": run.request,
        "started_at": run.created_at.isoformat(),
        "duration_seconds": round((now - run.created_at).total_seconds(), 3),
        "fetched_after_seconds": None if landed_after is None else round(landed_after.total_seconds(), 3),
        "symbols_processed": totals.symbols,
        "tasks": totals.tasks,
        "passed_on": totals.passed_on,
        "results": {"success": totals.success, "failed": totals.failed, "skipped": run.skipped},
        "requests": totals.requests,
        "rows": dict(totals.rows),
        "revisions": totals.rows.get("changed", 0),
        "rejected_rows": totals.rows.get("rejected", 0),
        "failures": [
            {"symbol": f["symbol"], "class": f["error_class"], "error": f["last_error"], "attempts": f["attempts"]}
            for f in runs.failures(run.id)
        ],
    }
