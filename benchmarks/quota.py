"""B1: a backfill of 500 symbols from a vendor that admits 50 requests a second, beside `yfinance.download`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.market import NOW, invented_market, symbols
from benchmarks.measure import alone, apart, stretch
from benchmarks.recorded import RecordingSandbox, requests_of
from benchmarks.servers import server, stats
from benchmarks.table import Line, Outcome
from quantx.sandbox import Sandbox, running, serve

START, END = "2025-01-01", "2025-12-31"
_AFTER = "2026-01-01"  # yfinance excludes the end
PER_SECOND = 50
TIMES = 3


def run(folder: Path, *, quick: bool) -> Outcome:
    """Backfill, each time into a lake of its own, then download the same with yfinance from another sandbox."""
    count, times = (50, 1) if quick else (500, TIMES)
    market = {"count": count, "quota": f"{PER_SECOND}/s"}
    runs, all_sent = [], []
    for number in range(times):
        with vendor(**market) as url:
            with stretch() as whole:
                ours = apart(
                    "benchmarks.quota_worker:backfill",
                    folder=folder / str(number),
                    url=url,
                    quota=f"{PER_SECOND}/s",
                    symbols=symbols(count),
                    start=START,
                    end=END,
                    started_at=time.time(),
                )
            all_sent.append(stats(url))
            requests = requests_of(url)
        # From the first request to the last, and the time in which the vendor would have answered it.
        ours["requests"] = requests[-1].at - requests[0].at
        runs.append({**ours, "start": whole.seconds - ours["seconds"]})
    with vendor(**market) as url:
        peer = alone("benchmarks.peer:download", folder=folder, host=url, names=symbols(count), start=START, end=_AFTER)
        peer_sent = stats(url)
    quota_seconds = count / PER_SECOND
    best, middle = min(runs, key=_seconds), sorted(runs, key=_seconds)[times // 2]
    sent, denied = max(a["total"] for a in all_sent), max(refused(a) for a in all_sent)
    return Outcome(
        f"B1 fetch within the quota: {count} symbols × one year at {PER_SECOND}/s, beside yfinance.download",
        (
            Line(f"wall / quota time, best of {times}", best["seconds"] / quota_seconds, aim="≤ 1.08"),
            Line("wall / quota time, median", middle["seconds"] / quota_seconds, aim="≤ 1.08"),
            Line("wall of plan, fetch and curate, median, s", middle["seconds"], peer["seconds"]),
            Line("of that: planning, s", middle["planned"]),
            Line("of that: from the first request to the last, s", middle["requests"]),
            Line("of that: until all is fetched and stored, s", middle["fetched"]),
            Line("of that: curating what is left, s", middle["seconds"] - middle["fetched"]),
            Line("start and end of the process, s", middle["start"], aim="≤ 1.0"),
            Line("of that: imports, a new PostgreSQL, lake, s", middle["opened"]),
            Line("of that: the handshake with the vendor, s", middle["prepared"]),
            Line("requests, most", sent, peer_sent["total"], f"= {count}", digits=0),
            Line("of them refused with 429, most", denied, refused(peer_sent), "= 0", digits=0),
            Line(
                "symbols without data and without an exception", count - middle["done"], peer["silent"], "= 0", digits=0
            ),
            Line("rows", middle["rows"], peer["rows"], digits=0),
            Line("CPU seconds", middle["cpu"], peer["cpu"]),
            Line("peak memory, MB", max(r["peak_mb"] for r in runs), peer["peak_mb"], digits=0),
        ),
        {"symbols": count, "requests": sent, "refused": denied, "rows": middle["rows"]},
    )


def _seconds(run: dict[str, Any]) -> float:
    return float(run["seconds"])


def refused(sent: dict[str, Any]) -> int:
    """Return the number of requests that a sandbox refused with 429."""
    return int(sent["by_status"].get("429", 0))


@contextmanager
def vendor(**market: Any) -> Iterator[str]:
    """Serve an invented market within the `with` block, in a process of its own where it is measured."""
    if measure.inside:
        with running(_sandbox(**market)) as url:
            yield url
    else:
        with server("benchmarks.quota:serve_market", **market) as url:
            yield url


def serve_market(**market: Any) -> None:
    """Serve an invented market until the process is ended."""
    serve(_sandbox(**market), on_ready=lambda url: print(url, flush=True))


def _sandbox(count: int, quota: str | None = None, faults: Sequence[str] = ()) -> Sandbox:
    """Return a sandbox that refuses requests beyond the quota, and records the others."""
    return RecordingSandbox(
        invented_market(count, date.fromisoformat(START)), now=NOW, quota=quota, faults=faults, seed=1
    )
