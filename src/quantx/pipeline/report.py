"""The report of a run: written once, when its last task has ended."""

from __future__ import annotations

import json
from typing import Any

import structlog

from quantx.pipeline.platform import Platform
from quantx.state.database import Row

log = structlog.get_logger()

_LOCK = 7_013_003  # advisory lock: one process writes reports at a time


def report_ended_runs(platform: Platform) -> None:
    """Write `reports/<kind>/<date>/<run>.json` for each run whose last task has ended and that has no report yet."""
    if not platform.database.rows("runs.runs_to_report"):
        return
    with platform.database.exclusive(_LOCK) as mine:
        if not mine:
            return
        for run in platform.database.rows("runs.runs_to_report"):
            path = f"reports/{run['kind']}/{run['created_at'].date()}/{run['id']}.json"
            body = json.dumps(_summary(platform, run), indent=2, default=str)
            platform.location.put(path, body.encode())
            platform.database.rows("runs.finish_run", run_id=run["id"], report=path)
            log.info("run.ended", run_id=run["id"], report=path)


def run_totals(platform: Platform, run_id: str) -> dict[str, int]:
    """Return the counts of a run: tasks, success, failed, requests and rows."""
    return dict(platform.database.rows("runs.run_totals", run_id=run_id)[0])


def _summary(platform: Platform, run: Row) -> dict[str, Any]:
    totals = run_totals(platform, run["id"])
    now = platform.clock.now()
    return {
        "timestamp": now.isoformat(),
        "type": run["kind"],
        "run_id": run["id"],
        "source": run["source"],
        "request": run["request"],
        "started_at": run["created_at"].isoformat(),
        "duration_seconds": round((now - run["created_at"]).total_seconds(), 3),
        "symbols_processed": totals["tasks"],
        "results": {"success": totals["success"], "failed": totals["failed"], "skipped": run["skipped"]},
        "requests": totals["requests"],
        "rows": {k.removeprefix("rows_"): v for k, v in totals.items() if k.startswith("rows_")},
        "failures": [
            {"symbol": f["symbol"], "class": f["error_class"], "error": f["last_error"], "attempts": f["attempts"]}
            for f in platform.database.rows("runs.run_failures", run_id=run["id"])
        ],
    }
