"""The HTTP interface: a run and its address, all errors of a body, and no internal detail."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..fleet.fleet import Fleet, depth_of
from .conftest import ADDRESS, KEY, Host, Hosts, Reply

pytestmark = pytest.mark.slow

ULID = r"[0-9A-HJKMNP-TV-Z]{26}"
CANARY = "canary-7f3a"
HOSTILE: dict[str, Any] = {
    "not UTF-8": b"\xff\xfe\x00",
    "cut JSON": b'{"symbols": ["AAPL"',
    "NaN": b'{"lookback_days": NaN}',
    "deeply nested": b"[" * 200_000,
    "deeply nested objects": b'{"symbols":' * 20_000,
    "an array for an object": b"[1, 2, 3]",
    "a duplicate key": b'{"phase": "phase_1", "phase": "phase_2"}',
    "an unknown field": {"symbols": ["AAPL"], "__proto__": {"admin": True}},
    "contradictory scopes": {"phase": "phase_1", "symbols": ["AAPL"]},
    "contradictory windows": {"symbols": ["AAPL"], "start": "2020-01-01", "lookback_days": 5},
    "a reversed window": {"symbols": ["AAPL"], "start": "2020-01-02", "end": "2020-01-01"},
    "the future": {"symbols": ["AAPL"], "start": "2999-01-01"},
    "a path": {"symbols": ["../../x"]},
    "SQL": {"symbols": ["'; drop table tasks; --"]},
    "SQL in a name": {"universe": "x' or '1'='1"},
    "an emoji": {"symbols": ["😀"]},
    "an emoji in a name": {"phase": "😀"},
    "a symbol of 300 characters": {"symbols": ["A" * 300]},
    "NUL": {"universe": "a\u0000b"},
    "half a character": b'{"universe": "\\ud83d"}',
    "an unknown source": {"symbols": ["AAPL"], "source": "bloomberg"},
    "an unknown universe": {"universe": "atlantis"},
    "a timeframe that the vendor lacks": {"symbols": ["AAPL"], "timeframe": "1m"},
    "nothing but wrong fields": {"phase": 1, "symbols": 2, "start": 3, "end": 4, "lookback_days": "5", "source": 6},
    "ten thousand wrong symbols": {"symbols": ["?"] * 10_000},
}


@pytest.fixture(scope="module")
def fleet(installation: Callable[[], contextlib.AbstractContextManager[Fleet]]) -> Iterator[Fleet]:
    with installation() as made:
        yield made


@pytest.fixture(scope="module")
def host(fleet: Fleet, hosts: Hosts) -> Iterator[Host]:
    with hosts(**fleet.settings) as started:
        yield started


def assert_problem(reply: Reply, status: int) -> None:
    """RFC 9457: a document of its own type, which repeats the status and has the reason."""
    assert reply.status == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.document["status"] == status
    assert reply.document["title"]
    assert reply.document["detail"]
    assert len(reply.text) < 20_000
    for ours in ("Traceback", KEY, ".py", "postgresql://", "127.0.0.1", "AccountKey"):
        assert ours not in reply.text


def test_a_request_becomes_a_run_and_an_address(host: Host, fleet: Fleet) -> None:
    reply = host.post({"universe": "american", "start": "2024-01-02", "end": "2024-03-28"})
    assert reply.status == 202
    run_id = reply.document["run_id"]
    assert re.fullmatch(ULID, run_id)
    assert reply.headers["Location"] == reply.document["status_url"] == f"{ADDRESS}/runs/{run_id}"
    assert (reply.document["tasks"], reply.document["shared"]) == (3, 0)
    assert KEY not in reply.text
    shown = host.get(f"runs/{run_id}")
    assert shown.status == 200
    assert (shown.document["run_id"], shown.document["kind"], shown.document["state"]) == (
        run_id,
        "backfill",
        "running",
    )
    assert shown.document["request"] == {
        "universe": "american", "start": "2024-01-02", "end": "2024-03-28", "again": False,
    }  # fmt: skip
    (run,) = fleet.rows(f"select kind, source from runs where id = '{run_id}'")
    assert run == {"kind": "backfill", "source": "yahoo"}


def test_a_daily_update_of_everything_needs_no_body(host: Host) -> None:
    first, again = host.post(b""), host.post({})
    assert (first.status, again.status) == (202, 202)
    assert first.document["tasks"] == 6
    assert again.document["run_id"] == first.document["run_id"], "asked twice, planned once"


def test_a_list_of_the_lake_is_a_universe_and_one_of_the_host_is_not(host: Host, fleet: Fleet) -> None:
    listed = host.post({"universe": "meta/universe_phase_1.csv", "lookback_days": 1})
    assert (listed.status, listed.document["tasks"] + listed.document["shared"] > 0) == (202, True)
    for elsewhere in ("meta/universe_phase_9.csv", str(fleet.folder / "mine.csv"), "../mine.csv"):
        (fleet.folder / "mine.csv").write_text("AAPL\n")
        refused = host.post({"universe": elsewhere})
        assert_problem(refused, 400)
        assert refused.document["errors"][0]["pointer"] == "#/universe"


def test_a_failed_task_is_reported_with_its_reason(host: Host, fleet: Fleet) -> None:
    run_id = host.post({"symbols": ["QXAQ", "NOSUCH"], "lookback_days": 3}).document["run_id"]
    fleet.ends(fleet.start("work"), 1)
    shown = host.get(f"runs/{run_id}").document
    assert shown["state"] == "done_with_failures"
    assert (shown["totals"]["success"], shown["totals"]["failed"]) == (1, 1)
    assert [(f["symbol"], f["error_class"]) for f in shown["failures"]] == [("NOSUCH", "UnknownSymbol")]
    assert shown["report"].endswith(f"{run_id}.json")
    again = host.post({"symbols": ["NOSUCH"], "lookback_days": 3}).document
    assert (again["tasks"], list(again["unserved"])) == (0, ["NOSUCH"])
    assert again["unserved"]["NOSUCH"].startswith("no bars: yahoo refused it on ")
    assert host.get(f"runs/{again['run_id']}").document["request"]["unserved"] == again["unserved"]


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_body_is_refused_and_changes_nothing(host: Host, fleet: Fleet, case: str) -> None:
    before = (
        fleet.rows("select (select count(*) from runs) as runs, (select count(*) from tasks) as tasks"),
        depth_of(fleet),
    )
    reply = host.post(HOSTILE[case])
    assert_problem(reply, 400)
    assert reply.document["errors"]
    assert all(error["detail"] and error["pointer"].startswith("#") for error in reply.document["errors"])
    after = (
        fleet.rows("select (select count(*) from runs) as runs, (select count(*) from tasks) as tasks"),
        depth_of(fleet),
    )
    assert after == before


def test_all_errors_are_reported_at_once(host: Host) -> None:
    reply = host.post(
        {"phase": 1, "symbols": ["x y", "AAPL", "../x"], "start": "soon", "lookback_days": -1, "sauce": "y"}
    )
    pointers = {error["pointer"] for error in reply.document["errors"]}
    assert pointers >= {"#/phase", "#/symbols/0", "#/symbols/2", "#/start", "#/lookback_days", "#/sauce"}
    names = host.post({"universe": "atlantis", "source": "bloomberg"}).document["errors"]
    assert [error["pointer"] for error in names] == ["#/universe", "#/source"]
    assert "american, banks, chinese" in names[0]["detail"]


@pytest.mark.parametrize("size", [300_000, 10_000_000])
def test_a_huge_body_is_too_large(host: Host, size: int) -> None:
    assert_problem(host.post(b" " * size), 413)


def test_a_hundred_thousand_symbols_are_too_many(host: Host) -> None:
    assert_problem(host.post({"symbols": [f"S{n}" for n in range(100_000)]}), 413)


@pytest.mark.parametrize(
    "run_id",
    ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "1", "../../x", "'; drop table runs; --", "\x00", "😀", "A" * 5000, "\ud800"],
    ids=ascii,
)
def test_a_run_that_is_none_is_not_found(host: Host, run_id: str) -> None:
    assert_problem(host.get(f"runs/{run_id}"), 404)


def test_health_needs_no_key_and_reports_nothing(host: Host) -> None:
    reply = host.get("health")
    assert (reply.status, reply.document) == (200, {"status": "ok"})
    levels = {name: bindings[0].get("authLevel") for name, bindings in host.loaded["functions"].items()}
    assert levels["health"] == "ANONYMOUS"
    assert levels["trigger_update"] == levels["show_run"] == "FUNCTION"


def test_readiness_needs_the_key_and_names_each_part(host: Host, fleet: Fleet) -> None:
    messages = depth_of(fleet)  # this creates the queues
    reply = host.get("ready")
    assert host.loaded["functions"]["ready"][0]["authLevel"] == "FUNCTION"
    assert (reply.status, reply.document["status"]) == (200, "ready")
    assert {name: part["state"] for name, part in reply.document["parts"].items()} == {
        "database": "ok",
        "queue": "ok",
        "lake": "ok",
    }
    assert reply.document["parts"]["queue"]["messages"] == messages


@pytest.mark.parametrize("away", ["state", "lake", "settings"])
def test_an_outage_is_reported_without_a_secret(fleet: Fleet, hosts: Hosts, away: str) -> None:
    account = fleet.settings["AZURE_STORAGE_CONNECTION_STRING"]
    no_state = {"QUANTX_STATE_URL": f"postgresql://ops:{CANARY}@127.0.0.1:1/quantx"}
    no_blobs = re.sub(r"BlobEndpoint=http://[^/]*", "BlobEndpoint=http://127.0.0.1:1", account)
    instead, status = {
        "state": (no_state, 503),
        "lake": ({"AZURE_STORAGE_CONNECTION_STRING": no_blobs}, 503),
        "settings": ({"QUANTX_MAX_WORKERS": CANARY, **no_state}, 500),
    }[away]
    key = re.search(r"AccountKey=([^;]+)", account)
    assert key is not None
    depth_of(fleet)  # this creates the queues
    with hosts(**{**fleet.settings, **instead}) as cut_off:
        reply = cut_off.post({"symbols": ["AAPL"]})
        assert_problem(reply, status)
        assert ("Retry-After" in reply.headers) is (status == 503)
        ready = cut_off.get("ready")
        assert ready.status == status
        if status == 503:
            failed = {name for name, part in ready.document["parts"].items() if part["state"] != "ok"}
            assert failed == {{"state": "database"}.get(away, away)}
        (fired,) = cut_off.fires("daily_update")
        assert not fired["ok"], "the host tries again, and counts the failure"
        for text in (reply.text, ready.text, cut_off.log_text(), json.dumps(fired)):
            assert CANARY not in text
            assert key[1] not in text
        assert cut_off.get("health").status == 200
