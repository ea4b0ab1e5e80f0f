"""M1 to M3: minute bars, from the vendor's rows to the table, session by session, and the compaction of a month."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.cloud import storage, why_missing
from benchmarks.market import symbols
from benchmarks.measure import apart, stretch
from benchmarks.servers import server
from benchmarks.table import Line, Outcome
from benchmarks.upsert import requests_since
from benchmarks.upsert_azure import DELAY, kinds
from quantx.core.calendars import calendar
from quantx.core.hours import trading_hours
from quantx.core.merge import merge
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import INSTANT
from quantx.core.tables import BARS_1M
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.pipeline.curating.derive import current_rows
from quantx.pipeline.curating.normalize_minutes import FACTS, normalize_minutes
from quantx.settings import load_settings

MINUTES = 390
SESSIONS = 3
_BROKEN = 9999  # one row in this many breaks a rule
_MONTH = 202510


def throughput(folder: Path, *, quick: bool) -> Outcome:
    """M1: normalize, check and commit sessions, beside writing the same rows."""
    count = 500 if quick else 5000
    results = apart("benchmarks.minutes:normalized_and_committed", lake={"lake_url": f"{folder}/lake"}, count=count)
    floor = apart("benchmarks.minutes:written", folder=folder, count=count)
    rows = count * MINUTES
    parts = ", ".join(f"{name} {median(results[name]):.3f}" for name in ("normalizing", "committing"))
    return Outcome(
        f"M1 minute bars: {SESSIONS} sessions of {count:,} symbols × {MINUTES} minutes",
        (
            _rate(f"normalize, rules, commit, rows/s, best of {SESSIONS}", rows, results, floor, min),
            _rate(f"the same, median (s: {parts})", rows, results, floor, median),
            Line("CPU seconds of a session, least", min(results["cpu"]), min(floor["cpu"])),
            Line("peak memory, MB", results["peak_mb"], floor["peak_mb"], digits=0),
        ),
        {
            "rows": SESSIONS * rows,
            "stored": results["stored"],
            "rejected": results["rejected"],
            "files": results["files"],
        },
    )


def _rate(
    what: str, rows: int, results: Mapping[str, Any], floor: Mapping[str, Any], best: Callable[[Sequence[float]], float]
) -> Line:
    measured, least = rows / best(results["seconds"]), rows / best(floor["seconds"])
    return Line(what, measured, least, "≥ 1,000,000", digits=0, rate=True)


def session(folder: Path, *, quick: bool) -> Outcome:
    """M2: commit a session to a table that has others, on this disk and on Azurite, and then the same session again."""
    count = 500 if quick else 5000
    local = _delivered({"lake_url": f"{folder}/lake"}, count)
    lines, counts = list(_lines("local disk", local)), {"rows": local["rows"], "same": local["same"]}
    if not why_missing():
        with storage(folder / "azure") as stored:
            endpoint = stored.azurite.blob_endpoint
            with server("benchmarks.proxy:serve", target=endpoint, delay=DELAY) as proxy:
                from tests.azurite import ACCOUNT

                text = stored.azurite.connection_string.replace(endpoint, f"{proxy}/{ACCOUNT}")
                cloud = _delivered(stored.settings | {"azure_storage_connection_string": text}, count, proxy)
        lines += _lines("Azurite", cloud)
        requests = [len(recorded) for recorded in cloud["recorded"]]
        lines.append(Line("Azurite: requests of a new session, most", max(requests), aim="≤ 30", digits=0))
        counts |= {"rows_on_azurite": cloud["rows"], "same_on_azurite": cloud["same"], **kinds(cloud["recorded"])}
    return Outcome(f"M2 a session of {count:,} symbols × {MINUTES} minutes", tuple(lines), counts)


def _delivered(lake: Mapping[str, Any], count: int, proxy: str | None = None) -> dict[str, Any]:
    return apart("benchmarks.minutes:merged", lake=lake, count=count, proxy=proxy)


def _lines(where: str, results: Mapping[str, Any]) -> tuple[Line, ...]:
    parts = ", ".join(f"{name} {median(results[name]):.3f}" for name in ("looking", "merging", "committing"))
    return (
        Line(f"{where}: a new session, best of {SESSIONS}, s", min(results["seconds"]), aim="≤ 5", digits=3),
        Line(f"{where}: median, s ({parts})", median(results["seconds"]), aim="≤ 5", digits=3),
        Line(f"{where}: the same session again, s", results["again"], aim="≤ 5", digits=3),
    )


def month(folder: Path, *, quick: bool) -> Outcome:
    """M3: compact a month of sessions."""
    count, lake = 200 if quick else 5000, {"lake_url": f"{folder}/lake"}
    built = apart("benchmarks.minutes:filled_month", lake=lake, count=count)
    results = apart("benchmarks.minutes:compacted_month", lake=lake)
    read = apart("benchmarks.minutes:one_symbol", lake=lake, symbol=symbols(count)[count // 2])
    floor = apart("benchmarks.minutes:copied_month", lake=lake, folder=folder)
    return Outcome(
        f"M3 a month of {count:,} symbols: {built['rows']:,} rows in {built['files']} files",
        (
            Line("compaction, s", results["seconds"], floor["seconds"]),
            Line("CPU seconds", results["cpu"], floor["cpu"]),
            Line("peak memory, MB", results["peak_mb"], floor["peak_mb"], "< 1,000", digits=0),
            Line("megabytes", results["megabytes"], built["megabytes"], digits=1),
            Line("one symbol's month, read, s (before the compaction)", read["seconds"], built["one_symbol"], digits=3),
        ),
        {
            "rows": built["rows"],
            "files_before": built["files"],
            "rows_after": results["rows"],
            "files_after": results["files"],
            "left_to_do": results["left"],
        },
    )


def normalized_and_committed(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Commit sessions from the vendor's rows to the table."""
    table, _ = _tables(lake)
    trading_hours("XNYS")  # loaded once per process
    names = ("seconds", "normalizing", "committing")
    results: dict[str, list[float]] = {name: [] for name in (*names, "cpu")}
    rejected = 0
    for number, day in enumerate(_days()[:SESSIONS]):
        bars, facts = vendor_bars(count, day)
        with stretch() as whole:
            with stretch() as normalizing:
                rows = normalize_minutes("alpaca", bars, facts, RowPolicy())
            with stretch() as committing:
                table.commit(CommitContext(number + 1), rows.bars)
        rejected += rows.rejected.height
        for name, measured in zip(names, (whole, normalizing, committing), strict=True):
            results[name].append(measured.seconds)
        results["cpu"].append(whole.cpu)
    facts_now = table.facts()
    assert facts_now is not None
    return {**results, "rejected": rejected, "stored": int(facts_now["rows"]), "files": int(facts_now["files"])}


def written(folder: str, count: int) -> dict[str, Any]:
    """Measure the floor: Polars writes rows of the same form to a file."""
    seconds, cpu = [], []
    for day in _days()[:SESSIONS]:
        bars, facts = vendor_bars(count, day)
        rows = normalize_minutes("alpaca", bars, facts, RowPolicy()).bars
        with stretch() as measured:
            rows.write_parquet(Path(folder) / f"{day}.parquet", compression="zstd", compression_level=3)
        seconds.append(measured.seconds)
        cpu.append(measured.cpu)
    return {"seconds": seconds, "cpu": cpu}


def merged(lake: Mapping[str, str], count: int, proxy: str | None) -> dict[str, Any]:
    """Commit sessions as the curator does: read existing rows, compare, commit; the last one twice."""
    table, revisions = _tables(lake)
    names = ("seconds", "looking", "merging", "committing")
    results: dict[str, Any] = {name: [] for name in (*names, "recorded")}
    first, *days = _days()[: SESSIONS + 1]
    _deliver(table, revisions, _rows(count, first), 1)  # creates the table
    requests_since(proxy)
    for number, day in enumerate([*days, days[-1]], 2):
        incoming = _rows(count, day)
        table.facts()  # opens the handles, as in the curator
        requests_since(proxy)
        seconds, same = _deliver(table, revisions, incoming, number)
        if number == len(days) + 2:
            results["again"], results["same"] = seconds[0], same
            break
        results["recorded"].append(requests_since(proxy))
        for name, value in zip(names, seconds, strict=True):
            results[name].append(value)
    facts = table.facts()
    assert facts is not None
    return {**results, "rows": int(facts["rows"])}


def _deliver(table: LakeTable, revisions: LakeTable, incoming: pl.DataFrame, number: int) -> tuple[list[float], int]:
    with stretch() as whole:
        with stretch() as looking:
            stored = current_rows(table, incoming)
        with stretch() as merging:
            compared = merge(stored, incoming, BARS_1M)
        with stretch() as committing:
            revisions.commit(CommitContext(number), compared.superseded)
            table.commit(CommitContext(number), compared.new, compared.changed)
    return [s.seconds for s in (whole, looking, merging, committing)], compared.same


def filled_month(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Commit the sessions of a month one by one."""
    table, _ = _tables(lake)
    for number, day in enumerate(_days()):
        table.commit(CommitContext(number + 1), _rows(count, day))
    facts = table.facts()
    assert facts is not None
    named = symbols(count)[count // 2]
    return {**facts, "one_symbol": one_symbol(lake, named)["seconds"]}


def compacted_month(lake: Mapping[str, str]) -> dict[str, Any]:
    """Compact the month by symbol."""
    table, _ = _tables(lake)
    with stretch() as measured:
        table.compact(CommitContext(), _MONTH, _MONTH, 1)
    facts = table.facts()
    assert facts is not None
    return {**facts, "seconds": measured.seconds, "cpu": measured.cpu, "left": len(table.untidy_months(_MONTH, 1))}


def copied_month(lake: Mapping[str, str], folder: str) -> dict[str, Any]:
    """Measure the floor: Polars reads the table's files one by one and writes their rows unchanged."""
    table, _ = _tables(lake)
    delta = table.refresh()
    assert delta is not None
    with stretch() as measured:
        for path in delta.file_uris():
            frame = pl.read_parquet(path, hive_partitioning=False)
            frame.write_parquet(Path(folder) / "copy.parquet", compression="zstd", compression_level=3)
    return {"seconds": measured.seconds, "cpu": measured.cpu}


def one_symbol(lake: Mapping[str, str], symbol: str) -> dict[str, Any]:
    """Read the month of one symbol with an opened handle, best of five."""
    table, _ = _tables(lake)
    seconds = []
    for _ in range(5):
        with stretch() as measured:
            rows = table.read((pl.col("symbol") == symbol) & (pl.col("month") == _MONTH))
        seconds.append(measured.seconds)
    assert rows.height
    return {"seconds": min(seconds)}


def vendor_bars(count: int, day: date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return a session as a vendor sends it, symbol by symbol, and the facts of its series; some rows are broken."""
    random = np.random.default_rng([4, day.toordinal()])
    size = count * MINUTES
    steps = random.normal(0, 0.0005, (count, MINUTES)).cumsum(axis=1)
    close = np.round(random.uniform(5, 500, (count, 1)) * np.exp(steps), 2).ravel()
    opened = np.round(close * np.exp(random.normal(0, 0.0005, size)), 2)
    opening = np.datetime64(calendar("XNYS").open_of(day).replace(tzinfo=None), "us")
    minutes = opening + np.arange(MINUTES) * np.timedelta64(60_000_000, "us")
    bars = pl.DataFrame(
        {
            "symbol": pl.Series(symbols(count)).gather(np.repeat(np.arange(count), MINUTES)),
            "time": pl.Series(np.tile(minutes, count)).cast(INSTANT),
            "date": pl.Series([day]).new_from_index(0, size),
            "open": opened,
            "high": np.round(np.maximum(opened, close) * 1.0002, 2),
            "low": np.round(np.minimum(opened, close) * 0.9998, 2),
            "close": np.where(np.arange(size) % _BROKEN == 0, -close, close),
            "volume": np.floor(random.lognormal(7, 1.2, size)),
            "series": np.repeat(np.arange(count), MINUTES),
        }
    )
    received = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(days=1)
    common = ("XNYS", day, day, received, received.date(), day, "USD", f"{day:%Y%m%d}{0:018d}", "0" * 64, received)
    facts = pl.DataFrame([(i, s, *common) for i, s in enumerate(symbols(count))], schema=FACTS, orient="row")
    return bars, facts


def _rows(count: int, day: date) -> pl.DataFrame:
    return normalize_minutes("alpaca", *vendor_bars(count, day), RowPolicy()).bars


def _days() -> list[date]:
    first = date(_MONTH // 100, _MONTH % 100, 1)
    return list(calendar("XNYS").sessions(first, first.replace(day=31)))


def _tables(lake: Mapping[str, str]) -> tuple[LakeTable, LakeTable]:
    settings = load_settings(**lake)
    location = open_location(settings.lake_url, settings)
    return LakeTable(location, BARS_1M), LakeTable(location, BARS_1M.revisions)
