"""Stores replies for the curator, through the real plan, claim and landing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.market import invented_market, providers_of, symbols
from quantx.core.model import Window
from quantx.pipeline.fetching.worker import Worker
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import Settings, load_settings


@dataclass
class _Lander(Worker):
    """A worker that stops after `expected` stored replies, and never curates."""

    expected: int = 0

    def _curate(self, *, everything: bool, end: float | None) -> None:
        if self.progress.landed >= self.expected:
            self.runtime.stop()


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
        done = _Lander(platform, expected=len(plan.task_ids)).run(task_ids=plan.task_ids)
    raw = list((Path(folder) / "lake" / "raw").rglob("*.parquet"))
    return {"payloads": done.landed, "raw_objects": len(raw), "raw_bytes": sum(path.stat().st_size for path in raw)}
