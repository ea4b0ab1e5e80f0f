"""B8: the backfill of B1 by four workers on the cloud's local servers, first without faults, then with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.cloud import Cloud, cloud, row_of, why_missing
from benchmarks.fleet import WorkerProcess, start_workers
from benchmarks.market import symbols
from benchmarks.measure import apart
from benchmarks.quota import END, PER_SECOND, START, vendor
from benchmarks.servers import stats
from benchmarks.table import Line, Outcome
from quantx.core.model import Window
from quantx.core.tables import QUARANTINE
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import load_settings

FAULTS = ("429=0.05", "500=0.02", "garbage=0.01")
_GLANCE = 0.05  # seconds between two reads of the sandbox's counters
_IDLE = 0.5  # seconds without a request that count as waiting; the quota itself leaves half a second
# Seconds, with and without faults: the tasks of a killed worker are released that soon. The default is for longer
# backfills.
_LEASE = 5
_LIMIT = 900.0  # seconds, after which a run has failed


@dataclass
class Story:
    """Events that are due after a number of requests (a share of the symbols)."""

    events: list[tuple[float, str, Callable[[], None]]]
    done: list[str] = field(default_factory=list)

    def go_on(self, share: float) -> None:
        """Run the next event if it is due."""
        if self.events and share >= self.events[0][0]:
            _, name, happen = self.events.pop(0)
            happen()
            self.done.append(name)


def run(folder: Path, *, quick: bool) -> Outcome:
    """Run without and with faults on servers of their own, and compare their cost and their tables."""
    title = "B8 the faulty world"
    if missing := why_missing():
        return Outcome(title, (), skipped=missing)
    # No 429 in a short run: each opens the vendor's circuit for seconds.
    count, workers, faults = (50, 1, FAULTS[1:]) if quick else (500, 4, FAULTS)
    clean = backfill(folder / "clean", count, workers, (), short=quick)
    faulty = backfill(folder / "faulty", count, workers, faults, short=quick)
    total, before = faulty["requests"], clean["requests"]
    return Outcome(
        f"{title}: B1 ({count} symbols × one year at {PER_SECOND}/s) by {workers} workers on Azurite and PostgreSQL,"
        f" with {', '.join(faults)}, {', '.join(faulty['injected'])}; beside the same without faults",
        (
            Line("wall / wall of the clean world", faulty["seconds"] / clean["seconds"], aim="≤ 1.3"),
            Line("wall, s", faulty["seconds"], clean["seconds"]),
            Line("of that without a request for more than half a second, s", faulty["idle"], clean["idle"]),
            Line("requests", total, before, digits=0),
            Line("more requests, %", 100 * (total / before - 1), aim="≤ 8", digits=1),
            Line("requests that met a 429 or a 500", faulty["refused"], clean["refused"], digits=0),
            Line("closures of the vendor", faulty["closures"], clean["closures"], digits=0),
            Line("rows that differ", differences(clean, faulty), aim="= 0", digits=0),
            Line("rows", faulty["rows"], clean["rows"], digits=0),
            Line("peak memory of the largest worker, MB", faulty["peak_mb"], clean["peak_mb"], "< 400", digits=0),
        ),
        {
            "symbols": count,
            "done": faulty["done"],
            "rows": faulty["rows"],
            "rows_that_differ": differences(clean, faulty),
            "events": len(faulty["injected"]),
        },
    )


def backfill(folder: Path, count: int, at_once: int, faults: Sequence[str], *, short: bool) -> dict[str, Any]:
    """Backfill once; with faults, workers are killed and replaced, and both servers restarted."""
    more = {"lease_seconds": 2 if short else _LEASE}
    market = {"count": count, "quota": f"{PER_SECOND}/s", "faults": list(faults)}
    with vendor(**market) as url, cloud(folder, **more) as servers:
        settings = servers.settings | {"yfinance_base_url": url, "yfinance_quota": f"{PER_SECOND}/s"}
        workers = start_workers(at_once, settings=settings)
        apart("benchmarks.faulty:plan", settings=settings, count=count)
        begun = row_of(settings["state_url"], "select clock_timestamp()")[0]
        for worker in workers:
            worker.go()
        story = _story(servers, settings, workers, short) if faults else Story([])
        watched = _watch(url, workers, story, count)
        results = [worker.result() for worker in workers]
        done, ended_at = row_of(
            settings["state_url"],
            "select (select count(*) from tasks where state = 'done'), max(finished_at) from rounds",
        )
        counted = stats(url)
        table = folder.with_suffix(".parquet")
        kept = apart("benchmarks.faulty:keep", settings=settings, path=table)
    by_status = counted["by_status"]
    return {
        "seconds": (ended_at - begun).total_seconds(),
        **watched,
        "requests": counted["total"],
        "refused": by_status.get("429", 0) + by_status.get("500", 0),
        "closures": sum(r["events"].get("vendor.closed", 0) for r in results),
        "peak_mb": max([watched["peak_mb"], *(r["peak_mb"] for r in results)]),
        "done": done,
        "injected": story.done,
        "table": table,
        **kept,
    }


def _story(servers: Cloud, settings: Mapping[str, Any], workers: list[WorkerProcess], short: bool) -> Story:
    def replace_first() -> None:
        workers.pop(0).kill()
        workers.append(WorkerProcess(settings=settings, waits=False))

    def restart_azurite() -> None:
        servers.azurite.stop()
        servers.azurite.start()

    events = [
        (0.2, "a worker killed", replace_first),
        (0.35, "PostgreSQL restarted", servers.postgres.restart),
        (0.5, "another worker killed", replace_first),
        (0.65, "Azurite restarted", restart_azurite),
    ]
    return Story(events[:2] if short else events)


def _watch(url: str, workers: list[WorkerProcess], story: Story, count: int) -> dict[str, Any]:
    """Read the sandbox's counters until all workers have ended; return the idle time and the peak memory."""
    idle, peak, requests = 0.0, 0.0, 0
    last = begun = time.monotonic()
    while any(worker.alive for worker in workers):
        if time.monotonic() - begun > _LIMIT:
            for worker in workers:
                worker.kill()
            raise RuntimeError(f"the backfill has not ended within {_LIMIT:.0f} s")
        total, now = stats(url)["total"], time.monotonic()
        if total > requests:
            idle += now - last if now - last > _IDLE else 0.0
            requests, last = total, now
        peak = max([peak, *(worker.peak_megabytes() for worker in workers)])
        story.go_on(requests / count)
        time.sleep(_GLANCE)
    return {"idle": idle, "peak_mb": peak}


def plan(settings: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Plan the backfill and send its messages."""
    with open_platform(load_settings(**settings)) as platform:
        window = Window(date.fromisoformat(START), date.fromisoformat(END))
        planned = plan_backfill(platform, Scope(tuple(symbols(count))), window, source="yahoo")
    return {"tasks": len(planned.task_ids)}


def keep(settings: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Write the tables' rows, without the columns of their origin, to a file that outlives the servers."""
    with open_platform(load_settings(**settings)) as platform:
        bars = platform.tables["bars_1d"].read().drop("known_from", "raw").sort("symbol", "date")
        actions = platform.tables["actions"].read()
        rejected = platform.tables[QUARANTINE.name].read()
    bars.write_parquet(path)
    return {"rows": bars.height, "actions": actions.height, "rejected": rejected.height}


def differences(clean: Mapping[str, Any], faulty: Mapping[str, Any]) -> int:
    """Return the number of rows that only one of the tables has."""
    left, right = pl.read_parquet(clean["table"]), pl.read_parquet(faulty["table"])
    every = left.columns
    return (
        left.join(right, on=every, how="anti", nulls_equal=True).height
        + right.join(left, on=every, how="anti", nulls_equal=True).height
    )
