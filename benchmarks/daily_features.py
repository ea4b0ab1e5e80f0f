"""Features after a daily run: years of all symbols are stored and built, a session of each is new."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.inspection import bars_of, dividends_of, sessions_of
from benchmarks.market import LAST, NOW, symbols
from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.features.sets import SETS
from quantx.core.features.tail import carried_names, compute_tail, rows_before
from quantx.core.fundamentals.newest import newest_values, values_by_day
from quantx.core.tables import ACTIONS, BARS_1D, TABLES
from quantx.features.build import build as build_set
from quantx.features.engines.local import LocalEngine
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState

YEARS = 3
SET = SETS["technical"]


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build all rows, commit a session, and build again; each in a process of its own."""
    count = 250 if quick else 5_000
    built = apart("benchmarks.daily_features:whole", url=f"{folder}/lake", count=count)
    day = apart("benchmarks.daily_features:day", url=f"{folder}/lake", count=count)
    join = apart("benchmarks.daily_features:join", sessions=500 if quick else 5_000)
    return Outcome(
        f"Features after a daily run: {count:,} symbols × {YEARS} years, {len(SET.names)} features, one new session",
        (
            Line("incremental day, s", day["seconds"], day["floor"], "≤ 1.5"),
            Line("CPU seconds", day["cpu"], day["floor_cpu"]),
            Line("peak memory, MB", day["peak_mb"], aim="≤ 2,000", digits=0),
            Line("requests", day["requests"], digits=0),
            Line("start of the process before it: modules and the platform, s", day["start"]),
            Line("build of all rows, s", built["seconds"]),
            Line("peak memory of it, MB", built["peak_mb"], aim="≤ 2,000", digits=0),
            Line("values that were public, at each close, s", join["seconds"], join["floor"], "≤ 0.3"),
        ),
        {"rows": built["rows"], "new rows": day["rows"], "joined rows": join["rows"]},
    )


class _Counted(LakeLocation):
    """Counts the requests to the store."""

    requests = 0

    def get(self, path: str) -> bytes:
        self.requests += 1
        return super().get(path)

    def create(self, path: str, body: bytes) -> bool:
        self.requests += 1
        return super().create(path, body)

    def put_new(self, path: str, body: bytes) -> None:
        self.requests += 1
        super().put_new(path, body)

    def has(self, path: str) -> bool:
        self.requests += 1
        return super().has(path)


class _Clock:
    def now(self) -> Any:
        return NOW + timedelta(days=1)


def _platform(url: str) -> Platform:
    settings, clock = load_settings(lake_url=url), _Clock()
    location, state = open_location(settings.lake_url), MemoryState(clock)
    counted = _Counted(**{name: getattr(location, name) for name in location.__dataclass_fields__})
    confirm_lake(counted, state)
    tables = open_tables(counted, TABLES)
    queue = MemoryQueue(clock)
    return Platform(
        settings=settings,
        clock=clock,
        location=counted,
        state=state,
        queue=queue,
        providers={},
        tables=tables,
        quotas={},
    )


def whole(url: str, count: int) -> dict[str, Any]:
    """Commit the years without the last session, and build all rows."""
    platform, days = _platform(url), sessions_of(YEARS)[:-1]
    levels = np.full(count, np.log(50.0))
    for year in range(LAST.year - YEARS + 1, LAST.year + 1):
        bars, levels = bars_of(count, [day for day in days if day.year == year], levels)
        platform.tables[BARS_1D.name].commit(CommitContext(), bars)
    platform.tables[ACTIONS.name].commit(CommitContext(), dividends_of(count, days))
    with stretch() as measured:
        built = build_set(platform, SET, LocalEngine())
    assert built is not None
    return {**vars(measured), "rows": built.rows}


def day(url: str, count: int) -> dict[str, Any]:
    """Commit the last session of all symbols, and bring the features up to date.

    `start` is the age of the process before that, with what it imports for the first time.
    """
    platform = _platform(url)
    start = _age()
    table = platform.tables[BARS_1D.name]
    year = table.scan().filter(pl.col("year") == LAST.year)
    before = table.collect(year.sort("date").group_by("symbol").agg(pl.col("close").last()))
    levels = np.log(before.sort("symbol")["close"].to_numpy())
    table.commit(CommitContext(), bars_of(count, sessions_of(1)[-1:], levels)[0])
    floor = _floor(table.url)
    location = platform.location
    assert isinstance(location, _Counted)
    location.requests = 0
    with stretch() as measured:
        built = build_set(platform, SET, LocalEngine())
    assert built is not None
    facts = {"rows": built.rows, "requests": location.requests, "start": start}
    return {**vars(measured), **facts, "floor": floor["seconds"], "floor_cpu": floor["cpu"]}


def _age() -> float:
    """Return for how many seconds this process has run."""
    import psutil

    return float(time.time() - psutil.Process().create_time())


def _floor(files: str) -> dict[str, float]:
    """Read the tail of the bars with one scan, and run the kernels over it in one thread."""
    with stretch() as measured:
        need = rows_before(SET.features)
        since = sessions_of(YEARS)[-need - 2]
        columns = ["symbol", "date", "open", "high", "low", "close", "volume"]
        rows = pl.scan_delta(files).filter(pl.col("date") >= since).select(columns).collect().sort("symbol", "date")
        bars = rows.with_columns(split_factor=pl.lit(1.0), total_factor=pl.lit(1.0))
        last = bars.filter(pl.col("date") == sessions_of(1)[-2]).select("symbol", "date")
        stored = last.with_columns(pl.lit(1.0).alias(name) for name in carried_names(SET.features))
        compute_tail(SET.features, bars, stored)
    return vars(measured)


def join(sessions: int) -> dict[str, Any]:
    """Find the value of each symbol that was public before each close: 500 symbols, 88 facts each."""
    names, random = symbols(500), np.random.default_rng(5)
    closes = pl.DataFrame(
        {"date": pl.date_range(date(2005, 1, 3), date(2005, 1, 3) + timedelta(sessions - 1), eager=True)}
    )
    closes = closes.with_columns(close=(pl.col("date").cast(pl.Datetime("us", "UTC")) + pl.duration(hours=21)))
    rows = pl.DataFrame({"symbol": np.repeat(names, 88), "n": list(range(88)) * len(names)}).with_columns(
        end=pl.date(2004, 12, 31) + pl.duration(days=pl.col("n") * sessions // 88),
        rank=pl.lit(0),
        value=pl.Series(random.normal(size=88 * len(names))),
        accession=pl.col("n").cast(pl.String),
    )
    rows = rows.with_columns(public_at=pl.col("end").cast(pl.Datetime("us", "UTC")) + pl.duration(days=40))
    with stretch() as measured:
        found = values_by_day(newest_values(rows), closes, names, "value")
    grid = closes.join(pl.DataFrame({"symbol": names}), how="cross").sort("close")
    with stretch() as floor:
        steps = rows.sort("public_at")
        grid.join_asof(steps, left_on="close", right_on="public_at", by="symbol", check_sortedness=False)
    return {**vars(measured), "floor": floor.seconds, "rows": found.height * found.width}
