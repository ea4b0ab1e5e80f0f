"""B3 on Azurite: the daily upsert of B3 where each request to the storage takes 15 ms more."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import obstore
import polars as pl
from tests.azurite import ACCOUNT

from benchmarks.cloud import storage, why_missing
from benchmarks.measure import apart, stretch
from benchmarks.servers import server
from benchmarks.table import Line, Outcome
from benchmarks.upsert import DAYS, KNOWN
from quantx.lake.store import open_location
from quantx.settings import load_settings

DELAY = 0.015


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the table directly, then upsert through the proxy."""
    title = "B3 daily upsert on Azurite"
    if missing := why_missing():
        return Outcome(title, (), skipped=missing)
    count = 500 if quick else 5000
    with storage(folder) as stored:
        direct, endpoint = stored.settings, stored.azurite.blob_endpoint
        built = apart("benchmarks.upsert:build", lake=direct, count=count)
        with server("benchmarks.proxy:serve", target=endpoint, delay=DELAY) as proxy:
            text = stored.azurite.connection_string.replace(endpoint, f"{proxy}/{ACCOUNT}")
            delayed = direct | {"azure_storage_connection_string": text}
            through = {"lake": delayed, "count": count, "proxy": proxy}
            daily = apart("benchmarks.upsert:upserts", **through, first_day=0, fold=False)
            folded = apart("benchmarks.upsert:upserts", **through, first_day=DAYS, fold=True)
            floor = apart("benchmarks.upsert_azure:one_object", lake=delayed, size=int(median(daily["bytes"])))
    return Outcome(
        f"{title} behind {DELAY * 1000:.0f} ms per request: {count:,} symbols × {KNOWN + 1} sessions into"
        f" {built['rows']:,} rows of 15 years",
        (
            *_lines("on a tail", daily, floor),
            *_lines("right after the fold", folded, floor),
            Line("peak memory, MB", max(daily["peak_mb"], folded["peak_mb"]), floor["peak_mb"], digits=0),
        ),
        {
            "rows": built["rows"],
            "upserts": 2 * DAYS,
            "incoming": daily["incoming"] + folded["incoming"],
            "new": daily["new"] + folded["new"],
            "commits": daily["commits"] + folded["commits"],
            **kinds([*daily["recorded"], *folded["recorded"]]),
        },
    )


def _lines(when: str, measured: Mapping[str, Any], floor: Mapping[str, Any]) -> tuple[Line, ...]:
    parts = ", ".join(f"{name} {median(measured[name]):.3f}" for name in ("read", "merging", "committing"))
    requests = [len(recorded) for recorded in measured["recorded"]]
    return (
        Line(f"{when}: best of {DAYS}, s", min(measured["seconds"]), min(floor["seconds"]), "≤ 1", digits=3),
        Line(f"{when}: median, s ({parts})", median(measured["seconds"]), median(floor["seconds"]), "≤ 1", digits=3),
        Line(f"{when}: requests, median", median(requests), 2, "≤ 60", digits=0),
        Line(f"{when}: requests, most", max(requests), 2, "≤ 60", digits=0),
    )


def kinds(upserts: Sequence[Sequence[Sequence[Any]]]) -> dict[str, int]:
    """Return the number of the upserts' requests by kind."""
    counted = Counter(kind(*request) for recorded in upserts for request in recorded)
    return dict(sorted(counted.items()))


def kind(method: str, target: str, status: int) -> str:
    """Return the kind of a request.

    >>> kind("GET", "/devstoreaccount1/lake/curated/bars_1d/_delta_log/00000000000000000017.json", 404)
    'GET log entry (404)'
    """
    parts = urlsplit(target)
    if "comp=list" in parts.query:
        what = "list"
    elif "_delta_log/" not in parts.path:
        what = "rows"
    elif parts.path.endswith("_last_checkpoint"):
        what = "last checkpoint"
    else:
        what = "checkpoint" if ".checkpoint" in parts.path else "log entry"
    return f"{method} {what}" + (f" ({status})" if status >= 400 else "")


def one_object(lake: Mapping[str, str], size: int) -> dict[str, Any]:
    """Measure the floor: read one object of an upsert's size, decode it, encode it and put it back."""
    settings = load_settings(**lake)
    store = open_location(settings.lake_url, settings).store
    rows = pl.DataFrame({"value": pl.int_range(size // 8, eager=True).shuffle(seed=1)})
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd", compression_level=3)
    obstore.put(store, "floor/0.parquet", buffer.getvalue())
    seconds = []
    for number in range(DAYS):
        with stretch() as measured:
            read = pl.read_parquet(io.BytesIO(obstore.get(store, f"floor/{number}.parquet").bytes()))
            written = io.BytesIO()
            read.write_parquet(written, compression="zstd", compression_level=3)
            obstore.put(store, f"floor/{number + 1}.parquet", written.getvalue(), mode="create")
        seconds.append(measured.seconds)
    return {"seconds": seconds}
