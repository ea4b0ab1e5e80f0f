"""B1: a backfill of 500 symbols from a vendor that admits 50 requests a second, beside `yfinance.download`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.market import NOW, invented_market, symbols
from benchmarks.measure import apart, stretch
from benchmarks.servers import server, stats
from benchmarks.table import Line, Outcome
from quantx.core.model import Window
from quantx.pipeline.plan import Scope, plan_backfill
from quantx.pipeline.platform import open_platform
from quantx.pipeline.work import Worker
from quantx.sandbox import Sandbox, serve
from quantx.settings import load_settings

START, END = "2016-01-01", "2025-12-31"
_AFTER = "2026-01-01"  # yfinance excludes the end
PER_SECOND = 50


def run(folder: Path, *, quick: bool) -> Outcome:
    """Backfill, then have yfinance download the same from a sandbox that has not been asked yet."""
    count = 50 if quick else 500
    with server("benchmarks.quota:serve_market", count=count, quota=f"{PER_SECOND}/s") as url:
        with stretch() as whole:
            ours = apart("benchmarks.quota:backfill", folder=folder, url=url, count=count)
        asked = stats(url)
    with server("benchmarks.quota:serve_market", count=count, quota=f"{PER_SECOND}/s") as url:
        peer = apart("benchmarks.peer:download", folder=folder, host=url, names=symbols(count), start=START, end=_AFTER)
        peer_asked = stats(url)
    quota_seconds = count / PER_SECOND
    seconds = ours["seconds"]
    return Outcome(
        f"B1 fetch within the quota: {count} symbols × 10 years at {PER_SECOND}/s, beside yfinance.download",
        (
            Line("wall / quota time", seconds / quota_seconds, peer["seconds"] / quota_seconds, "≤ 1.05"),
            Line("wall of fetch and curate, s", seconds, peer["seconds"]),
            Line("of that until all is fetched, s", ours["fetched"]),
            Line("start of the process (imports, PostgreSQL, lake, handshake), s", whole.seconds - seconds),
            Line("requests", asked["total"], peer_asked["total"], f"= {count}", digits=0),
            Line("of them refused with 429", refused(asked), refused(peer_asked), "= 0", digits=0),
            Line("symbols without data, told by no exception", count - ours["done"], peer["silent"], "= 0", digits=0),
            Line("rows", ours["rows"], peer["rows"], digits=0),
            Line("CPU seconds", ours["cpu"], peer["cpu"]),
            Line("peak memory, MB", ours["peak_mb"], peer["peak_mb"], digits=0),
        ),
        {"symbols": count, "requests": asked["total"], "refused": refused(asked), "rows": ours["rows"]},
    )


def refused(asked: dict[str, Any]) -> int:
    """Return how many requests a sandbox has answered with 429."""
    return int(asked["by_status"].get("429", 0))


def serve_market(count: int, quota: str | None = None, faults: list[str] | None = None, first: str = START) -> None:
    """Serve an invented market whose vendor refuses what exceeds the quota."""
    market = invented_market(count, date.fromisoformat(first))
    serve(
        Sandbox(market, now=NOW, quota=quota, faults=faults or (), seed=1),
        on_ready=lambda url: print(url, flush=True),
    )


def backfill(folder: str, url: str, count: int) -> dict[str, Any]:
    """Plan, fetch and curate in this process; what it must load and connect once is not timed."""
    settings = load_settings(
        lake_url=f"{folder}/lake",
        state_url=f"{folder}/state",
        yfinance_base_url=url,
        yfinance_quota=f"{PER_SECOND}/s",
    )
    with open_platform(settings) as platform:
        platform.providers["yahoo"].prepare()
        begun = platform.state.now()
        with stretch() as measured:
            window = Window(date.fromisoformat(START), date.fromisoformat(END))
            plan = plan_backfill(platform, Scope(tuple(symbols(count))), window, source="yahoo")
            done = Worker(platform).run(task_ids=plan.task_ids)
        totals = platform.state.runs.totals(plan.run_id)
    assert totals.landed_at is not None
    fetched = (totals.landed_at - begun).total_seconds()
    return {**vars(measured), "fetched": fetched, "done": totals.success, "rows": done.rows}
