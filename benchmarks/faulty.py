"""B8: the backfill of B1 by four workers on the cloud's local servers, first without faults, then with them.

Each run is taken apart: the seconds without a request, by what came before them; and the requests that were made again,
by the answer before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.cloud import Cloud, cloud, row_of, why_missing
from benchmarks.fleet import WorkerProcess, start_workers
from benchmarks.market import symbols
from benchmarks.measure import apart
from benchmarks.quota import END, PER_SECOND, START, vendor
from benchmarks.recorded import Request, repeated, requests_of
from benchmarks.servers import stats
from benchmarks.table import Line, Outcome
from quantx.core.model import Window
from quantx.core.tables import QUARANTINE
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import load_settings

FAULTS = ("429=0.05", "500=0.02", "garbage=0.01")
_GLANCE = 0.05  # seconds between two reads of the sandbox's counters
_QUOTA_PAUSE = 0.55  # seconds that the quota itself leaves between two batches of requests
_BEFORE = 0.5  # seconds before a gap in which its cause may lie
# Seconds, with and without faults: the tasks of a killed worker are released that soon. The default is for longer
# backfills.
_LEASE = 5
_LIMIT = 900.0  # seconds, after which a run has failed
_POSTGRES, _AZURITE = "PostgreSQL restarted", "Azurite restarted"
_REFUSAL, _OTHER = "after a refusal", "other"
_CAUSES = (_POSTGRES, _AZURITE, _REFUSAL, _OTHER)  # of seconds without a request; the first that fits counts
_AGAIN = {
    "good": "an answer that was not stored: its worker died",
    "429": "a 429",
    "500": "a 500",
    "garbage": "garbage",
}


@dataclass
class Story:
    """Events that are due after a number of requests (a share of the symbols)."""

    events: list[tuple[float, str, Callable[[], None]]]
    done: list[str] = field(default_factory=list)
    spans: list[tuple[str, float, float]] = field(default_factory=list)  # name, begin, end by the system's clock

    def go_on(self, share: float) -> None:
        """Run the next event if it is due."""
        if self.events and share >= self.events[0][0]:
            _, name, happen = self.events.pop(0)
            begun = time.time()
            happen()
            self.done.append(name)
            self.spans.append((name, begun, time.time()))


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
            Line("wall / wall of the clean world", faulty["seconds"] / clean["seconds"], aim="≤ 1.4"),
            Line("wall, s", faulty["seconds"], clean["seconds"]),
            Line("until the last request, s", faulty["fetched"], clean["fetched"]),
            *(
                Line(f"of that without a request, beyond the quota's own pauses: {why}, s", faulty[why], clean[why])
                for why in _CAUSES
            ),
            Line("from the last request until all is curated, s", faulty["curated"], clean["curated"]),
            Line("slots that passed without a request", faulty["missed"], clean["missed"], digits=0),
            Line("requests", total, before, digits=0),
            Line("more requests, %", 100 * (total / before - 1), aim="≤ 12", digits=1),
            *(
                Line(f"requests made again after {what}", faulty["again"][kind], clean["again"][kind], digits=0)
                for kind, what in _AGAIN.items()
            ),
            Line("requests that met a 429 or a 500", faulty["refused"], clean["refused"], digits=0),
            Line("back-offs that a 429 began", faulty["closures"], clean["closures"], digits=0),
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
        killed: list[WorkerProcess] = []
        settings = servers.settings | {"yfinance_base_url": url, "yfinance_quota": f"{PER_SECOND}/s"}
        workers = start_workers(at_once, settings=settings)
        apart("benchmarks.faulty:plan", settings=settings, count=count)
        begun = time.time()
        for worker in workers:
            worker.go()
        story = _story(servers, settings, workers, killed, short) if faults else Story([])
        peak = _watch(url, workers, story, count)
        results = [worker.result() for worker in workers]
        done, ended_at = row_of(
            settings["state_url"],
            "select (select count(*) from tasks where state = 'done'), extract(epoch from max(finished_at))::float8"
            " from rounds",
        )
        counted, requests = stats(url), requests_of(url)
        table = folder.with_suffix(".parquet")
        kept = apart("benchmarks.faulty:keep", settings=settings, path=table)
    by_status, events = counted["by_status"], [event for worker in (*workers, *killed) for event in worker.events()]
    closed = [event for event in events if event["event"] == "vendor.closed" and event["seconds"]]
    return {
        "seconds": ended_at - begun,
        "fetched": requests[-1].at - begun,
        "curated": ended_at - requests[-1].at,
        **_waits(requests, story, [event["at"] for event in closed]),
        "requests": counted["total"],
        "again": {kind: repeated(requests)[kind] for kind in _AGAIN},
        "refused": by_status.get("429", 0) + by_status.get("500", 0),
        "closures": len(closed),
        "missed": sum(event["event"] == "slot.late" for event in events),
        "peak_mb": max([peak, *(r["peak_mb"] for r in results)]),
        "done": done,
        "injected": story.done,
        "table": table,
        **kept,
    }


def _story(
    servers: Cloud, settings: Mapping[str, Any], workers: list[WorkerProcess], killed: list[WorkerProcess], short: bool
) -> Story:
    def replace_first() -> None:
        killed.append(workers.pop(0))
        killed[-1].kill()
        workers.append(WorkerProcess(settings=settings, waits=False))

    def restart_azurite() -> None:
        servers.azurite.stop()
        servers.azurite.start()

    events = [
        (0.2, "a worker killed", replace_first),
        (0.35, _POSTGRES, servers.postgres.restart),
        (0.5, "another worker killed", replace_first),
        (0.65, _AZURITE, restart_azurite),
    ]
    return Story(events[:2] if short else events)


def _watch(url: str, workers: list[WorkerProcess], story: Story, count: int) -> float:
    """Read the sandbox's counters until all workers have ended; return the peak memory of the largest in MB."""
    peak, begun = 0.0, time.monotonic()
    while any(worker.alive for worker in workers):
        if time.monotonic() - begun > _LIMIT:
            for worker in workers:
                worker.kill()
            raise RuntimeError(f"the backfill has not ended within {_LIMIT:.0f} s")
        peak = max([peak, *(worker.peak_megabytes() for worker in workers)])
        story.go_on(stats(url)["total"] / count)
        time.sleep(_GLANCE)
    return peak


def _waits(requests: Sequence[Request], story: Story, closed: Sequence[float]) -> dict[str, float]:
    """Return the seconds between requests, beyond the quota's own pauses, by what happened during or just before."""
    spans = [*story.spans, *((_REFUSAL, at, at) for at in closed)]
    waits = dict.fromkeys(_CAUSES, 0.0)
    for before, after in pairwise(request.at for request in requests):
        if after - before > _QUOTA_PAUSE:
            names = {name for name, begin, end in spans if begin <= after and end >= before - _BEFORE}
            cause = next((cause for cause in _CAUSES if cause in names), _OTHER)
            waits[cause] += after - before - _QUOTA_PAUSE
    return waits


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
