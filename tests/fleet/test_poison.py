"""Poison messages and tasks that fail finally: each is put aside with a reason, listed, and repaired."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from azure.storage.queue import QueueClient

from .conftest import FIRST_RUN
from .fleet import Fleet, Vendor, assert_at_rest, depth_of
from .market import SYMBOLS

pytestmark = pytest.mark.slow

GOOD = {"v": 1, "task_id": 1, "run_id": "r", "source": "yahoo", "symbol": "FLAA", "timeframe": "1d"}
GOOD |= {"start": "2014-01-02", "end": "2014-01-31"}


def packed(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


POISON = {
    "no base64": "this is <no> base64 & no XML",
    "plain JSON, as other SDKs send it": json.dumps(GOOD),
    "base64 twice, as older SDKs send it": base64.b64encode(packed(GOOD).encode()).decode(),
    "no JSON": base64.b64encode(b"\xff\xfe task").decode(),
    "a list": packed([1, 2, 3]),
    "an unknown version": packed(GOOD | {"v": 99}),
    "no version": packed({k: v for k, v in GOOD.items() if k != "v"}),
    "another field": packed(GOOD | {"symbols": ["FLAA"]}),
    "a field is missing": packed({k: v for k, v in GOOD.items() if k != "symbol"}),
    "a text for a number": packed(GOOD | {"task_id": "1"}),
    "true for a number": packed(GOOD | {"task_id": True}),
    "a huge number": packed(GOOD | {"task_id": 10**30}),
    "a number for a text": packed(GOOD | {"symbol": 7}),
    "a task that nobody knows": packed(GOOD | {"task_id": 999_999}),
    "deep": base64.b64encode(b"[" * 20_000).decode(),
    "64 KiB": "A" * 65_536,
    "64 KiB of JSON": packed(GOOD | {"task_id": 999_998, "symbol": "F" * 48_900}),
}


def test_poison_is_put_aside_with_a_reason_and_everything_else_flows(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor]
) -> None:
    fleet = fleets(vendors(), QUANTX_CHUNK_SIZE="8")
    connection = fleet.settings["AZURE_STORAGE_CONNECTION_STRING"]
    name = fleet.settings["QUANTX_QUEUE_URL"].removeprefix("az://")
    with QueueClient.from_connection_string(connection, name) as client:
        client.create_queue()
        for body in POISON.values():
            client.send_message(body)
        fleet.told(*FIRST_RUN, "--enqueue-only")
        client.send_message("")
    for worker in [fleet.start("work") for _ in range(2)]:
        fleet.ends(worker, 0)

    assert_at_rest(fleet, runs=1)
    assert fleet.told("status")["queue"]["poisoned"] == len(POISON) + 1
    poison = fleet.told("tasks", "list", "--dead")["poison"]
    assert all(record["reason"] for record in poison)
    found = {record["body"][:40] for record in poison}
    assert {body[:40] for body in POISON.values()} | {""} == found


def test_what_failed_to_the_end_is_shown_and_healed(
    fleets: Callable[..., Fleet], vendors: Callable[..., Vendor]
) -> None:
    vendor = vendors()
    fleet = fleets(vendor, QUANTX_MAX_ATTEMPTS="2")
    fleet.told(*FIRST_RUN[:-1], ",".join(SYMBOLS[:3]), "--enqueue-only")
    vendor.tell("fault", kind="500", rate=1)
    fleet.here("work", code=1)
    assert_at_rest(fleet, runs=1, failed=3)

    dead = fleet.told("tasks", "list", "--dead")
    assert [task["symbol"] for task in dead["tasks"]] == sorted(SYMBOLS[:3], reverse=True)
    assert all("500" in task["last_error"] and task["attempts"] == 2 for task in dead["tasks"])
    assert len(dead["poison"]) == 3
    status = fleet.told("status")
    assert (status["tasks"]["dead"], status["queue"]["poisoned"]) == (3, 3)

    vendor.tell("fault", kind="500", rate=0)
    assert fleet.told("tasks", "retry")["enqueued"] == 3
    fleet.ends(fleet.start("work"), 0)
    status = fleet.told("status")
    assert (status["tasks"]["dead"], status["tasks"]["done"], status["tasks"]["failed"]) == (0, 3, 3)
    assert fleet.told("tasks", "list", "--dead")["tasks"] == []
    assert fleet.tables()["bars_1d"]["symbol"].unique().sort().to_list() == SYMBOLS[:3]
    assert fleet.told("tasks", "retry")["enqueued"] == 0
    assert depth_of(fleet) == 0
