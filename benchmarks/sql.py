"""R3: SQL of a lake, beside DuckDB over the same files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import apart
from benchmarks.reader import files_of, open_lake_of, timed
from benchmarks.table import Line, Outcome

QUERIES = {
    "limit 5": ("select * from bars limit 5", 30, "≤ 15"),
    "order by date desc limit 5": ("select * from bars order by date desc limit 5", 30, "≤ 15"),
    "one symbol × 15 years": ("select * from bars where symbol = 'QACA'", 20, ""),
    "one day of all symbols": ("select * from bars where date = '2020-06-15'", 10, ""),
    "all rows, by symbol": ("select symbol, avg(close) as mean, max(volume) as most from bars group by symbol", 5, ""),
    "all rows adjusted, by symbol": ("select symbol, avg(close) as mean from bars_adjusted group by symbol", 3, ""),
}  # the query, the repetitions, the aim in ms
_AGGREGATION, _MOST = "all rows, by symbol", 1.5


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the lake, then measure both in processes of their own."""
    count, lake = 500 if quick else 5000, {"lake_url": f"{folder}/lake", "cache_size": "0"}
    apart("benchmarks.reader:build", lake=lake, count=count)
    ours = apart("benchmarks.sql:ours", lake=lake)
    plain = apart("benchmarks.sql:over_duckdb", lake=lake)
    lines = [
        Line(
            f"{name} ({median(ours[name]) * 1e3:,.1f})",
            min(ours[name]) * 1e3,
            min(plain[name]) * 1e3 if name in plain else None,
            f"≤ {_MOST * min(plain[name]) * 1e3:.0f}" if name == _AGGREGATION else aim,
            digits=1,
        )
        for name, (_, _, aim) in QUERIES.items()
    ]
    title = f"R3 SQL: {count:,} symbols × 15 years, ms, best of some (medians in brackets); all rows ≤ {_MOST} × DuckDB"
    return Outcome(title, tuple(lines), {})


def ours(lake: Mapping[str, str]) -> dict[str, Any]:
    """Measure the queries by `Lake.sql`."""
    opened = open_lake_of(lake)
    return {name: timed(lambda q=query: opened.sql(q), times) for name, (query, times, _) in QUERIES.items()}  # type: ignore[misc]


def over_duckdb(lake: Mapping[str, str]) -> dict[str, Any]:
    """Measure the queries of stored rows by DuckDB over the same files."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"create view bars as select * from read_parquet({files_of(lake)}, hive_partitioning = true)")  # noqa: S608
    return {
        name: timed(lambda q=query: connection.sql(q).pl(), times)  # type: ignore[misc]
        for name, (query, times, _) in QUERIES.items()
        if "bars_adjusted" not in query
    }
