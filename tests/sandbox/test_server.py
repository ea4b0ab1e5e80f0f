"""The sandbox over HTTP: controls, counters, quota, faults, revisions, and a clean end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from quantx.errors import ConfigError
from quantx.sandbox import Sandbox, running
from quantx.sandbox.faults import KINDS, Faults
from quantx.sandbox.quota import RequestQuota

CHART = "/v8/finance/chart/ACME-B"


class Stand(Sandbox):
    """One running server in which each test puts its own sandbox: starting takes longer than asking."""

    occupant: Sandbox

    async def __call__(self, scope, receive, send):
        await self.occupant(scope, receive, send)


@pytest.fixture(scope="module")
def stand(small) -> Iterator[tuple[Stand, str]]:
    stand = Stand(small)
    with running(stand) as url:
        yield stand, url


@pytest.fixture
def client(small, stand) -> Callable[..., Iterator[httpx.Client]]:
    """A client of a sandbox with the options given."""

    @contextmanager
    def connect(**options):
        stand[0].occupant = Sandbox(small, **{"now": "2014-06-20", **options})
        with httpx.Client(base_url=stand[1]) as http:
            yield http

    return connect


def test_a_chart_comes_with_the_clocks_date(client):
    with client() as http:
        reply = http.get(CHART, params={"range": "5d", "interval": "1d"})
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json;charset=utf-8")
        assert reply.headers.get_list("date") == ["Fri, 20 Jun 2014 23:59:59 GMT"]
        assert len(reply.json()["chart"]["result"][0]["timestamp"]) == 5


def test_a_percent_encoded_or_small_lettered_symbol_is_the_same(client):
    with client() as http:
        assert http.get("/v8/finance/chart/acme%2Db").status_code == 200
        assert http.get("/v8/finance/chart/%5EGSPC").status_code == 404
        assert http.get("/_sandbox/stats").json()["by_symbol"] == {"ACME-B": 1, "^GSPC": 1}


def test_the_clock_is_moved_by_post(client):
    with client() as http:
        assert http.post("/_sandbox/now", json={"now": "2014-06-06"}).json() == {"now": "2014-06-06T23:59:59+00:00"}
        result = http.get(CHART, params={"range": "1d"}).json()["chart"]["result"][0]
        assert result["indicators"]["quote"][0]["close"] == [104]
        assert http.get("/_sandbox/now").json() == {"now": "2014-06-06T23:59:59+00:00"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"now": 5}', b'{"now": "soon"}', b"\xff"])
def test_a_bad_time_is_refused_and_changes_nothing(client, body):
    with client() as http:
        reply = http.post("/_sandbox/now", content=body)
        assert reply.status_code == 400
        assert reply.json()["error"]
        assert http.get("/_sandbox/now").json() == {"now": "2014-06-20T23:59:59+00:00"}


def test_stats_count_vendor_requests_only(client):
    with client() as http:
        handshake = http.get("/")
        assert (handshake.status_code, handshake.headers["set-cookie"].split("=")[0]) == (404, "A3")
        assert http.get("/v1/test/getcrumb").text
        http.get(CHART)
        http.get("/v8/finance/chart/NOPE")
        http.get("/v7/finance/quote")
        stats = http.get("/_sandbox/stats").json()
        assert stats == {
            "total": 3,
            "by_path": {CHART: 1, "/v8/finance/chart/NOPE": 1, "/v7/finance/quote": 1},
            "by_symbol": {"ACME-B": 1, "NOPE": 1},
            "by_status": {"200": 1, "404": 2},
            "by_vendor": {
                "yahoo": {
                    "total": 2,
                    "by_symbol": {"ACME-B": 1, "NOPE": 1},
                    "by_status": {"200": 1, "404": 1},
                }
            },
            "handshake": 2,
            "market": "files",
            "now": "2014-06-20T23:59:59+00:00",
        }


def test_unknown_controls_are_said_to_be_unknown(client):
    with client() as http:
        assert http.get("/_sandbox/nothing").status_code == 404
        assert http.get("/_sandbox/revise").status_code == 404


def test_beyond_the_quota_the_door_is_shut(client):
    with client(quota="3/min") as http:
        replies = [http.get(CHART) for _ in range(5)]
        assert [r.status_code for r in replies] == [200, 200, 200, 429, 429]
        assert replies[-1].text == "Edge: Too Many Requests"
        assert "retry-after" not in replies[-1].headers
        assert http.get("/v1/test/getcrumb").status_code == 200
        assert http.get("/_sandbox/stats").json()["by_status"] == {"200": 3, "429": 2}


def test_a_quota_slides():
    now = [0.0]
    quota = RequestQuota("2/s", lambda: now[0])
    admitted = []
    for now[0] in (0.0, 0.6, 0.9, 1.0, 1.5, 1.6):
        admitted.append(quota.admits())
    assert admitted == [True, True, False, True, False, True]


@pytest.mark.parametrize("spec", ["5", "0/s", "-1/s", "5/day", "1.5/s", "s/5", ""])
def test_a_quota_that_is_none_is_refused(spec):
    with pytest.raises(ConfigError, match="quota"):
        RequestQuota(spec)


@pytest.mark.parametrize(
    ("kind", "status", "part"),
    [
        ("429", 429, b"Edge: Too Many Requests"),
        ("500", 500, b'"code":"Internal Server Error"'),
        ("502", 502, b"Will be right back..."),
        ("401", 401, b'"Invalid cookie"'),
        ("html", 200, b"<html"),
        ("delisted", 404, b"symbol may be delisted"),
        ("empty", 200, b'"quote":[{}]'),
    ],
)
def test_a_fault_replaces_the_reply(client, kind, status, part):
    with client(faults=[f"{kind}=1"]) as http:
        reply = http.get(CHART)
        assert reply.status_code == status
        assert part in reply.content
        assert http.get("/_sandbox/stats").json()["by_status"] == {str(status): 1}


def test_broken_bodies_are_no_json(client):
    with client(faults=["truncated=1"]) as http:
        reply = http.get(CHART)
        assert int(reply.headers["content-length"]) == len(reply.content)
        assert reply.content.startswith(b'{"chart"')
        with pytest.raises(ValueError):
            reply.json()
        http.post("/_sandbox/fault", json={"kind": "truncated", "rate": 0})
        http.post("/_sandbox/fault", json={"kind": "garbage", "rate": 1})
        with pytest.raises(ValueError):
            http.get(CHART).json()


def test_a_reset_ends_the_connection_without_an_answer(client, caplog):
    with client(faults=["reset=1"]) as http:
        with pytest.raises(httpx.TransportError):
            http.get(CHART)
        assert http.get("/_sandbox/stats").json()["by_status"] == {"none": 1}
    assert not caplog.records


def test_a_timeout_says_nothing(client):
    with client(faults=["timeout=1"]) as http:
        with pytest.raises(httpx.ReadTimeout):
            http.get(CHART, timeout=0.3)
        assert http.get("/_sandbox/stats").json()["by_status"] == {"none": 1}


def test_another_symbols_data_bear_the_other_symbol(synthetic):
    with running(Sandbox(synthetic, now="2024-12-31", faults=["othersymbol=1"])) as url:
        reply = httpx.get(f"{url}/v8/finance/chart/QXAC").json()
        assert reply["chart"]["result"][0]["meta"]["symbol"] == "QXAD"


def test_faults_are_switched_while_it_runs(client):
    with client() as http:
        assert http.post("/_sandbox/fault", json={"kind": "502", "rate": 1}).json() == {"faults": {"502": 1.0}}
        assert http.get(CHART).status_code == 502
        http.post("/_sandbox/fault", json={"kind": "502", "rate": 0})
        assert http.get(CHART).status_code == 200
        assert http.post("/_sandbox/fault", json={"kind": "gremlin", "rate": 1}).status_code == 400


def test_faults_hit_at_their_rates_and_repeat_with_the_seed():
    draws = [[Faults(["429=0.1", "500=0.2"], seed).draw() for _ in range(1)] for seed in (1, 1)]
    assert draws[0] == draws[1]
    faults = Faults(["429=0.1", "500=0.2"], seed=3)
    drawn = [faults.draw() for _ in range(4000)]
    assert drawn.count("429") == pytest.approx(400, rel=0.2)
    assert drawn.count("500") == pytest.approx(800, rel=0.2)


@pytest.mark.parametrize("spec", ["429", "gremlin=0.1", "429=2", "429=-1", "429=often", "429=nan", "=1"])
def test_a_fault_that_is_none_is_refused(spec):
    with pytest.raises(ConfigError):
        Faults([spec])


def test_an_unknown_fault_is_told_what_there_is():
    with pytest.raises(ConfigError, match="othersymbol") as refused:
        Faults(["gremlin=0.1"])
    assert all(kind in str(refused.value) for kind in KINDS)


def test_faults_that_exceed_all_requests_are_refused():
    with pytest.raises(ConfigError, match="together"):
        Faults(["429=0.6", "500=0.6"])


def test_a_revision_replaces_a_value_as_traded(client):
    close = {"symbol": "ACME.B", "date": "2014-06-06", "field": "close", "value": 103.5}
    with client(revisions=["ACME.B:2014-06-05:volume:5000"]) as http:
        quote = http.get(CHART).json()
        before = http.get(CHART, params={"range": "max"}).json()["chart"]["result"][0]["indicators"]["quote"][0]
        assert (before["volume"][3], before["close"][4]) == (10_000, 52)
        assert http.post("/_sandbox/revise", json=close).status_code == 200
        after = http.get(CHART, params={"range": "max"}).json()["chart"]["result"][0]["indicators"]["quote"][0]
        assert after["close"][4] == 51.75
        assert after["volume"] == before["volume"]
        assert quote["chart"]["error"] is None


@pytest.mark.parametrize(
    "spec",
    [
        "ACME.B:2014-06-06:close",
        "ACME.B:2014-06-06:adjclose:1",
        "ACME.B:2014-06-07:close:1",
        "ACME.B:june:close:1",
        "ACME.B:2014-06-06:close:dear",
        "NOPE:2014-06-06:close:1",
        "../x:2014-06-06:close:1",
    ],
)
def test_a_revision_that_is_none_is_refused(small, spec):
    with pytest.raises(ConfigError):
        Sandbox(small, now="2014-06-20", revisions=[spec])


def test_a_revision_leaves_the_market_as_it_was(small):
    Sandbox(small, now="2014-06-20", revisions=["ACME.B:2014-06-06:close:1"])
    assert small.as_traded("ACME.B")["close"][4] == 104


def test_latency_is_added(client):
    with client(latency=0.2) as http:
        started = time.monotonic()
        http.get(CHART)
        assert time.monotonic() - started >= 0.2


def test_a_port_in_use_is_a_configuration_error(small):
    with running(Sandbox(small)) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}"), running(Sandbox(small), port=port):
            pass


def test_the_thread_ends_with_the_block(small):
    before = threading.active_count()
    with running(Sandbox(small, faults=["timeout=1"])) as url, pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{url}{CHART}", timeout=0.2)
    assert threading.active_count() <= before
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}{CHART}")


SERVE = """
from quantx.sandbox import Market, Sandbox, serve
from quantx.sandbox.recordings import Recording, Recordings
from quantx.sandbox.messages import WireReply
recorded = Recordings([Recording("ACME", "1d", {}, WireReply(200, b"recorded"))])
serve(Sandbox(Market("recorded", recordings=recorded)), on_ready=lambda url: print(url, flush=True))
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_returns(number):
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = next(line.strip() for line in iter(process.stdout.readline, "") if line.startswith("http://"))
        assert httpx.get(f"{url}/v8/finance/chart/ACME").text == "recorded"
        process.send_signal(number)
        out, errors = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert out.splitlines()[-1] == "ended"
    assert "Traceback" not in errors


def test_a_large_control_body_is_refused(client):
    with client() as http:
        assert http.post("/_sandbox/now", content=json.dumps({"now": "x" * 200_000})).status_code == 400
