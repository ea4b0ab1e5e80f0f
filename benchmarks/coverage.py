"""The coverage page of 5,000 symbols × 15 years: read, compared with the calendars, rendered, stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.market import LAST, NOW, symbols
from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.model import Finding
from quantx.core.table import INSTANT
from quantx.core.tables import BARS_1D, QUARANTINE, TABLES, UNIVERSE_MEMBERS
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.reporting.coverage import write_coverage
from quantx.pipeline.runtime.platform import Platform
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState

_FIRST_YEAR = 2011
_UNIVERSES = 10
_FINDINGS = 2000
_MISSING = 500  # one bar in this many is missing
_STAMP = pl.lit(NOW).cast(INSTANT)


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the lake, then write its page and read its floor, each in a process of its own."""
    count, lake = 500 if quick else 5000, f"{folder}/lake"
    rows = apart("benchmarks.coverage:build", lake=lake, count=count)["rows"]
    page = apart("benchmarks.coverage:write", lake=lake)
    floor = apart("benchmarks.coverage:read", lake=lake)
    return Outcome(
        f"Coverage page: {count:,} symbols × 15 years, {rows:,} rows",
        (
            Line("the first page of a process, s", page["seconds"][0], floor["seconds"][0], "≤ 5"),
            Line("best of 3, s", min(page["seconds"]), min(floor["seconds"]), "≤ 5"),
            Line("best of 3, CPU s", min(page["cpu"]), min(floor["cpu"])),
            Line("the page, MB", page["bytes"] / 1e6, aim="< 3"),
            Line("the JSON, MB", page["json"] / 1e6),
            Line("peak memory, MB", page["peak_mb"], floor["peak_mb"], "< 2,000", digits=0),
        ),
        {name: page[name] for name in ("expected", "present", "universes", "findings")} | {"rows": rows},
    )


def build(lake: str, count: int) -> dict[str, Any]:
    """Commit the years one by one, members of universes of all sizes, and some rejected rows."""
    tables = open_tables(open_location(lake), TABLES)
    names = symbols(count)
    rows = 0
    for year in range(_FIRST_YEAR, LAST.year + 1):
        bars = _bars(names, calendar("XNYS").sessions(date(year, 1, 1), date(year, 12, 31)))
        rows += bars.height
        tables[BARS_1D.name].commit(CommitContext(year), bars)
    tables[UNIVERSE_MEMBERS.name].commit(CommitContext(1), _members(names))
    broken = {"source": "yahoo", "dataset": BARS_1D.name, "rules": "prices_present,volume_valid", "known_from": NOW}
    rejected = [broken | {"symbol": name, "date": date(2011 + i % 15, 6, 15)} for i, name in enumerate(names)]
    tables[QUARANTINE.name].commit(CommitContext(1), pl.DataFrame(rejected, schema=dict(QUARANTINE.schema)))
    return {"rows": rows}


def _bars(names: Sequence[str], days: Sequence[date]) -> pl.DataFrame:
    """Return the bars of some sessions; one in `_MISSING` is missing. All prices are one, as none is read."""
    grid = pl.DataFrame({"symbol": names}).join(pl.DataFrame({"date": days}), how="cross")
    price = [pl.lit(1.0).alias(c) for c in ("open", "high", "low", "close")]
    return (
        grid.with_row_index("n")
        .filter(pl.col("n") % _MISSING != 7)
        .with_columns(
            *price,
            pl.lit("yahoo").alias("source"),
            pl.col("date").dt.year().alias("year"),
            pl.lit(1, dtype=pl.Int64).alias("volume"),
            pl.lit("USD").alias("currency"),
            pl.lit("").alias("raw"),
            _STAMP.alias("known_from"),
        )
        .select(list(BARS_1D.schema))
    )


def _members(names: Sequence[str]) -> pl.DataFrame:
    """Return members of universes: each symbol is in one of them, and every fifth in a second one."""
    first = [(f"universe_{i % (_UNIVERSES - 1)}", name) for i, name in enumerate(names)]
    second = [(f"universe_{_UNIVERSES - 1}", name) for name in names[::5]]
    rows = [(universe, "phase_1", name, "us", None, None, None, NOW) for universe, name in first + second]
    return pl.DataFrame(rows, schema=dict(UNIVERSE_MEMBERS.schema), orient="row")


class _Clock:
    def now(self) -> Any:
        return NOW


def write(lake: str) -> dict[str, Any]:
    """Write the page three times, each with handles of its own; the first one loads the calendar, too."""
    seconds, cpu = [], []
    for _ in range(3):
        with stretch() as whole:
            platform = _platform(lake)
            path = write_coverage(platform.location, platform.tables, platform.state, platform.clock.now())
        seconds.append(whole.seconds)
        cpu.append(whole.cpu)
    body = platform.location.get(path.replace(".html", ".json"))
    months = json.loads(body)["months"]
    return {
        "seconds": seconds,
        "cpu": cpu,
        "bytes": len(platform.location.get(path)),
        "json": len(body),
        "expected": sum(row["expected"] for row in months),
        "present": sum(row["present"] for row in months),
        "universes": len({row["universe"] for row in months}),
        "findings": platform.state.findings.count_open()["warn"],
    }


def _platform(lake: str) -> Platform:
    state = MemoryState(_Clock())
    state.findings.note(
        [Finding("gap", "warn", s, f"{s} misses sessions; fetch them again") for s in symbols(_FINDINGS)]
    )
    location = open_location(lake)
    return Platform(
        settings=load_settings(lake_url=lake),
        clock=_Clock(),
        location=location,
        tables=open_tables(location, TABLES),
        state=state,
        queue=MemoryQueue(_Clock()),
        providers={},
        quotas={},
    )


def read(lake: str) -> dict[str, Any]:
    """Read the columns that the page needs, and count the rows."""
    seconds, cpu = [], []
    for _ in range(3):
        with stretch() as whole:
            bars = open_tables(open_location(lake), TABLES)[BARS_1D.name]
            bars.collect(bars.scan().select("source", "symbol", "date"))
        seconds.append(whole.seconds)
        cpu.append(whole.cpu)
    return {"seconds": seconds, "cpu": cpu}
