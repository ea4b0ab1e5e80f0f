"""Planning 50,000 symbols: time, memory and statements of a daily update and of a backfill, and their growth."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import islice, product
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from benchmarks.cloud import Postgres
from benchmarks.growth import growth_lines
from benchmarks.measure import apart, stretch
from benchmarks.stages import CHECK, Stages
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.model import Window
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.context import open_context
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.postgres import open_state
from quantx.state.values import Universe

_COSTS = {"cpu": "CPU seconds", "statements": "statements"}


def run(folder: Path, *, quick: bool) -> Outcome:
    """Plan half of the symbols, then all of them, each with a database and a process of its own."""
    count = 5_000 if quick else 50_000
    half, whole = (_planned(folder / str(some), some) for some in (count // 2, count))
    daily, backfill = whole["daily"], whole["backfill"]
    return Outcome(
        f"Planning {count:,} symbols in one process, with PostgreSQL",
        (
            Line("daily update: s", daily["seconds"]),
            Line("daily update: CPU ms for a thousand symbols", 1e6 * daily["cpu"] / count, digits=0),
            Line("daily update: statements", daily["statements"], aim="≤ 10", digits=0),
            Line("backfill: s", backfill["seconds"]),
            Line("backfill: statements", backfill["statements"], aim="≤ 10", digits=0),
            Line("peak memory, MB", whole["peak_mb"], digits=0),
            *growth_lines("symbols", half["daily"], daily, _COSTS),
            *growth_lines("symbols", half, whole, {"peak_mb": "peak memory"}),
        ),
        {"tasks": daily["tasks"] + backfill["tasks"], "messages": daily["messages"]},
    )


def _planned(folder: Path, count: int) -> dict[str, Any]:
    postgres = Postgres(folder)
    try:
        return apart("benchmarks.planning:plan", lake=f"{folder}-lake", state_url=postgres.url, count=count)
    finally:
        postgres.stop()


def plan(lake: str, state_url: str, count: int) -> dict[str, Any]:
    """Record a universe of `count` symbols; plan its daily update and its backfill, and return what each has cost."""
    names = ["Q" + "".join(letters) for letters in islice(product(ascii_uppercase, repeat=4), count)]
    members = [(name, "us", None, None, None) for name in names]
    with closing(open_state(state_url)) as state:
        facts = {"phase": "phase_1", "market": "us", "source_type": "static", "refreshed_at": datetime.now(UTC)}
        state.universes.put(Universe("all", members=members, **facts))
        state.universes.enable(["all"])
    calendar("XNYS")  # once in a process: what it costs does not depend on the symbols
    settings = load_settings(lake_url=lake, state_url=state_url, universe_path="missing.yaml")
    with open_context(settings):  # the first use binds the lake to the state
        pass
    window = Window(date(2010, 1, 4), date(2025, 12, 31))
    return {
        "daily": _cost(settings, lambda context: plan_daily(context, Scope(), lookback=5)),
        "backfill": _cost(settings, lambda context: plan_backfill(context, Scope(universe="all"), window)),
    }


def _cost(settings: Any, planned: Any) -> dict[str, Any]:
    stages = Stages()
    with stretch() as measured, stages.counted_statements(), open_context(settings) as opened:
        context = replace(opened, queue=(queue := MemoryQueue(opened.clock)))
        tasks = len(planned(context).task_ids)
    statements = sum(n for (_, name), n in stages.statements.items() if name != CHECK)
    return {**vars(measured), "tasks": tasks, "messages": queue.depth().total, "statements": statements}
