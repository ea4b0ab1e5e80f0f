"""R1 and R2: queries of a lake of 5,000 symbols × 15 years, beside Polars and DuckDB over its files, and ArcticDB."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from benchmarks.market import LAST, symbols
from benchmarks.measure import apart, environment
from benchmarks.servers import server
from benchmarks.table import Line, Outcome
from benchmarks.upsert import build as build_bars
from benchmarks.upsert import requests_since
from quantx.core.table import INSTANT
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.reader import Lake
from quantx.reader.cache.folder import cache_folder
from quantx.settings import load_settings

ARCTIC = Path(__file__).parents[1] / ".venv" / "arctic" / "bin" / "python"
_ARCTIC_SYMBOLS = 500
_ARCTIC_IN_AZURE = 10  # for queries of one symbol: each is written by many requests
_PANEL = 500
_YEAR = (date(2020, 1, 1), date(2020, 12, 31))
_DAY = date(2020, 6, 15)
DELAY = 0.015

Results = dict[str, list[float]]  # seconds by query
QUERIES = {
    "one symbol × 1 year": (30, "≤ 2", "≤ 8"),
    "one symbol × 15 years": (30, "≤ 3", "≤ 20"),
    "500 symbols × 1 year, panel": (10, "≤ 30", ""),
    "500 symbols × 15 years, panel": (4, "≤ 400", ""),
    "one day of all symbols": (10, "≤ 10", ""),
    "last session of all symbols": (10, "≤ 10", ""),
    "total adjustment of 500 × 15 years, on top": (4, "≤ 300", ""),
}  # the repetitions, the aim with copies, the aim without


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the lake, then measure each reader in a process of its own."""
    count, lake = 500 if quick else 5000, {"lake_url": f"{folder}/lake"}
    cached = lake | {"cache_dir": f"{folder}/copies", "cache_size": "20GB"}
    built = apart("benchmarks.reader:build", lake=lake, count=count)
    plain = apart("benchmarks.reader:ours", lake=lake | {"cache_size": "0"}, count=count)
    warming = apart("benchmarks.reader:warm", lake=cached)
    warm = apart("benchmarks.reader:ours", lake=cached, count=count)
    peers = {
        "Polars": apart("benchmarks.reader:over_polars", lake=lake, count=count),
        "DuckDB": apart("benchmarks.reader:over_duckdb", lake=lake, count=count),
    }
    if (arctic := arctic_results(f"lmdb://{folder}/arctic")) is not None:
        peers["ArcticDB"] = arctic
    lines: list[Line] = []
    for name, (_, aim, without) in QUERIES.items():
        lines += [
            _line(name, "", warm, peers, aim),
            _line(name, " without copies", plain, peers, without),
        ]
    return Outcome(
        f"R1 reading: {count:,} symbols × 15 years, ms, best of some (medians in brackets). The peer is the best of"
        f" {', '.join(peers)}; ArcticDB has {_ARCTIC_SYMBOLS} symbols",
        (
            *lines,
            Line("copies, MB", warming["megabytes"], built["megabytes"], digits=0),
            Line("copies, seconds to write", warming["seconds"], digits=1),
        ),
        {"rows": built["rows"], "files": built["files"], "copies": warming["written"]},
    )


def _line(name: str, how: str, measured: Mapping[str, Any], peers: Mapping[str, Any], aim: str) -> Line:
    times = measured[name]
    best = {peer: min(found[name]) for peer, found in peers.items() if found.get(name)}
    quickest = min(best, key=lambda peer: best[peer]) if best else None
    beside = "" if quickest is None else f"; {quickest}"
    return Line(
        f"{name}{how} ({median(times) * 1e3:,.1f}{beside})",
        min(times) * 1e3,
        None if quickest is None else best[quickest] * 1e3,
        aim,
        digits=1,
    )


# ----------------------------------------------------------------------------------------------------------- in Azure


def run_azure(folder: Path, *, quick: bool) -> Outcome:
    """Build the lake in Azurite directly, then read through a proxy that delays and counts the requests."""
    from tests.azurite import ACCOUNT

    from benchmarks.cloud import storage, why_missing

    title = "R2 reading from Azurite"
    if missing := why_missing():
        return Outcome(title, (), skipped=missing)
    count = 200 if quick else 1000  # Azurite sends 5,000 symbols in a quarter of an hour
    with storage(folder) as stored:
        direct, endpoint = stored.settings, stored.azurite.blob_endpoint
        built = apart("benchmarks.reader:build", lake=direct, count=count)
        with server("benchmarks.proxy:serve", target=endpoint, delay=DELAY) as proxy:
            text = stored.azurite.connection_string.replace(endpoint, f"{proxy}/{ACCOUNT}")
            delayed = direct | {"azure_storage_connection_string": text}
            through = {"lake": delayed | {"cache_size": "0"}, "count": count, "proxy": proxy}
            plain = apart("benchmarks.reader:ours", **through)
            peers = {"Polars": apart("benchmarks.reader:over_polars", **through)}
            if (arctic := arctic_results(_arctic_url(text, proxy), _ARCTIC_IN_AZURE)) is not None:
                peers["ArcticDB"] = arctic
            cached = delayed | {"cache_dir": f"{folder}/copies", "cache_size": "20GB"}
            apart("benchmarks.reader:warm", lake=cached)
            requests_since(proxy)
            warm = apart("benchmarks.reader:ours", lake=cached, count=count, proxy=proxy)
            pinned = apart("benchmarks.reader:ours", lake=cached, count=count, proxy=proxy, pinned=True)
    lines: list[Line] = []
    for name in QUERIES:
        lines += [
            _line(name, f" without copies, {plain['requests'][name]} requests", plain, peers, ""),
            _line(name, f", {warm['requests'][name]} requests", warm, peers, ""),
            _line(name, f" pinned, {pinned['requests'][name]} requests", pinned, peers, QUERIES[name][1]),
        ]
    return Outcome(
        f"{title} behind {DELAY * 1000:.0f} ms per request: {count:,} symbols × 15 years, ms, best of some (medians in"
        f" brackets). The peer is the best of {', '.join(peers)}",
        tuple(lines),
        {"rows": built["rows"], "files": built["files"]},
    )


def _arctic_url(connection_string: str, proxy: str) -> str:
    parts = dict(part.partition("=")[::2] for part in connection_string.split(";") if part)
    account, key = parts["AccountName"], parts["AccountKey"]
    return (
        f"azure://DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
        f"BlobEndpoint={proxy}/{account};Container=lake"
    )


# --------------------------------------------------------------------------------------------------------- the readers


def build(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Commit 15 years of bars, and splits and dividends of many symbols."""
    built = build_bars(lake, count)
    settings = load_settings(**lake)
    location = open_location(settings.lake_url, settings)
    names = pl.Series(symbols(count))
    quarters = [date(year, month, 15) for year in range(2011, LAST.year + 1) for month in (2, 5, 8, 11)]
    dividends = _events(names.gather_every(2), quarters, "dividend", 0.25, 50.0)
    splits = _events(names.gather_every(10), [date(2014, 6, 9), date(2020, 8, 31)], "split", 2.0, None)
    LakeTable(location, ACTIONS).commit(CommitContext(1), pl.concat([dividends, splits]))
    facts = LakeTable(location, BARS_1D).facts()
    assert facts is not None
    return {**built, "megabytes": facts["megabytes"]}


def _events(names: pl.Series, days: Sequence[date], kind: str, value: float, close: float | None) -> pl.DataFrame:
    rows = names.alias("symbol").to_frame().join(pl.DataFrame({"ex_date": days}), how="cross")
    return rows.with_columns(
        pl.lit("yahoo").alias("source"),
        pl.lit(kind).alias("kind"),
        pl.lit(value).alias("value"),
        pl.lit(close, pl.Float64).alias("reference_close"),
        pl.lit("USD").alias("currency"),
        pl.lit(f"{0:026d}").alias("raw"),
        pl.lit(0).cast(INSTANT).alias("known_from"),
    ).select(list(ACTIONS.schema))


def warm(lake: Mapping[str, str]) -> dict[str, Any]:
    """Write all copies."""
    start = time.perf_counter()
    result = open_lake_of(lake).warm()
    return {"seconds": time.perf_counter() - start, "megabytes": result.megabytes, "written": result.written}


def ours(lake: Mapping[str, str], count: int, proxy: str | None = None, pinned: bool = False) -> dict[str, Any]:
    """Measure the queries through `quantx`; the first of each is not counted, with its loading and its checks."""
    opened = open_lake_of(lake)
    names = symbols(count)
    some = names[: _PANEL * 10 : 10] if count >= _PANEL * 10 else names[:_PANEL]
    if pinned:
        opened.pin()
    last = opened.bars(names[0])["date"].max()
    assert isinstance(last, date)
    whole: dict[str, Callable[[], Any]] = {
        "one symbol × 1 year": lambda: opened.bars("QACA", *_YEAR),
        "one symbol × 15 years": lambda: opened.bars("QACA"),
        "500 symbols × 1 year, panel": lambda: opened.panel("close", symbols=some, start=_YEAR[0], end=_YEAR[1]),
        "500 symbols × 15 years, panel": lambda: opened.panel("close", symbols=some),
        "one day of all symbols": lambda: opened.bars(names, _DAY, _DAY),
        "last session of all symbols": lambda: opened.bars(names, last, last),
    }
    results: dict[str, Any] = {name: timed(query, QUERIES[name][0]) for name, query in whole.items()}
    counted: dict[str, int] = {}
    for name, query in whole.items():
        requests_since(proxy)
        query()
        counted[name] = len(requests_since(proxy))
    top, repetitions = "total adjustment of 500 × 15 years, on top", QUERIES["one day of all symbols"][0] // 3
    columns = ["symbol", "date", "close", "volume"]
    traded = timed(lambda: opened.bars(some, columns=columns), repetitions)
    adjusted = timed(lambda: opened.bars(some, columns=columns, adjust="total"), repetitions)
    results[top] = [max(0.0, a - min(traded)) for a in adjusted]
    counted[top] = 0
    return {**results, "requests": counted}


def over_polars(lake: Mapping[str, str], count: int, proxy: str | None = None) -> dict[str, Any]:
    """Measure the queries by Polars over the same files, whose list it is given."""
    settings = load_settings(**lake)
    location = open_location(settings.lake_url, settings)
    rows = pl.scan_parquet(
        files_of(lake),
        hive_schema={"source": pl.String, "year": pl.Int32},
        hive_partitioning=True,
        storage_options=location.delta_options or None,
    )
    one = rows.filter(pl.col("symbol") == "QACA")
    names = symbols(count)
    some = rows.filter(pl.col("symbol").is_in(names[: _PANEL * 10 : 10] if count >= 5000 else names[:_PANEL]))
    year = pl.col("date").is_between(*_YEAR) & (pl.col("year") == _YEAR[0].year)

    def panel(chosen: pl.LazyFrame) -> pl.DataFrame:
        long = chosen.select("symbol", "date", "close").collect()
        return long.pivot("symbol", index="date", values="close").sort("date")

    queries: dict[str, Callable[[], Any]] = {
        "one symbol × 1 year": lambda: one.filter(year).collect(),
        "one symbol × 15 years": one.collect,
        "500 symbols × 1 year, panel": lambda: panel(some.filter(year)),
        "500 symbols × 15 years, panel": lambda: panel(some),
        "one day of all symbols": lambda: rows.filter(pl.col("date") == _DAY, pl.col("year") == _DAY.year).collect(),
    }
    return {name: timed(query, min(QUERIES[name][0], 6)) for name, query in queries.items()}


def over_duckdb(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Measure the queries by DuckDB over the same files."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"create view bars as select * from read_parquet({files_of(lake)}, hive_partitioning = true)")  # noqa: S608
    names = symbols(count)
    listed = ", ".join(f"'{name}'" for name in (names[: _PANEL * 10 : 10] if count >= 5000 else names[:_PANEL]))
    year = f"date between '{_YEAR[0]}' and '{_YEAR[1]}' and year = {_YEAR[0].year}"

    def rows(where: str, columns: str = "*") -> pl.DataFrame:
        return pl.DataFrame(connection.sql(f"select {columns} from bars where {where}"))  # noqa: S608 — our own text

    def panel(where: str) -> pl.DataFrame:
        long = rows(where, "symbol, date, close")
        return long.pivot("symbol", index="date", values="close").sort("date")

    queries: dict[str, Callable[[], Any]] = {
        "one symbol × 1 year": lambda: rows(f"symbol = 'QACA' and {year}"),
        "one symbol × 15 years": lambda: rows("symbol = 'QACA'"),
        "500 symbols × 1 year, panel": lambda: panel(f"symbol in ({listed}) and {year}"),
        "500 symbols × 15 years, panel": lambda: panel(f"symbol in ({listed})"),
        "one day of all symbols": lambda: rows(f"date = '{_DAY}' and year = {_DAY.year}"),
    }
    return {name: timed(query, min(QUERIES[name][0], 6)) for name, query in queries.items()}


def arctic_results(url: str, count: int = _ARCTIC_SYMBOLS) -> Results | None:
    """Measure ArcticDB with some symbols, in the environment of its own; None where it is missing."""
    if not ARCTIC.exists():
        return None
    script = Path(__file__).with_name("arctic_peer.py")
    command = [str(ARCTIC), str(script), url, str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment(PYTHONPATH=""))
    return dict(json.loads(done.stdout.splitlines()[-1]))


def open_lake_of(lake: Mapping[str, str]) -> Lake:
    settings = load_settings(**lake)
    location = open_location(settings.lake_url, settings, create=False)
    return Lake(location, settings.sources_of, cache_folder(settings, location.url))


def files_of(lake: Mapping[str, str]) -> list[str]:
    settings = load_settings(**lake)
    table = LakeTable(open_location(settings.lake_url, settings), BARS_1D)
    version = table.current()
    assert version is not None
    return [f"{table.url}/{file.path}" for file in version.files]


def timed(query: Callable[[], Any], repetitions: int) -> list[float]:
    query()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        query()
        seconds.append(time.perf_counter() - start)
    return seconds
