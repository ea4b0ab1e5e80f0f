"""B3: a daily upsert of 5,000 symbols × 5 sessions into a table of 15 years."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import obstore
import polars as pl

from benchmarks.market import LAST, symbols
from benchmarks.measure import apart, stretch
from benchmarks.proxy import LOG
from benchmarks.servers import get_json
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.merge import merge
from quantx.core.table import INSTANT
from quantx.core.tables import BARS_1D
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable
from quantx.pipeline.curating.derive import current_rows
from quantx.settings import load_settings

DAYS = 5  # upserts that are measured, before and after the fold
KNOWN = 4  # stored sessions in each upsert
REVISED = 0.001
_FIRST_YEAR = 2011
_TAIL = 10


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the table, then measure the upserts and their floor, each in a process of its own."""
    count, lake = 500 if quick else 5000, {"lake_url": f"{folder}/lake"}
    built = apart("benchmarks.upsert:build", lake=lake, count=count)
    daily = apart("benchmarks.upsert:upserts", lake=lake, count=count, first_day=0, fold=False)
    folded = apart("benchmarks.upsert:upserts", lake=lake, count=count, first_day=DAYS, fold=True)
    floor = apart("benchmarks.upsert:read_and_write", lake=lake, folder=folder)
    return Outcome(
        f"B3 daily upsert: {count:,} symbols × {KNOWN + 1} sessions into {built['rows']:,} rows of 15 years",
        (
            *_lines("on a tail", daily, floor),
            *_lines("right after the fold", folded, floor),
            Line("peak memory, MB", daily["peak_mb"], floor["peak_mb"], digits=0),
            Line("written by one upsert, MB", median(daily["bytes"]) / 1e6, floor["bytes"] / 1e6, digits=1),
        ),
        {
            "rows": built["rows"],
            "upserts": 2 * DAYS,
            "incoming": daily["incoming"] + folded["incoming"],
            "new": daily["new"] + folded["new"],
            "revised": daily["changed"] + folded["changed"],
            "commits": daily["commits"] + folded["commits"],
            "files_before": built["files"],
            "files_before_fold": daily["files"],
            "files_after": folded["files"],
        },
    )


def _lines(when: str, measured: dict[str, Any], floor: dict[str, Any]) -> tuple[Line, ...]:
    best, middle, slowest = min(measured["seconds"]), median(measured["seconds"]), max(measured["seconds"])
    quickest, usual = min(floor["seconds"]), median(floor["seconds"])
    parts = ", ".join(f"{name} {median(measured[name]):.3f}" for name in ("read", "merging", "committing"))
    return (
        Line(f"{when}: best of {DAYS}, s", best, quickest, "≤ 0.2", digits=3),
        Line(f"{when}: median, s ({parts})", middle, usual, "≤ 0.2", digits=3),
        Line(f"{when}: slowest, s", slowest, digits=3),
    )


def build(lake: Mapping[str, str], count: int) -> dict[str, Any]:
    """Commit the years one by one; the last year in folded form, without the sessions of the upserts."""
    table = open_table(lake)
    days = _days()
    tail_from = len(days) - 2 * DAYS - _TAIL
    for year in range(_FIRST_YEAR, LAST.year + 1):
        old = [i for i, day in enumerate(days[:tail_from]) if day.year == year]
        table.commit(CommitContext(year), _bars(count, old))
    table.commit(CommitContext(LAST.year + 1), _bars(count, range(tail_from, tail_from + _TAIL)))
    facts = table.facts()
    assert facts is not None
    return {"rows": int(facts["rows"]), "files": int(facts["files"])}


def upserts(
    lake: Mapping[str, str], count: int, first_day: int, fold: bool, proxy: str | None = None
) -> dict[str, Any]:
    """Commit one session after the other, each with the stored ones before it, as the curator does.

    `proxy` is the address of the recording proxy in front of the lake.
    """
    bars, revisions = open_table(lake), open_table(lake, revisions=True)
    bars.facts()  # opens the handles, as in the curator
    if fold:
        bars.fold(CommitContext(), 2, tail=_TAIL)
    start = len(_days()) - 2 * DAYS + first_day
    names = ("seconds", "read", "merging", "committing", "bytes", "recorded", "incoming", "new", "changed")
    results: dict[str, list[Any]] = {name: [] for name in names}
    versions = _versions(bars, revisions)
    for day in range(start, start + DAYS):
        incoming = _revised(_bars(count, range(day - KNOWN, day + 1)), day)
        context, before = CommitContext(LAST.year + 2 + day), _files(lake)
        requests_since(proxy)
        with stretch() as whole:
            with stretch() as reading:
                stored = current_rows(bars, incoming)
            with stretch() as merging:
                merged = merge(stored, incoming, BARS_1D)
            with stretch() as committing:
                revisions.commit(context, merged.superseded)
                bars.commit(context, merged.new, merged.changed)
        recorded, after = requests_since(proxy), _files(lake)
        values = (whole.seconds, reading.seconds, merging.seconds, committing.seconds)
        values += (
            sum(after[p] for p in after.keys() - before.keys()),
            recorded,
            incoming.height,
            merged.new.height,
            merged.changed.height,
        )
        for name, value in zip(results, values, strict=True):
            results[name].append(value)
    facts = bars.facts()
    assert facts is not None
    totals = {name: sum(results.pop(name)) for name in ("incoming", "new", "changed")}
    return {**results, **totals, "commits": _versions(bars, revisions) - versions, "files": int(facts["files"])}


def requests_since(proxy: str | None) -> list[list[Any]]:
    """Return the proxy's requests since the last call: method, target and status."""
    return list(get_json(proxy, LOG)) if proxy else []


def read_and_write(lake: Mapping[str, str], folder: str) -> dict[str, Any]:
    """Measure the floor: read the sessions that an upsert compares with, and write as many rows as it has."""
    bars = open_table(lake)
    days = _days()[-KNOWN - 1 :]
    source, target = Path(folder) / "tail.parquet", Path(folder) / "written.parquet"
    rows = bars.scan().filter(pl.col("date").is_between(days[0], days[-1]), pl.col("year") == LAST.year).collect()
    rows.sort("symbol", "date").write_parquet(source, compression="zstd", compression_level=3)
    seconds = []
    for _ in range(DAYS):
        with stretch() as measured:
            pl.read_parquet(source).write_parquet(target, compression="zstd", compression_level=3)
        seconds.append(measured.seconds)
    return {"seconds": seconds, "bytes": target.stat().st_size}


def open_table(lake: Mapping[str, str], *, revisions: bool = False) -> LakeTable:
    """Return the table of bars, or of their revisions, of a lake by its settings."""
    return LakeTable(_location(lake), BARS_1D.revisions if revisions else BARS_1D)


def _location(lake: Mapping[str, str]) -> LakeLocation:
    settings = load_settings(**lake)
    return open_location(settings.lake_url, settings)


def _days() -> list[Any]:
    return list(calendar("XNYS").sessions(LAST.replace(_FIRST_YEAR, 1, 1), LAST))


def _bars(count: int, numbers: Sequence[int]) -> pl.DataFrame:
    """Return the bars of the sessions with these numbers: the same session has the same bars in each call."""
    days = _days()
    random = [np.random.default_rng([2, number]) for number in numbers]
    close = np.concatenate([50 * np.exp(r.normal(0, 0.5, count)) for r in random])
    opened = close * np.concatenate([np.exp(r.normal(0, 0.01, count)) for r in random])
    volume = np.concatenate([np.floor(r.lognormal(14, 0.5, count)) for r in random])
    number = pl.Series(np.repeat(np.asarray(numbers), count))
    frame = pl.DataFrame(
        {
            "symbol": pl.concat([pl.Series(symbols(count))] * len(numbers)),
            "date": pl.Series(days).gather(number),
            "open": opened,
            "high": np.maximum(opened, close) * 1.01,
            "low": np.minimum(opened, close) * 0.99,
            "close": close,
            "volume": volume.astype(np.int64),
            "known_from": number,
        }
    )
    return frame.with_columns(
        pl.lit("yahoo").alias("source"),
        pl.col("date").dt.year().alias("year"),
        pl.lit("USD").alias("currency"),
        pl.lit(f"{0:026d}").alias("raw"),
        (pl.col("known_from") * 86_400_000_000).cast(INSTANT),
    ).select(list(BARS_1D.schema))


def _revised(rows: pl.DataFrame, day: int) -> pl.DataFrame:
    """Return the vendor's rows after session `day`: each session since revises one value in a thousand."""
    parts = []
    for number in range(day - KNOWN, day + 1):
        part = rows.filter(pl.col("date") == _days()[number])
        for later in range(number + 1, day + 1):
            random = np.random.default_rng([3, number, later])
            for name in BARS_1D.relative_tolerance:
                hit = pl.Series(random.random(part.height) < REVISED)
                part = part.with_columns(pl.when(hit).then(pl.col(name) * 2).otherwise(pl.col(name)).alias(name))
        parts.append(part)
    return pl.concat(parts).with_columns(pl.lit(day * 86_400_000_000).cast(INSTANT).alias("known_from"))


def _versions(*tables: LakeTable) -> int:
    """Return the number of commits so far, without those that created a table."""
    return sum(table.version() or 0 for table in tables)


def _files(lake: Mapping[str, str]) -> dict[str, int]:
    listed = [entry for page in obstore.list(_location(lake).store) for entry in page]
    return {entry["path"]: entry["size"] for entry in listed if entry["path"].endswith(".parquet")}
