"""B2: a backfill of 500 symbols × 20 years from stored payloads, raw → curated with rules: the curator alone.

Then it is measured how the CPU time grows: with twice the symbols, and with twice the years.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.landed import settings_in
from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.tables import BARS_1D
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.wiring import curator_of

START, END = "2006-01-01", "2025-12-31"
_HALF = "2016-01-01"  # half of the years


def run(folder: Path, *, quick: bool) -> Outcome:
    """Land the payloads, curate them in a new process, and write the same rows with Polars in another."""
    count = 50 if quick else 500
    landed, curated = _curated(folder, count, START)
    parquet = apart("benchmarks.backfill:rows_as_parquet", folder=folder)
    floor = apart("benchmarks.backfill:read_and_write", folder=folder)
    rows, seconds = curated["rows"], curated["seconds"]
    smaller = [_curated(folder / name, many, first)[1] for name, many, first in _smaller(count)]
    quarter, half, years = (each["cpu"] for each in smaller)
    return Outcome(
        f"B2 backfill: {count} symbols × 20 years, {landed['payloads']} payloads"
        f" ({landed['raw_bytes'] / 1e6:.0f} MB raw)",
        (
            Line("raw → curated, times the floor", seconds / floor["seconds"], aim="≤ 8"),
            Line("raw → curated, rows/s", rows / seconds, rows / floor["seconds"], "≥ 500,000", digits=0, rate=True),
            Line("seconds", seconds, floor["seconds"]),
            Line("CPU seconds", curated["cpu"], floor["cpu"]),
            Line("peak memory, MB", curated["peak_mb"], floor["peak_mb"], "< 600", digits=0),
            Line("size of the bars, MB", curated["bytes"] / 1e6, parquet["bytes"] / 1e6, digits=0),
            Line("growth of CPU time with the symbols, exponent", math.log2(half / quarter), aim="≤ 1.1"),
            Line("growth of CPU time with the years, exponent", math.log2(half / years), aim="≤ 1.1"),
        ),
        {name: int(v) for name, v in (landed | curated).items() if name in _COUNTS},
    )


def _smaller(count: int) -> tuple[tuple[str, int, str], ...]:
    """Return the backfills that show the growth: a quarter of the symbols, half of them, half of the years."""
    return ("quarter", count // 4, START), ("half", count // 2, START), ("years", count // 2, _HALF)


def _curated(folder: Path, count: int, first: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Land the payloads of a backfill, and curate them in a new process."""
    folder.mkdir(exist_ok=True)
    landed = apart("benchmarks.landed:land", folder=folder, count=count, history=first, start=first, end=END)
    return landed, apart("benchmarks.backfill:curate", folder=folder)


_COUNTS = ("payloads", "raw_objects", "rows", "actions", "rejected", "commits", "files")


def curate(folder: str) -> dict[str, Any]:
    """Curate the landed payloads; only this is timed."""
    with open_platform(settings_in(folder)) as platform:
        with stretch() as measured:
            rows = curator_of(platform).curate(everything=True)
        facts = {name: stored for name, table in platform.tables.items() if (stored := table.facts())}
    bars = facts["bars_1d"]
    return {
        **vars(measured),
        "rows": rows,
        "actions": facts.get("actions", {"rows": 0})["rows"],
        "rejected": facts.get("quarantine", {"rows": 0})["rows"],
        "commits": sum(int(f["version"]) for f in facts.values()),  # version 0 creates the table
        "files": bars["files"],
        "bytes": float(bars["megabytes"]) * 1e6,
    }


def rows_as_parquet(folder: str) -> dict[str, Any]:
    """Write the curated rows to one Parquet file, which the floor reads."""
    rows = LakeTable(open_location(settings_in(folder).lake_url), BARS_1D).scan().sort("symbol", "date").collect()
    path = Path(folder) / "floor.parquet"
    rows.write_parquet(path, compression="zstd", compression_level=3)
    return {"bytes": path.stat().st_size}


def read_and_write(folder: str) -> dict[str, Any]:
    """Measure the floor: the same rows, from Parquet to Parquet."""
    with stretch() as measured:
        rows = pl.read_parquet(Path(folder) / "floor.parquet")
        rows.write_parquet(Path(folder) / "written.parquet", compression="zstd", compression_level=3)
    return vars(measured)
