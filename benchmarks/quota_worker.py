"""The process that B1 measures: it plans, fetches and curates as `quantx backfill` does, and imports no more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from typing import Any

from benchmarks.measure import stretch
from quantx.core.model import Window
from quantx.pipeline.fetching.modules import modules_to_fetch
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import load_settings


def backfill(
    folder: str, url: str, quota: str, symbols: Sequence[str], start: str, end: str, started_at: float
) -> dict[str, Any]:
    """Plan, fetch and curate in this process; loading and connecting are timed apart, since `started_at`."""
    settings = load_settings(
        lake_url=f"{folder}/lake", state_url=f"{folder}/state", yfinance_base_url=url, yfinance_quota=quota
    )
    with open_platform(settings, modules=modules_to_fetch(settings)) as platform:
        opened_at = time.time()
        platform.providers["yahoo"].prepare()
        from quantx.pipeline.wiring import worker_of

        begun, begun_at = platform.state.now(), time.time()
        with stretch() as measured:
            window = Window(date.fromisoformat(start), date.fromisoformat(end))
            plan = plan_backfill(platform, Scope(tuple(symbols)), window, source="yahoo")
            planned = time.time() - begun_at
            done = worker_of(platform).run(task_ids=plan.task_ids)
        totals = platform.state.runs.totals(plan.run_id)
    assert totals.landed_at is not None
    return {
        **vars(measured),
        "opened": opened_at - started_at,
        "prepared": begun_at - opened_at,
        "planned": planned,
        "fetched": (totals.landed_at - begun).total_seconds(),
        "done": totals.success,
        "rows": done.rows,
    }
