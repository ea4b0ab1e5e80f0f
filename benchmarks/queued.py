"""B5: 10,000 tasks through Azurite's queue and a lake on Azurite, with a state in PostgreSQL and four workers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import obstore
from ulid import ULID

from benchmarks.cloud import QUEUE, Cloud, Storage, cloud, row_of, storage, why_missing
from benchmarks.fleet import let_go, start_workers, wait_for_the_word
from benchmarks.market import LAST, symbols
from benchmarks.measure import apart, stretch
from benchmarks.prepared import prepare_replies
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.model import Window
from quantx.lake.store import open_location
from quantx.pipeline.planning.plan import Scope, plan_backfill
from quantx.pipeline.runtime.platform import open_platform
from quantx.queues import messages
from quantx.queues.azure import AzureQueue
from quantx.settings import load_settings

PAGE, FULL = 32, 1000  # messages: of a page, and the planner's limit of the queue
HISTORY = date(2025, 10, 1)
WINDOW = calendar("XNYS").sessions(date(2025, 12, 1), LAST)[-5:]


def run(folder: Path, *, quick: bool) -> Outcome:
    """Plan, drain and curate; then send only Azurite's share of the requests, to a new Azurite."""
    title = "B5 queue throughput"
    if missing := why_missing():
        return Outcome(title, (), skipped=missing)
    count, workers = (64, 1) if quick else (10_000, 4)
    replies = prepare_replies(folder / "replies", count, HISTORY, [WINDOW[0]])
    with cloud(folder / "fleet", yfinance_quota="unlimited") as servers:
        ours = drain(servers, count, workers, replies)
    with cloud(folder / "postgres", yfinance_quota="unlimited", queue_url="postgresql") as servers:
        other = None if quick else drain(servers, count, workers, replies)
    with storage(folder / "alone") as servers:
        alone = azurite_alone(servers, count, workers, ours["raw_bytes"] // ours["raw_objects"])
    whole, floor = seconds_of(ours), alone["sent"] + alone["drained"]
    in_postgres = (
        ()
        if other is None
        else (
            Line("the same with the queue in PostgreSQL, tasks/s", count / seconds_of(other), digits=0),
            Line("its peak memory of the largest worker, MB", other["peak_mb"], digits=0),
        )
    )
    return Outcome(
        f"{title}: {count:,} tasks of five sessions, {workers} workers, Azurite (queue, lake), PostgreSQL; a vendor in"
        " the process, without quota",
        (
            Line("tasks/s, from planning to all curated", count / whole, count / floor, "≥ 100", digits=0, rate=True),
            Line("of what Azurite alone gives, %", 100 * floor / whole, aim="≥ 75", digits=0),
            Line("seconds; beside it Azurite's share alone", whole, floor),
            Line("plan and send, s", ours["planned"], alone["sent"]),
            Line("drain: claim, fetch, store, land, delete, s", ours["fetched"], alone["drained"]),
            Line("curate what is left, s", ours["curated"]),
            Line("CPU seconds of Azurite", ours["azurite_seconds"], alone["azurite_seconds"]),
            Line(
                "CPU ms of planner and workers a task", 1000 * ours["cpu"] / count, 1000 * alone["cpu"] / count, "≤ 3.5"
            ),
            Line("peak memory of the largest worker, MB", ours["peak_mb"], alone["peak_mb"], "< 350", digits=0),
            *in_postgres,
        ),
        {
            "tasks": count,
            "done": ours["done"],
            "requests": ours["requests"],
            "rows": ours["rows"],
            "raw_objects": ours["raw_objects"],
            "messages_left": ours["messages_left"],
            "messages_alone": alone["deleted"],
        },
    )


def drain(servers: Cloud, count: int, at_once: int, replies: str) -> dict[str, Any]:
    """Plan and send while the workers wait, start them, and read the times of the events from the state."""
    settings = servers.settings
    workers = start_workers(at_once, settings=settings, replies=replies)
    before = servers.cpu_seconds()
    planned = apart("benchmarks.queued:plan", settings=settings, count=count)
    begun = row_of(settings["state_url"], "select clock_timestamp()")[0]
    results = let_go(workers)
    done, rows, landed_at, curated_at, objects, size = row_of(
        settings["state_url"],
        "select (select count(*) from tasks where state = 'done'), (select sum(rows_new) from tasks), max(landed_at),"
        " (select max(finished_at) from rounds), count(*), sum(bytes) from raw_objects",
    )
    return {
        "planned": planned["seconds"],
        "fetched": (landed_at - begun).total_seconds(),
        "curated": (curated_at - landed_at).total_seconds(),
        "azurite_seconds": servers.cpu_seconds() - before,
        "cpu": planned["cpu"] + sum(r["cpu"] for r in results),
        "peak_mb": max(r["peak_mb"] for r in results),
        "done": done,
        "requests": sum(r["requests"] for r in results),
        "rows": int(rows),
        "raw_objects": objects,
        "raw_bytes": int(size),
        "messages_left": apart("benchmarks.queued:left", settings=settings)["total"],
    }


def seconds_of(run: Mapping[str, Any]) -> float:
    """Return the seconds of a run from its plan to the last commit."""
    return float(run["planned"] + run["fetched"] + run["curated"])


def plan(settings: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Plan one task per symbol and send them all to the queue."""
    with open_platform(load_settings(**settings)) as platform, stretch() as measured:
        plan_backfill(platform, Scope(tuple(symbols(count))), Window(WINDOW[0], WINDOW[-1]), source="yahoo")
    return vars(measured)


def left(settings: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of messages on the queue."""
    with open_platform(load_settings(**settings)) as platform:
        return {"total": platform.queue.depth().total}


def azurite_alone(servers: Storage, count: int, at_once: int, size: int) -> dict[str, Any]:
    """Send the same number of messages, receive and delete them and put as many blobs, with as many processes.

    The queue is kept as short as ours: the time that Azurite takes for an operation grows with it.
    """
    settings, first = servers.settings, min(count, FULL)
    more = {"size": size, "more": (count - first) // at_once}
    receivers = start_workers(at_once, "benchmarks.queued:receive", settings=settings, **more)
    before = servers.cpu_seconds()
    sent = apart("benchmarks.queued:send", settings=settings, count=count - at_once * more["more"])
    results = let_go(receivers)
    return {
        "sent": sent["seconds"],
        "drained": max(r["seconds"] for r in results),
        "azurite_seconds": servers.cpu_seconds() - before,
        "cpu": sent["cpu"] + sum(r["cpu"] for r in results),
        "peak_mb": max(r["peak_mb"] for r in results),
        "deleted": sum(r["deleted"] for r in results),
    }


def send(settings: Mapping[str, Any], count: int) -> dict[str, Any]:
    """Send messages as the planner does."""
    queue, bodies = _queue(settings), [_body(i) for i in range(count)]
    with stretch() as measured:
        queue.send(bodies)
    queue.close()
    return vars(measured)


def receive(settings: Mapping[str, Any], size: int, more: int) -> dict[str, Any]:
    """Receive a page, put a blob of `size` bytes, delete the page, until the queue is empty; send `more` meanwhile."""
    queue, store = _queue(settings), open_location(settings["lake_url"], load_settings(**settings)).store
    body, deleted, bodies = os.urandom(size), 0, [_body(i) for i in range(more)]
    queue.depth()
    wait_for_the_word()
    with stretch() as measured:
        while page := queue.receive(PAGE, 60):
            obstore.put(store, f"alone/{ULID()}", body, mode="create")
            deleted += sum(queue.delete(page))
            queue.send(bodies[: len(page)])
            bodies = bodies[len(page) :]
    queue.close()
    return {**vars(measured), "deleted": deleted}


def _queue(settings: Mapping[str, Any]) -> AzureQueue:
    key = load_settings(**settings).storage_key()
    assert key is not None
    assert key.queue_endpoint is not None
    return AzureQueue(key.queue_endpoint, QUEUE, key)


def _body(number: int) -> str:
    facts = {"task_id": number + 1, "run_id": str(ULID()), "source": "yahoo", "symbol": "QAAA", "timeframe": "1d"}
    return messages.encode(facts | {"window_start": WINDOW[0], "window_end": WINDOW[-1]})
