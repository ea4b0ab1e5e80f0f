"""Pages of the dashboard over 5,000 symbols × 15 years, 100,000 findings, rejected rows and tasks each."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import polars as pl

from benchmarks.cloud import Postgres
from benchmarks.market import symbols
from benchmarks.measure import apart, environment, peak_megabytes
from benchmarks.table import Line, Outcome
from quantx.core.model import Finding, Series, Window
from quantx.core.tables import QUARANTINE
from quantx.lake.protocol import CommitContext
from quantx.pipeline.inspecting.published import publish_findings
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import load_settings
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun

_REPEATS = 7
_RULES = ("jump", "missing_sessions", "stale_prices", "events_missing", "closes_differ")
_FIRST = date(2010, 1, 4)
PAGES = {
    "overview": "/",
    "findings, first page": "/findings",
    "findings, last page": "/findings?page={last}",
    "findings of a rule": "/findings?rule=jump&status=open",
    "finding with its neighbours": "/findings/1",
    "quarantine, first page": "/quarantine",
    "quarantine of a symbol": "/quarantine?symbol={symbol}",
    "runs": "/runs",
    "tasks": "/tasks",
    "tasks of a symbol": "/tasks?symbol={symbol}",
    "vendors": "/vendors",
    "storage": "/storage",
    "research": "/research",
    "universes": "/universes",
    "series": "/series?symbol={symbol}",
}


def run(folder: Path, *, quick: bool) -> Outcome:
    """Build the lake and the state, then measure each page in a process of its own, with and without the database."""
    count, many = (100, 2_000) if quick else (5_000, 100_000)
    lake = {"lake_url": f"{folder}/lake"}
    apart("benchmarks.reader:build", lake=lake, count=count)
    postgres = Postgres(folder / "state")
    try:
        settings = lake | {"state_url": postgres.url}
        built = apart("benchmarks.dashboard:fill", settings=settings, count=count, many=many)
        with_state = apart("benchmarks.dashboard:pages", settings=settings, count=count, many=many)
    finally:
        postgres.stop()
    gone = settings | {"state_url": "postgresql://127.0.0.1:1/none"}
    without = apart("benchmarks.dashboard:pages", settings=gone, count=count, many=many)
    lines = [Line(f"{name}, ms", with_state["ms"][name], without["ms"].get(name), "≤ 150", 1) for name in PAGES]
    peaks = with_state["peaks"]
    return Outcome(
        f"The dashboard: {count:,} symbols × 15 years, {many:,} findings, rejected rows and tasks each; best of"
        f" {_REPEATS} warm requests; beside it the same page without a database",
        (
            *lines,
            Line("largest page, kB compressed", max(with_state["kilobytes"].values()), aim="≤ 200", digits=1),
            Line("overview, from the start of the process, s", with_state["first"], without["first"], "≤ 1.5"),
            Line("peak memory before the page of a series, MB", peaks["universes"], digits=0),
            Line("peak memory after it, MB", peaks["series"], aim="≤ 350", digits=0),
        ),
        {"findings": built["findings"], "rejected": built["rejected"], "tasks": built["tasks"]},
    )


def fill(settings: Mapping[str, str], count: int, many: int) -> dict[str, Any]:
    """Write findings, rejected rows, and a run's tasks."""
    names = symbols(count)
    with open_platform(load_settings(**settings)) as platform:
        for start in range(0, many, 10_000):
            platform.state.findings.note([_finding(names, n) for n in range(start, min(start + 10_000, many))])
        publish_findings(platform, platform.tables)
        rows = pl.DataFrame([_rejected(names, n) for n in range(many)], schema=dict(QUARANTINE.schema))
        platform.tables[QUARANTINE.name].commit(CommitContext(), rows)
        for number in range(many // count):
            tasks = [NewTask(Series("yahoo", "bars", "1d", each), _window(number)) for each in names]
            platform.state.tasks.plan(NewRun(f"01HN{number:022}", "daily", "yahoo", {"universe": "us"}), tasks)
    return {"findings": many, "rejected": rows.height, "tasks": many // count * count}


def pages(settings: Mapping[str, str], count: int, many: int) -> dict[str, Any]:
    """Load each page several times from `quantx dashboard` in a process of its own.

    Return milliseconds and compressed kilobytes by page, the seconds from the start of the process to the end of the
    overview, and the peak memory of the process after the pages without bars, and after all.
    """
    values = {"last": many // 50, "symbol": symbols(count)[7]}
    best: dict[str, float] = {}
    size: dict[str, float] = {}
    peaks: dict[str, float] = {}
    begun = time.perf_counter()
    with _served(settings) as (process, entrance), httpx.Client(follow_redirects=True, timeout=60) as client:
        client.get(entrance).raise_for_status()
        first = time.perf_counter() - begun
        for name, address in PAGES.items():
            times = []
            for _ in range(_REPEATS + 1):  # the first is not counted
                start = time.perf_counter()
                answer = client.get(urljoin(entrance, address.format(**values)))
                times.append((time.perf_counter() - start) * 1e3)
            if answer.status_code == 200:
                best[name], size[name] = min(times[1:]), len(gzip.compress(answer.content)) / 1e3
            peaks[name] = peak_megabytes(process.pid)
    return {"ms": best, "kilobytes": size, "first": first, "peaks": peaks}


@contextmanager
def _served(settings: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the dashboard; yields its process and the address that it prints, with the token."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {f"QUANTX_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "quantx", "dashboard", "--port", str(port)]
    with subprocess.Popen(command, env=environment(**variables), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def _finding(names: Sequence[str], n: int) -> Finding:
    day = _FIRST + timedelta(days=n // len(names))
    rule, severity = _RULES[n % len(_RULES)], ("error", "warn", "info")[n % 3]
    message = f"the close of {day} is {n % 90 + 10} % above the one before it, and no event explains the step"
    facts = {"close": 12.5 + n % 100, "before": 10.25, "sessions": n % 9}
    return Finding(  # type: ignore[arg-type]
        rule, severity, names[n % len(names)], message,
        source="yahoo", dataset="bars_1d", first_day=day, last_day=day, facts=facts,
    )  # fmt: skip


def _rejected(names: Sequence[str], n: int) -> dict[str, Any]:
    row = {"time": None, "open": 1.0 + n, "high": 0.5, "low": 2.0, "close": 1.9, "volume": 3.0}
    return {
        "source": "yahoo", "dataset": "bars_1d", "symbol": names[n % len(names)],
        "date": _FIRST + timedelta(days=n // len(names)), "rules": "high_is_highest", "row": json.dumps(row),
        "payload_sha256": "0" * 64, "raw": "r", "known_from": datetime(2024, 1, 2, tzinfo=UTC), "policy": 7,
    }  # fmt: skip


def _window(number: int) -> Window:
    day = _FIRST + timedelta(days=number)
    return Window(day, day)
