"""The daily run of 5,000 symbols, end to end, on Azurite where each request takes 15 ms more; with both queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tests.azurite import ACCOUNT

from benchmarks.cloud import CONTAINER, cloud, why_missing
from benchmarks.market import symbols
from benchmarks.measure import apart, stretch
from benchmarks.prepared import prepare_replies, prepared_providers
from benchmarks.proxy import LOG
from benchmarks.servers import get_json, server
from benchmarks.stages import Stages, observed, observed_curator, requests_by_stage
from benchmarks.table import Line, Outcome
from quantx.core.model import Window
from quantx.pipeline.inspecting.inspection import inspect_ended_runs
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.wiring import curator_of, worker_of
from quantx.settings import load_settings

DELAY = 0.015
FIRST, BEFORE = "2025-10-01", "2025-12-29"
# The last session of each is new; the others were fetched before.
UPDATES = {"PostgreSQL's": ("2025-12-22", "2025-12-30"), "Azure's": ("2025-12-23", "2025-12-31")}
_AIMS = {"PostgreSQL's": "≤ 30", "Azure's": "≤ 60"}


def run(folder: Path, *, quick: bool) -> Outcome:
    """Fill the lake directly, then run two days through the proxies: one with each queue."""
    title = "Daily run"
    if missing := why_missing():
        return Outcome(title, (), skipped=missing)
    count, starts = 300 if quick else 5000, [FIRST, *(start for start, _ in UPDATES.values())]
    replies = prepare_replies(folder / "replies", count, date.fromisoformat(FIRST), map(date.fromisoformat, starts))
    with cloud(folder, yfinance_quota="unlimited", queue_url="postgresql") as servers:
        text = servers.settings["azure_storage_connection_string"]
        ends = (servers.azurite.blob_endpoint, servers.azurite.queue_endpoint)
        what = {"replies": replies, "count": count}
        apart("benchmarks.daily:update", settings=servers.settings, **what, start=FIRST, end=BEFORE)
        with (
            server("benchmarks.proxy:serve", target=ends[0], delay=DELAY) as blobs,
            server("benchmarks.proxy:serve", target=ends[1], delay=DELAY) as queue,
        ):
            for end, proxy in zip(ends, (blobs, queue), strict=True):
                text = text.replace(end, f"{proxy}/{ACCOUNT}")
            through = servers.settings | {"azure_storage_connection_string": text}
            runs = {}
            for name, (start, end) in UPDATES.items():
                settings = through | ({"queue_url": "az://tasks"} if name == "Azure's" else {})
                when = {"start": start, "end": end, "proxy": blobs}
                done = apart("benchmarks.daily:update", settings=settings, **what, **when)
                runs[name] = done | {"inspected": get_json(blobs, LOG), "queued": get_json(queue, LOG)}
    return Outcome(
        f"{title}: {count:,} symbols × 1 new session, on Azurite behind {DELAY * 1000:.0f} ms per request, one worker;"
        " a vendor in the process, without quota",
        tuple(line for name, done in runs.items() for line in _lines(name, done, count)),
        {
            "tasks": 2 * count,
            "done": sum(done["landed"] for done in runs.values()),
            "rows": sum(done["rows"] for done in runs.values()),
        },
    )


def update(
    settings: Mapping[str, Any], replies: str, count: int, start: str, end: str, proxy: str | None = None
) -> dict[str, Any]:
    """Plan, complete, report and inspect one run; the time counts from the opening of the platform.

    `blobs` are the requests to the lake before the inspection that the proxy has recorded.
    """
    providers, stages = prepared_providers(replies), Stages()
    with (
        stretch() as measured,
        stages.counted_statements(),
        open_platform(load_settings(**settings), providers) as opened,
    ):
        platform = observed(opened, stages)
        window = Window(date.fromisoformat(start), date.fromisoformat(end))
        with stages.stage("plan"):
            plan = plan_backfill(platform, Scope(tuple(symbols(count))), window, source="yahoo", again=True)
        done = worker_of(platform, curator=observed_curator(curator_of(platform), stages)).run(task_ids=plan.task_ids)
        blobs = get_json(proxy, LOG) if proxy else []
        with stages.stage("inspect"):
            inspect_ended_runs(platform, platform.tables)
    return {
        **vars(measured),
        "blobs": blobs,
        "stages": stages.facts(),
        "statements": sum(stages.statements.values()),
        "by_name": {f"{stage}: {name}": n for (stage, name), n in stages.statements.most_common()},
        "landed": done.landed,
        "rows": done.rows,
    }


def _lines(queue: str, done: Mapping[str, Any], count: int) -> tuple[Line, ...]:
    """Return the lines of a run with one of the queues: its sums, then each stage."""
    blobs = requests_by_stage(done["blobs"], CONTAINER)
    blobs["inspect"] = len(done["inspected"])
    queued = queue_requests(done["queued"])
    total = Line(f"with {queue} queue: seconds", done["seconds"], aim=_AIMS[queue], digits=1)
    sums = [
        Line("blob requests", sum(blobs.values()), aim="≤ 400", digits=0),
        Line("queue requests a task", sum(queued.values()) / count, aim="≤ 2.1" if queued else "", digits=2),
        Line("statements of PostgreSQL", done["statements"], digits=0),
        Line("CPU ms a task", 1000 * done["cpu"] / count, digits=2),
        Line("peak memory, MB", done["peak_mb"], aim="< 350", digits=0),
    ]
    return (total, *sums, *_stages(done["stages"], blobs, queued))


def _stages(costs: Mapping[str, Mapping[str, float]], blobs: Counter[str], queued: Counter[str]) -> list[Line]:
    requests = blobs + queued
    return [
        Line(f"{name}: s ({requests[name]} requests, {cost['statements']:.0f} statements)", cost["seconds"])
        for name, cost in costs.items()
    ]


def queue_requests(recorded: Sequence[Sequence[Any]]) -> Counter[str]:
    """Return the number of queue requests by stage."""
    stages = {"POST": "send", "DELETE": "delete", "PUT": "extend"}
    return Counter(
        stages.get(method, "receive" if "visibilitytimeout" in target else "send") for method, target, _ in recorded
    )
