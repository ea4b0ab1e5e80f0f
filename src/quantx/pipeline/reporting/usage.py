"""The measured usage of a daily run: storage requests and statements by stage, at two numbers of symbols.

`python -m benchmarks.usage --write` writes the data; docs/reference/usage.md shows it, and `quantx cost` computes with
it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import resources

from quantx.core.cost import MeasuredRun, StageUsage

DATA = "daily_usage.json"


@lru_cache(maxsize=1)
def measured_runs() -> tuple[str, tuple[MeasuredRun, ...]]:
    """Return the date of the measurement, and its daily runs, the smallest first."""
    data = json.loads(resources.files("quantx.pipeline.reporting").joinpath(DATA).read_text("utf-8"))
    runs = (
        MeasuredRun(
            symbols=run["symbols"],
            tasks=run["tasks"],
            reply_bytes=run["reply_bytes"],
            stages={name: StageUsage(**counts) for name, counts in run["stages"].items()},
        )
        for run in data["runs"]
    )
    return data["measured"], tuple(sorted(runs, key=lambda run: run.tasks))
