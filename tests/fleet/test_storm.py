"""All faults at once: a bad vendor, outages, repeated messages, kills. The tables equal those of a calm run."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import polars as pl
import psycopg
import pytest

from quantx.queues import messages

from ..azurite import Azurite
from .conftest import FIRST_RUN, SECOND_RUN, revise
from .fleet import Fleet, Server, Vendor, assert_at_rest, assert_same
from .market import SYMBOLS

pytestmark = pytest.mark.slow

SMALL = {"QUANTX_CHUNK_SIZE": "3", "QUANTX_MAX_WORKERS": "2"}
LEASE = 6  # seconds: what a busy machine may hold a process up, and no more than an outage
_CURATOR = """
    select a.application_name as name from pg_locks l join pg_stat_activity a using (pid)
    where l.locktype = 'advisory' and l.objid = 7013002 and l.granted and a.datname = current_database()
"""


def test_without_the_database_or_the_storage_workers_wait_and_pay_no_fetch_twice(
    fleets: Callable[..., Fleet],
    vendors: Callable[..., Vendor],
    clean: dict[str, pl.DataFrame],
    server: Server,
    azurite: Azurite,
) -> None:
    fleet = fleets(vendors(latency=0.3), **SMALL, QUANTX_LEASE_SECONDS=str(LEASE))
    revise(fleet.vendor)
    fleet.told(*SECOND_RUN, "--enqueue-only")
    workers = [fleet.start("work", QUANTX_MAX_WORKERS="1") for _ in range(4)]

    fleet.wait_until(lambda: fleet.vendor.requests() >= 5)
    server.end(signal.SIGKILL)
    time.sleep(LEASE + 1)
    server.start()
    fleet.wait_until(lambda: fleet.vendor.requests() >= 14)
    azurite.stop()
    time.sleep(LEASE + 0.5)
    azurite.start()
    for worker in workers:
        fleet.ends(worker, 0)

    assert fleet.vendor.stats()["by_symbol"] == dict.fromkeys(SYMBOLS, 1)
    assert_at_rest(fleet, runs=1)
    assert_same(fleet.tables(), clean | {"bars_1d_revisions": clean["bars_1d_revisions"].clear()})


def test_a_storm_changes_nothing(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor], clean: dict[str, pl.DataFrame], server: Server
) -> None:
    fleet = fleets(vendors(latency=0.03, seed=2789), **SMALL)
    fleet.here(*FIRST_RUN)
    revise(fleet.vendor)
    for kind, rate in (("429", 0.05), ("500", 0.02), ("garbage", 0.01)):
        fleet.vendor.tell("fault", kind=kind, rate=rate)
    fleet.told(*SECOND_RUN, "--enqueue-only")
    before = fleet.vendor.requests()

    def worker(name: str) -> subprocess.Popen[bytes]:
        return fleet.start("work", PGAPPNAME=name, QUANTX_YFINANCE_QUOTA="2/s")  # so that work is left until the end

    workers = {name: worker(name) for name in ("worker-0", "worker-1", "worker-2", "worker-3")}
    send_again(fleet, times=2)

    fleet.wait_until(lambda: fleet.vendor.requests() >= before + 8)
    workers["worker-0"].kill()
    workers["worker-1"].send_signal(signal.SIGSTOP)  # longer than a lease: it will not know that its tasks have gone
    workers["worker-4"] = worker("worker-4")
    curator = workers[curator_of(fleet, alive(workers))]
    curator.kill()
    curator.wait()
    curator_of(fleet, alive(workers))
    server.end(signal.SIGQUIT)  # another one may take the role while this one goes on
    server.start()
    send_again(fleet, times=1)
    workers["worker-1"].send_signal(signal.SIGCONT)
    ended = Counter(process.wait(120) for process in workers.values())
    told = {name: fleet.said(process)[-1500:] for name, process in workers.items()}
    assert ended == {0: 3, -signal.SIGKILL: 2}, told

    statuses = fleet.vendor.stats()["by_status"]
    assert {"429", "500"} <= statuses.keys(), fleet.vendor.stats()
    assert_at_rest(fleet, runs=2)
    assert_same(fleet.tables(), clean, payloads=False)


def send_again(fleet: Fleet, times: int) -> None:
    """Send the messages of all unfinished tasks once more, as a second sender does."""
    rows = fleet.rows(
        "select id as task_id, run_id, source, symbol, timeframe, window_start, window_end from tasks"
        " where state in ('pending', 'leased', 'landed')"
    )
    with contextlib.closing(fleet.queue()) as queue:
        queue.send(times * [messages.encode(row) for row in rows])


def alive(workers: dict[str, subprocess.Popen[bytes]]) -> list[str]:
    return [name for name, process in workers.items() if process.poll() is None]


def curator_of(fleet: Fleet, names: list[str]) -> str:
    """Wait until one of the workers has the curator's role, and return its name."""
    with psycopg.connect(fleet.settings["QUANTX_STATE_URL"], autocommit=True) as connection:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            row = connection.execute(_CURATOR).fetchone()
            if row is not None and row[0] in names:
                return str(row[0])
            time.sleep(0.002)
    raise AssertionError("nobody curates")
