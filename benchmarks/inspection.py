"""Inspection after a daily run: 15 years of all symbols are stored, a session of each is new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg

from benchmarks.cloud import Postgres
from benchmarks.growth import growth_lines
from benchmarks.market import LAST, NOW, symbols
from benchmarks.measure import apart, stretch
from benchmarks.stages import CHECK, Stages
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.tables import ACTIONS, BARS_1D, INSTANT
from quantx.lake.protocol import CommitContext
from quantx.pipeline.inspecting.inspection import InspectionChecks
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.settings import load_settings

YEARS = 15
_STAMP = pl.lit(NOW).cast(INSTANT)
_SERIES = """
insert into quantx.series (source, dataset, timeframe, symbol, covered, first_session, watermark, asked_through)
select 'yahoo', 'bars', '1d', s, datemultirange(daterange(%(first)s, %(last)s, '[]')), %(first)s, %(last)s, %(last)s
from unnest(%(symbols)s::text[]) as s
"""


def run(folder: Path, *, quick: bool) -> Outcome:
    """Inspect the whole lake, and three small ones that show the growth, each in a process of its own."""
    count = 500 if quick else 5_000
    few, half = count // 5, YEARS // 2
    sizes = {"small": (few, half), "symbols": (2 * few, half), "years": (few, 2 * half), "all": (count, YEARS)}
    done = {name: _measured(folder / name, *size) for name, size in sizes.items()}
    whole, first = done["all"]["daily"], done["all"]["first"]
    costs = {"cpu": "CPU seconds", "statements": "statements"}
    return Outcome(
        f"Inspection after a daily run: {count:,} symbols × {YEARS} years, one new session",
        (
            Line("seconds", whole["seconds"], first["seconds"], "≤ 10"),
            Line("CPU seconds", whole["cpu"], first["cpu"]),
            Line("statements of PostgreSQL", whole["statements"], first["statements"], digits=0),
            Line("peak memory, MB", done["all"]["peak_mb"], aim="≤ 1,000", digits=0),
            *(Line(f"of that {name}, s", seconds, first["checks"][name]) for name, seconds in whole["checks"].items()),
            *growth_lines("symbols", done["small"]["daily"], done["symbols"]["daily"], costs),
            *growth_lines("years", done["small"]["daily"], done["years"]["daily"], costs),
        ),
        {"rows": done["all"]["rows"], "findings": whole["findings"]},
        headings=("what", "daily run", "first inspection", "ratio", "aim", ""),
    )


def _measured(folder: Path, count: int, years: int) -> dict[str, Any]:
    postgres = Postgres(folder / "state")
    try:
        settings = {"lake_url": f"{folder}/lake", "state_url": postgres.url, "universe_path": "missing.yaml"}
        what = {"settings": settings, "count": count, "years": years}
        rows = apart("benchmarks.inspection:build", **what)["rows"]
        first = apart("benchmarks.inspection:inspect", settings=settings, count=count)
        daily = apart("benchmarks.inspection:day", settings=settings, count=count)
        return {"rows": rows, "first": first, "daily": daily, "peak_mb": daily["peak_mb"]}
    finally:
        postgres.stop()


def build(settings: dict[str, Any], count: int, years: int) -> dict[str, Any]:
    """Commit the years one by one, without the last session, and record the coverage of the series."""
    days = sessions_of(years)[:-1]
    rows, levels = 0, np.full(count, np.log(50.0))
    with _opened(settings) as platform:
        for year in range(LAST.year - years + 1, LAST.year + 1):
            bars, levels = bars_of(count, [day for day in days if day.year == year], levels)
            rows += bars.height
            platform.tables[BARS_1D.name].commit(CommitContext(year), bars)
        platform.tables[ACTIONS.name].commit(CommitContext(LAST.year), dividends_of(count, days))
        with psycopg.connect(settings["state_url"]) as connection:
            connection.execute(_SERIES, {"first": days[0], "last": days[-1], "symbols": symbols(count)})
    return {"rows": rows}


def day(settings: dict[str, Any], count: int) -> dict[str, Any]:
    """Commit the last session of all symbols, as a daily run does, and inspect them."""
    with _opened(settings) as platform:
        table = platform.tables[BARS_1D.name]
        before = table.collect(
            table.scan().filter(pl.col("year") == LAST.year).sort("date").group_by("symbol").agg(pl.col("close").last())
        )
        levels = np.log(before.sort("symbol")["close"].to_numpy())
        table.commit(CommitContext(LAST.year + 1), bars_of(count, sessions_of(1)[-1:], levels)[0])
        with psycopg.connect(settings["state_url"]) as connection:
            last = {"last": sessions_of(1)[-1]}
            connection.execute(
                "update quantx.series set covered = covered + datemultirange(daterange(watermark, %(last)s, '[]')),"
                " watermark = %(last)s, asked_through = %(last)s",
                last,
            )
    return inspect(settings, count)


def inspect(settings: dict[str, Any], count: int) -> dict[str, Any]:
    """Inspect all symbols as the worker does after a run; return what each check and the whole has cost."""
    stages, checks = Stages(), dict[str, float]()
    with _opened(settings) as platform, stages.counted_statements(), stretch() as measured:
        for name, check in InspectionChecks(platform, platform.tables).in_order().items():
            with stretch() as one:
                check(symbols(count))
            checks[name] = one.seconds
        findings = sum(platform.state.findings.count_open().values())
    statements = sum(n for (_, name), n in stages.statements.items() if name != CHECK)
    return {**vars(measured), "checks": checks, "statements": statements, "findings": findings}


@contextmanager
def _opened(settings: dict[str, Any]) -> Iterator[Platform]:
    with open_platform(load_settings(**settings)) as platform:
        yield platform


def sessions_of(years: int) -> list[date]:
    """Return the sessions of the last years."""
    return list(calendar("XNYS").sessions(date(LAST.year - years + 1, 1, 1), LAST))


def bars_of(count: int, days: list[date], levels: Any) -> tuple[pl.DataFrame, Any]:
    """Return the bars of some sessions after these levels (logarithms of the closes), and the levels at their end."""
    random = np.random.default_rng([4, days[0].toordinal()])
    walk = levels + np.cumsum(random.normal(0, 0.012, (len(days), count)), axis=0)
    close, opened = np.exp(walk), np.exp(walk + random.normal(0, 0.004, walk.shape))
    spread = np.exp(random.uniform(0, 0.008, walk.shape))
    frame = pl.DataFrame(
        {
            "symbol": symbols(count) * len(days),
            "date": pl.Series(days).gather(np.repeat(np.arange(len(days)), count)),
            "open": opened.ravel(),
            "high": (np.maximum(opened, close) * spread).ravel(),
            "low": (np.minimum(opened, close) / spread).ravel(),
            "close": close.ravel(),
            "volume": np.floor(random.lognormal(14, 0.3, walk.size)).astype(np.int64),
        }
    ).with_columns(
        pl.lit("yahoo").alias("source"),
        pl.col("date").dt.year().alias("year"),
        pl.lit("USD").alias("currency"),
        pl.lit(f"{0:026d}").alias("raw"),
        _STAMP.alias("known_from"),
    )
    return frame.select(list(BARS_1D.schema)), walk[-1]


def dividends_of(count: int, days: list[date]) -> pl.DataFrame:
    """Return a dividend in each quarter of every second symbol."""
    paid = pl.DataFrame({"symbol": symbols(count)[::2]}).join(pl.DataFrame({"ex_date": days[40::63]}), how="cross")
    return paid.select(
        pl.lit("yahoo").alias("source"),
        "symbol",
        "ex_date",
        kind=pl.lit("dividend"),
        value=pl.lit(0.25),
        reference_close=pl.lit(50.0),
        currency=pl.lit("USD"),
        raw=pl.lit(f"{0:026d}"),
        known_from=_STAMP,
    )
