"""Timer → outbox → queue → worker → lake, with the app that is published and workers in processes of their own."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER

from ..fleet.fleet import Fleet, assert_at_rest, depth_of, go
from .conftest import Host, Hosts

pytestmark = pytest.mark.slow

Installations = Callable[[], contextlib.AbstractContextManager[Fleet]]
AMERICAN, CHINESE = ("QXAA", "QXAC", "QXAF", "QXAR"), ("99902.HK", "99903.HK")


@pytest.fixture
def fleet(installation: Installations) -> Iterator[Fleet]:
    with installation() as made:
        yield made


@pytest.fixture
def host(fleet: Fleet, hosts: Hosts) -> Iterator[Host]:
    with hosts(**fleet.settings, QUANTX_LOG_LEVEL="INFO") as started:
        yield started


def newest(code: str) -> date:
    session = calendar(code).last_closed(datetime.now(UTC), SETTLED_AFTER)
    assert session is not None
    return session


def runs(fleet: Fleet) -> list[dict[str, Any]]:
    return fleet.rows("select id, kind, skipped from runs order by created_at")


def test_a_timer_that_was_missed_for_three_days_and_then_fires_four_times_at_once(
    fleet: Fleet, host: Host, hosts: Hosts, at_once: ThreadPoolExecutor
) -> None:
    """It plans the three sessions once, also from two instances; a worker stores them; the run shows it."""
    sessions = {code: newest(code) for code in ("XNYS", "XHKG")}
    before = {code: calendar(code).back(day, 3) for code, day in sessions.items()}
    for names, code in ((AMERICAN, "XNYS"), (CHINESE, "XHKG")):
        start = calendar(code).back(before[code], 20)
        fleet.here("backfill", "--start", start, "--end", before[code], "--symbols", ",".join(names))
    assert depth_of(fleet) == 0
    earlier = runs(fleet)

    with hosts(**fleet.settings) as another_instance:
        fired = [at_once.submit(one.fires, "daily_update", 2) for one in (host, another_instance)]
        assert [future.result() for future in fired] == [[{"ok": True}] * 2] * 2

    (run,) = runs(fleet)[len(earlier) :]
    tasks = fleet.rows(
        f"select symbol, window_start, window_end from tasks where run_id = '{run['id']}' order by symbol"
    )
    assert [task["symbol"] for task in tasks] == sorted(AMERICAN + CHINESE)
    for task in tasks:
        code = "XNYS" if task["symbol"] in AMERICAN else "XHKG"
        assert task["window_end"] == sessions[code]
        assert task["window_start"] <= before[code]  # known ones are read again
    assert depth_of(fleet) == len(tasks)
    running = host.get(f"runs/{run['id']}").document
    assert (running["state"], running["totals"]["unfinished"], running["report"]) == ("running", len(tasks), None)

    fleet.ends(fleet.start("work"), 0)

    bars = fleet.tables()["bars_1d"]
    for symbol in AMERICAN + CHINESE:
        code = "XNYS" if symbol in AMERICAN else "XHKG"
        found = bars.filter((pl.col("symbol") == symbol) & (pl.col("date") > before[code]))["date"].to_list()
        assert found == list(calendar(code).sessions(before[code], sessions[code])[1:]), symbol
    done = host.get(f"runs/{run['id']}").document
    assert (done["state"], done["totals"]["success"], done["failures"]) == ("done", len(tasks), [])
    assert done["report"] == f"reports/daily/{done['created_at'][:10]}/{run['id']}.json"
    assert_at_rest(fleet, runs=len(earlier) + 1)

    host.fires("daily_update")
    assert depth_of(fleet) == 0, "nothing is missing any more"
    assert "Traceback" not in host.log_text()


def test_a_sweep_notices_a_dead_timer_and_does_its_work(fleet: Fleet, host: Host) -> None:
    assert host.fires("sweep", times=2) == [{"ok": True}] * 2
    found = fleet.told("findings", "list", "--status", "open", "--rule", "no_run_by_deadline")
    assert sorted(row["subject"] for row in found) == ["hk", "us"]
    assert host.log_text().count("deadline.missed") >= 2
    (run,) = runs(fleet)
    tasks = fleet.rows("select symbol from tasks")
    assert sorted(task["symbol"] for task in tasks) == sorted(AMERICAN + CHINESE)
    assert depth_of(fleet) == len(tasks)
    assert re.search(r'"poisoned": 0, "event": "sweep.done"', host.log_text()), "alerts look for it"
    assert "Request URL" not in host.log_text(), "each line costs money"
    assert not [entry for page in fleet.location.store.list("reports") for entry in page], (
        "the app writes nothing there"
    )

    swept = fleet.told("sweep")
    assert (swept["missed"], swept["run_id"]) == ([], None)
    settled = fleet.told("findings", "list", "--rule", "no_run_by_deadline")
    assert {row["status"] for row in settled} == {"resolved"}
    assert [row["id"] for row in runs(fleet)] == [run["id"]]


def test_the_command_reports_missed_deadlines(fleet: Fleet) -> None:
    said = fleet.here("sweep")
    assert "no daily run for the session" in said
    assert "was planned for the missed sessions" in said
    assert fleet.here("sweep") == "sent 0 messages (0 again); wrote 0 new or changed rows\n"


def test_the_command_curates_what_a_dead_worker_left(fleet: Fleet) -> None:
    """It has stored its replies and died before they were curated; no message is left to start another worker."""
    fleet.here("update-daily", "--enqueue-only")
    worker = fleet.start_dying("landed in the state")
    go(worker)
    assert worker.wait(60) == -signal.SIGKILL
    with contextlib.closing(fleet.queue()) as queue:
        while messages := queue.receive(32, 60):
            queue.delete(messages)

    swept = fleet.told("sweep")

    assert (swept["missed"], swept["run_id"]) == ([], None)
    assert swept["curated_rows"] == fleet.tables()["bars_1d"].height > 0
    assert_at_rest(fleet, runs=1)


def test_what_the_queue_did_not_take_is_sent_by_a_sweep(fleet: Fleet, hosts: Hosts) -> None:
    account = fleet.settings["AZURE_STORAGE_CONNECTION_STRING"]
    away = re.sub(r"QueueEndpoint=http://[^/]*", "QueueEndpoint=http://127.0.0.1:1", account)
    with hosts(**{**fleet.settings, "AZURE_STORAGE_CONNECTION_STRING": away}) as cut_off:
        reply = cut_off.post({"universe": "american"})
        assert (reply.status, reply.headers["Retry-After"]) == (503, "60")
        assert "kept and sent later" in reply.document["detail"]
    assert depth_of(fleet) == 0
    # The sender that failed is given half a minute, in case it is only slow.
    assert len(fleet.rows("update outbox set taken_until = '-infinity' returning task_id")) == 3
    with hosts(**fleet.settings) as host:
        host.fires("sweep")
        assert depth_of(fleet) == len(fleet.rows("select id from tasks"))
        again = host.post({"universe": "american"})
    assert again.status == 202
    assert again.document["run_id"] in {row["id"] for row in runs(fleet)}
    assert fleet.rows("select symbol, count(*) from tasks group by symbol having count(*) > 1") == []
