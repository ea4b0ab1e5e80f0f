"""Queries of fundamentals of 500 symbols × 15 years by a date, and their join to prices, beside Polars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.market import LAST, symbols
from benchmarks.measure import apart
from benchmarks.reader import open_lake_of, timed
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.fact_tables import FILER_SYMBOLS, FUNDAMENTALS
from quantx.core.fundamentals.newest import newest_values, values_by_day
from quantx.core.symbols import filer_symbol
from quantx.core.table import INSTANT
from quantx.core.tables import SESSIONS, TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.settings import load_settings

_SYMBOLS, _CONCEPTS, _YEARS = 500, 40, 15
_FIRST = LAST.year - _YEARS + 1
_BY = date(2020, 6, 15)
_SOME = ["concept_00", "concept_01", "concept_02", "concept_03", "concept_04"]
_JOINED = 5000  # sessions × symbols: 2.5 million rows
_KNOWN = datetime(2026, 1, 1, tzinfo=UTC)


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the lake, then measure the reader and Polars, each in a process of its own."""
    count = _SYMBOLS // 10 if quick else _SYMBOLS
    lake = {"lake_url": f"{folder}/lake", "cache_dir": f"{folder}/copies", "cache_size": "20GB"}
    built = apart("benchmarks.fundamentals:build", lake=lake, count=count)
    apart("benchmarks.reader:warm", lake=lake)
    ours = apart("benchmarks.fundamentals:ours", lake=lake, count=count)
    peer = apart("benchmarks.fundamentals:over_polars", lake=lake, count=count)
    aims = {"5 concepts by a date": "≤ 150", "join to prices": "≤ 200"}
    return Outcome(
        f"Fundamentals: {count} symbols × {_YEARS} years × {_CONCEPTS} concepts, {built['rows']:,} versions; ms, best"
        " of some. The peer is Polars over the same files",
        tuple(
            Line(name, min(times) * 1e3, min(peer[name]) * 1e3 if name in peer else None, aims.get(name, ""), digits=1)
            for name, times in ours.items()
            if isinstance(times, list) and times
        ),
        {"versions": built["rows"], **ours["rows"]},
    )


def build(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Commit versions: each period is filed 40 days after its end, and again with another value a year later."""
    settings = load_settings(**lake)
    tables = open_tables(open_location(settings.lake_url, settings), TABLES)
    ciks = range(1, count + 1)
    carriers = pl.DataFrame(
        {
            "filer": [filer_symbol(cik) for cik in ciks],
            "symbol": symbols(count),
            "evidence": "made",
            "known_from": _KNOWN,
        }
    )
    tables[FILER_SYMBOLS.name].commit(CommitContext(1), _whole(carriers, FILER_SYMBOLS.schema))
    days = calendar("XNYS")
    sessions = {"calendar": "XNYS", "date": days.days, "open": days.opens, "close": days.closes, "known_from": _KNOWN}
    tables[SESSIONS.name].commit(CommitContext(1), _whole(pl.DataFrame(sessions), SESSIONS.schema))
    ends = [date(year, month, 28) for year in range(_FIRST, LAST.year + 1) for month in (3, 6, 9, 12)]
    periods = pl.DataFrame(
        [(period, end) for end in ends for period in ("quarter", "ttm", *(("annual",) if end.month == 12 else ()))],
        schema={"period": pl.String, "end": pl.Date},
        orient="row",
    )
    versions = pl.DataFrame({"again": [0, 365]}, schema={"again": pl.Int64})
    concepts = pl.DataFrame({"concept": [f"concept_{n:02}" for n in range(_CONCEPTS)]})
    filers = pl.DataFrame({"cik": list(ciks)}, schema={"cik": pl.Int64})
    rows = _of_versions(filers.join(concepts, how="cross").join(periods, how="cross").join(versions, how="cross"))
    for number, of_year in enumerate(rows.partition_by("year", maintain_order=True)):
        tables[FUNDAMENTALS.name].commit(CommitContext(number + 2), of_year)
    return {"rows": rows.height}


def _of_versions(keys: pl.DataFrame) -> pl.DataFrame:
    filed = pl.col("end") + pl.duration(days=40) + pl.duration(days=pl.col("again"))
    accession = pl.format("{}-{}", pl.col("cik").cast(pl.String).str.zfill(10), filed.dt.strftime("%y-%m%d"))
    rows = keys.with_row_index("n").with_columns(
        filed.alias("filed"),
        filed.dt.year().alias("year"),
        (filed.cast(INSTANT) + pl.duration(hours=20)).alias("public_at"),
        accession.alias("accession"),
        (pl.col("end") - pl.duration(days=90)).alias("start"),
        (pl.col("n").hash(1) % 10**12).cast(pl.Float64).alias("value"),
        pl.format("CIK{}", pl.col("cik").cast(pl.String).str.zfill(10)).alias("symbol"),
        pl.lit("sec").alias("source"),
        pl.lit("USD").alias("unit"),
        pl.lit("Revenues").alias("tag"),
        pl.lit("reported").alias("origin"),
        pl.format('[["Revenues", "{}"]]', accession).alias("operands"),
        pl.lit(f"{0:026d}").alias("raw"),
        pl.lit(_KNOWN).cast(INSTANT).alias("known_from"),
    )
    return _whole(rows, FUNDAMENTALS.schema).sort(FUNDAMENTALS.sort)


def _whole(rows: pl.DataFrame, schema: Mapping[str, Any]) -> pl.DataFrame:
    missing = [pl.lit(None, kind).alias(name) for name, kind in schema.items() if name not in rows.columns]
    return rows.with_columns(missing).select(list(schema)).cast(dict(schema))


def ours(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Measure the queries through `quantx`; the first of each is not counted."""
    opened, names = open_lake_of(lake), symbols(count)
    queries: dict[str, Callable[[], pl.DataFrame]] = {
        "5 concepts by a date": lambda: opened.fundamentals(names, _SOME, public_by=_BY),
        "1 concept by a date": lambda: opened.fundamentals(names, "concept_07", public_by=_BY),
        f"all {_CONCEPTS} concepts by a date": lambda: opened.fundamentals(names, public_by=_BY),
        "1 symbol, all concepts": lambda: opened.fundamentals(names[0], public_by=_BY),
        "panel of 1 concept": lambda: opened.panel("concept_07_ttm", symbols=names, start=date(_FIRST, 1, 1), end=LAST),
    }
    rows = {name: query().height for name, query in queries.items()}
    results: dict[str, Any] = {name: timed(query, 5) for name, query in queries.items()}
    return {**results, "join to prices": timed(_join(count), 5), "rows": rows}


def _join(count: int) -> Callable[[], pl.DataFrame]:
    """Return the join of one concept's versions to `_JOINED` closes of each symbol."""
    rows, days, names = _to_join(count)
    return lambda: values_by_day(newest_values(rows), days, names, "value")


def _to_join(count: int) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Return the versions of one concept, closes, and the filers."""
    begin = datetime(2006, 1, 1, 21, tzinfo=UTC)
    days = pl.DataFrame({"close": [begin + timedelta(days=n) for n in range(_JOINED)]}, schema={"close": INSTANT})
    ends = [date(year, month, 28) for year in range(2006, 2019) for month in (3, 6, 9, 12)]
    keys = pl.DataFrame({"cik": range(1, count + 1)}, schema={"cik": pl.Int64})
    keys = keys.join(pl.DataFrame({"end": ends}), how="cross")
    keys = keys.join(pl.DataFrame({"again": [0, 365]}, schema={"again": pl.Int64}), how="cross")
    rows = _of_versions(keys.with_columns(pl.lit("revenue").alias("concept"), pl.lit("quarter").alias("period")))
    names = [filer_symbol(cik) for cik in range(1, count + 1)]
    return rows.with_columns(pl.lit(0, pl.Int32).alias("rank")), days, names


def _asof_join(count: int) -> Callable[[], pl.DataFrame]:
    """Return the same join by Polars' `join_asof` on a row per symbol and close, of the same steps."""
    rows, days, names = _to_join(count)
    grid = pl.DataFrame({"symbol": names}).join(days, how="cross").sort("close")

    def join() -> pl.DataFrame:
        steps = newest_values(rows).select("symbol", "public_at", "value").sort("public_at")
        return grid.join_asof(
            steps,
            left_on="close",
            right_on="public_at",
            by="symbol",
            allow_exact_matches=False,
            check_sortedness=False,
        )

    return join


def over_polars(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Measure the same by Polars over the same files, whose list it is given."""
    settings = load_settings(**lake)
    table = LakeTable(open_location(settings.lake_url, settings), FUNDAMENTALS)
    version = table.current()
    assert version is not None
    files = [f"{table.url}/{file.path}" for file in version.files]
    schema = {"source": pl.String, "year": pl.Int32}
    rows = pl.scan_parquet(files, hive_schema=schema, hive_partitioning=True)
    names = [filer_symbol(cik) for cik in range(1, count + 1)]
    close = datetime(_BY.year, _BY.month, _BY.day, 20, tzinfo=UTC)

    def by_date(concepts: list[str] | None, filers: list[str]) -> pl.DataFrame:
        where = (pl.col("period") == "quarter") & pl.col("symbol").is_in(filers) & (pl.col("public_at") < close)
        where = where if concepts is None else where & pl.col("concept").is_in(concepts)
        key = ["symbol", "concept", "end"]
        public = rows.filter(where).drop("operands", "raw", "cik", "year").sort(*key, "public_at")
        return public.unique(key, keep="last", maintain_order=True).collect()

    queries: dict[str, Callable[[], pl.DataFrame]] = {
        "5 concepts by a date": lambda: by_date(_SOME, names),
        "1 concept by a date": lambda: by_date(["concept_07"], names),
        f"all {_CONCEPTS} concepts by a date": lambda: by_date(None, names),
        "1 symbol, all concepts": lambda: by_date(None, names[:1]),
    }
    results = {name: timed(query, 3) for name, query in queries.items()}
    return {**results, "join to prices": timed(_asof_join(count), 3)}
