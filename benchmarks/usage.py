"""`python -m benchmarks.usage 500 5000`: the usage of one daily update, for the cost estimate in config/prices.yaml.

A worker with its lake and its queue in Azurite, each behind a recording proxy; the vendor is in
the process and answers at once. A year is there already; each update brings one new session and repeats five.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from tests.azurite import ACCOUNT

from benchmarks.cloud import cloud, row_of, why_missing
from benchmarks.market import invented_market, providers_of, symbols
from benchmarks.measure import apart, stretch
from benchmarks.proxy import LOG
from benchmarks.servers import get_json, server
from quantx.core.model import Window
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.wiring import worker_of
from quantx.settings import load_settings

FIRST = "2024-12-02"
UPDATES = (("2025-12-22", "2025-12-30"), ("2025-12-23", "2025-12-31"))


def update(settings: Mapping[str, Any], count: int, start: str, end: str) -> dict[str, Any]:
    """Plan and complete one run; the time counts from the opening of the platform to the run's end."""
    providers = providers_of(invented_market(count, date.fromisoformat(FIRST)))
    with stretch() as measured, open_platform(load_settings(**settings), providers) as platform:
        window = Window(date.fromisoformat(start), date.fromisoformat(end))
        plan = plan_backfill(platform, Scope(tuple(symbols(count))), window, source="yahoo", again=True)
        done = worker_of(platform).run(task_ids=plan.task_ids)
    return {"seconds": measured.seconds, "cpu": measured.cpu, "rows": done.rows, "requests": done.requests}


def of_blobs(recorded: Sequence[Sequence[Any]]) -> Counter[str]:
    """Return the number of requests by price class: writes and lists cost ten times as much as reads."""
    counted: Counter[str] = Counter()
    for method, target, _ in recorded:
        counted[
            "deletes" if method == "DELETE" else "writes" if method == "PUT" or "comp=list" in target else "reads"
        ] += 1
    return counted


def measure(folder: Path, count: int) -> None:
    """Print the usage of the updates of `count` symbols."""
    with cloud(folder, yfinance_quota="unlimited") as servers:
        text = servers.settings["azure_storage_connection_string"]
        ends = (servers.azurite.blob_endpoint, servers.azurite.queue_endpoint)
        with (
            server("benchmarks.proxy:serve", target=ends[0], delay=0) as blobs,
            server("benchmarks.proxy:serve", target=ends[1], delay=0) as queue,
        ):
            for end, proxy in zip(ends, (blobs, queue), strict=True):
                text = text.replace(end, f"{proxy}/{ACCOUNT}")
            settings = servers.settings | {"azure_storage_connection_string": text}
            built = apart("benchmarks.usage:update", settings=settings, count=count, start=FIRST, end="2025-12-29")
            print(f"{count} symbols: {built['rows']:,} rows before", flush=True)
            for start, end in UPDATES:
                get_json(blobs, LOG), get_json(queue, LOG)
                before = _raw(servers.postgres.url)
                done = apart("benchmarks.usage:update", settings=settings, count=count, start=start, end=end)
                recorded, queued = of_blobs(get_json(blobs, LOG)), len(get_json(queue, LOG))
                objects, size = (after - b for after, b in zip(_raw(servers.postgres.url), before, strict=True))
                print(
                    f"  {end}: {done['rows']:,} rows, {done['requests']:,} vendor requests, {done['seconds']:.1f} s"
                    f" ({done['cpu']:.1f} s CPU), {dict(recorded)} blob requests, {queued:,} queue requests,"
                    f" {objects} raw objects of {size / 1e6:.2f} MB, peak {done['peak_mb']:.0f} MB",
                    flush=True,
                )


def _raw(url: str) -> tuple[int, int]:
    objects, size = row_of(url, "select count(*), coalesce(sum(bytes), 0)::bigint from raw_objects")
    return int(objects), int(size)


def main() -> None:
    """Measure for each number of symbols."""
    if missing := why_missing():
        raise SystemExit(missing)
    for count in map(int, sys.argv[1:] or ["500", "5000"]):
        with tempfile.TemporaryDirectory(prefix="quantx-usage-") as folder:
            measure(Path(folder).resolve(), count)


if __name__ == "__main__":
    main()
