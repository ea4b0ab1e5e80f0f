"""Features of minutes on one machine, and on two workers of Sail on the same machine, by the number of symbols."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.features.minute import MINUTE
from quantx.core.tables import BARS_1M, TABLES
from quantx.features.build import build
from quantx.features.engines import engine_of
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState

ROOT = Path(__file__).parents[1]
COUNTS, QUICK = (50, 100, 200, 400), (5, 10)
MONTH = (date(2024, 6, 3), date(2024, 6, 28))
MINUTES = 390


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the set `minute` of a month of some symbols whole, with each engine."""
    from tests.features.sail import HOME, running_sail

    counts = QUICK if quick else COUNTS
    title = f"Features on Spark: a month of minutes, {len(MINUTE.names)} features, whole builds"
    if not (HOME / "bin" / "sail").exists():
        return Outcome(title, (), skipped="no Sail; `sh requirements/spark.sh` installs it")
    rows = {count: write_minutes(folder / str(count), count) for count in counts}
    with tempfile.TemporaryDirectory(prefix="quantx-sail-") as logs, running_sail(Path(logs), {}) as sail:

        def measured(count: int, engine: str) -> dict[str, Any]:
            command = [
                HOME / "bin" / "python",
                "-m",
                "benchmarks.spark_features",
                folder / str(count),
                engine,
                sail.remote,
            ]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return found

        lines = []
        for count in counts:
            here, there = measured(count, "local"), measured(count, "spark")
            assert here["rows"] == there["rows"]
            lines += [
                Line(f"{count} symbols, {rows[count]:,} rows: s, beside one process", there["again"], here["again"]),
                Line(
                    f"{count} symbols: s of the first build, with the start of workers", there["first"], here["first"]
                ),
            ]
    return Outcome(title, tuple(lines), {"rows": sum(rows.values())})


def write_minutes(folder: Path, count: int) -> int:
    """Commit a month of minutes of some symbols to a new lake; return the number of rows."""
    days = [day for day in calendar("XNYS").days if MONTH[0] <= day <= MONTH[1]]
    opens = [datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC) for day in days]
    times = [opened + timedelta(minutes=n) for opened in opens for n in range(MINUTES)]
    table = open_tables(open_location(str(folder)), TABLES)[BARS_1M.name]
    for at in range(0, count, 50):
        names = [f"S{n:04}" for n in range(at, min(count, at + 50))]
        frame = pl.concat([_minutes(name, seed, times) for seed, name in enumerate(names, at)])
        table.commit(CommitContext(), frame)
    return count * len(times)


def _minutes(symbol: str, seed: int, times: list[datetime]) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.0005, len(times))))
    frame = pl.DataFrame(
        {
            "source": "alpaca",
            "month": 202406,
            "symbol": symbol,
            "date": pl.Series(times).dt.date(),
            "time": times,
            "open": close * 1.0001,
            "high": close * 1.001,
            "low": close * 0.999,
            "close": close,
            "volume": random.integers(100, 9_000, len(times)),
            "regular": True,
            "currency": "USD",
            "raw": "raw",
            "known_from": datetime(2024, 7, 1, tzinfo=UTC),
        }
    )
    return frame.cast(dict(BARS_1M.schema)).select(list(BARS_1M.schema))


class _Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


def timed_builds(folder: str, engine: str, remote: str) -> dict[str, Any]:
    """Build twice in this process, each time from nothing; it runs in the environment of Spark."""
    settings = load_settings(lake_url=folder, spark_remote=remote)
    runner, seconds, built = engine_of(engine, settings), [], None
    for _ in range(2):
        location, state = open_location(folder), MemoryState(_Now())
        for path in (*location.paths("features"), *location.paths("meta")):
            location.delete([path])
        confirm_lake(location, state)
        platform = Platform(
            settings=settings,
            clock=_Now(),
            location=location,
            state=state,
            queue=MemoryQueue(_Now()),
            providers={},
            tables=open_tables(location, TABLES),
            quotas={},
        )
        began = time.perf_counter()
        built = build(platform, MINUTE, runner)
        seconds.append(time.perf_counter() - began)
    return {"first": seconds[0], "again": seconds[1], "rows": built.rows if built else 0}


if __name__ == "__main__":
    print(json.dumps(timed_builds(*sys.argv[1:4])))
