"""Stores replies for the curator, through the real plan, claim and landing."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path

from benchmarks.market import invented_market, providers_of, symbols
from quantx.core.model import Window
from quantx.pipeline.fetching.landing import Progress
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.wiring import curator_of, worker_of
from quantx.settings import Settings, load_settings


def settings_in(folder: str | Path) -> Settings:
    """Return the settings of a lake and a state in a folder."""
    return load_settings(
        lake_url=f"{folder}/lake", state_url=f"{folder}/state", yfinance_quota="unlimited", max_workers=1
    )


def land(folder: str, count: int, history: str, start: str, end: str) -> dict[str, int]:
    """Store one reply for each of `count` symbols with bars from `history`, for the window `start` to `end`."""
    market = invented_market(count, date.fromisoformat(history))
    with open_platform(settings_in(folder), providers_of(market)) as platform:
        window = Window(date.fromisoformat(start), date.fromisoformat(end))
        plan = plan_backfill(platform, Scope(tuple(symbols(count))), window, source="yahoo")
        idle = replace(curator_of(platform), role=nullcontext)  # the role is left to others

        def stop(progress: Progress) -> None:
            if progress.landed >= len(plan.task_ids):
                platform.runtime.stop()

        done = worker_of(platform, curator=idle, on_progress=stop).run(task_ids=plan.task_ids)
    raw = list((Path(folder) / "lake" / "raw").rglob("*.parquet"))
    return {"payloads": done.landed, "raw_objects": len(raw), "raw_bytes": sum(path.stat().st_size for path in raw)}
