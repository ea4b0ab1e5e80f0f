"""Several vendors in one sandbox: the wire of each path, and faults, quotas, keys and counts of one of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from quantx.errors import ConfigError
from quantx.sandbox import Sandbox, running
from quantx.sandbox.app import WIRES
from quantx.sandbox.faults import KINDS, Faults

YAHOO, ALPACA = "/v8/finance/chart/ACME-B?range=5d", "/v2/stocks/bars?symbols=ACME.B,NONE&timeframe=1Day&feed=iex"


@contextmanager
def client(market, **options) -> Iterator[httpx.Client]:
    with running(Sandbox(market, now="2014-06-20", **options)) as url, httpx.Client(base_url=url) as http:
        yield http


def test_each_path_has_one_vendor(small):
    played = Sandbox(small)
    for path in ("/v8/finance/chart/A", "/v2/stocks/bars", "/v1/corporate-actions"):
        assert sum(wire.handles(path) for wire in played.wires) == 1
    for path in ("/", "/v7/finance/quote", "/v2/stocks/trades", "/_sandbox/stats"):
        assert not any(wire.handles(path) for wire in played.wires)
    assert len({wire.source for wire in WIRES}) == len(WIRES)


def test_counts_are_told_apart(small):
    with client(small) as http:
        http.get(YAHOO)
        http.get(ALPACA)
        http.get(ALPACA)
        http.get("/v7/finance/quote")
        stats = http.get("/_sandbox/stats").json()
    assert stats["total"] == 4
    assert stats["by_path"] == {"/v8/finance/chart/ACME-B": 1, "/v2/stocks/bars": 2, "/v7/finance/quote": 1}
    assert stats["by_symbol"] == {"ACME-B": 1, "ACME.B": 2, "NONE": 2}
    assert stats["by_vendor"] == {
        "yahoo": {"total": 1, "by_symbol": {"ACME-B": 1}, "by_status": {"200": 1}},
        "alpaca": {"total": 2, "by_symbol": {"ACME.B": 2, "NONE": 2}, "by_status": {"200": 2}},
    }


def test_one_vendor_fails_in_the_middle_and_comes_back(small):
    with client(small) as http:
        told = http.post("/_sandbox/fault", json={"kind": "alpaca:502", "rate": 1}).json()
        assert told == {"faults": {"alpaca:502": 1.0}}
        assert [http.get(path).status_code for path in (YAHOO, ALPACA)] == [200, 502]
        http.post("/_sandbox/fault", json={"kind": "alpaca:502", "rate": 0})
        assert [http.get(path).status_code for path in (YAHOO, ALPACA)] == [200, 200]


def test_a_fault_of_nobody_in_particular_is_everybodys(small):
    with client(small, faults=["500=1"]) as http:
        replies = [http.get(path) for path in (YAHOO, ALPACA)]
    assert [reply.status_code for reply in replies] == [500, 500]
    assert replies[0].json()["chart"]["error"]["code"] == "Internal Server Error"
    assert replies[1].json() == {"message": "internal server error occurred"}


def test_a_quota_is_of_each_vendor_or_of_one(small):
    with client(small, quota=["2/min", "alpaca:1/min"]) as http:
        assert [http.get(YAHOO).status_code for _ in range(3)] == [200, 200, 429]
        refused = [http.get(ALPACA) for _ in range(2)][1]
    assert refused.status_code == 429
    assert refused.json() == {"message": "too many requests."}
    assert refused.headers["x-ratelimit-remaining"] == "0"


def test_a_key_is_wanted_where_one_is_named(small):
    with client(small, keys=["alpaca=ID:SECRET"]) as http:
        assert http.get(YAHOO).status_code == 200
        assert (http.get(ALPACA).status_code, http.get(ALPACA).json()) == (401, {"message": "unauthorized."})
        wrong = http.get(ALPACA, headers={"APCA-API-KEY-ID": "ID", "APCA-API-SECRET-KEY": "else"})
        assert (wrong.status_code, wrong.json()) == (403, {"message": "forbidden."})
        right = http.get(ALPACA, headers={"APCA-API-KEY-ID": "ID", "APCA-API-SECRET-KEY": "SECRET"})
        assert right.status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        {"keys": ["alpaca"]},
        {"keys": ["bloomberg=KEY"]},
        {"quota": ["bloomberg:2/s"]},
        {"quota": "alpaca:often"},
        {"faults": ["bloomberg:500=1"]},
        {"faults": ["alpaca:gremlin=1"]},
        {"faults": ["alpaca:500=0.6", "429=0.6"]},
    ],
)
def test_what_names_nobody_or_nothing_is_refused(small, options):
    with pytest.raises(ConfigError):
        Sandbox(small, **options)


def test_rates_add_up_for_each_vendor_apart():
    faults = Faults(["yahoo:500=0.9", "alpaca:429=0.9"], vendors=("yahoo", "alpaca"))
    drawn = [faults.draw(vendor) for vendor in ("yahoo", "alpaca") * 200]
    assert set(drawn[::2]) == {"500", None}
    assert set(drawn[1::2]) == {"429", None}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("timeout", "reset")])
@pytest.mark.parametrize("path", [ALPACA, "/v1/corporate-actions?symbols=ACME.B&start=2014-06-02"])
def test_alpaca_has_words_for_every_fault(small, kind, path):
    with client(small, faults=[f"alpaca:{kind}=1"]) as http:
        good = httpx.Response(200) if kind == "othersymbol" else http.get(path)
    assert good.status_code == {"429": 429, "500": 500, "502": 502, "401": 401, "delisted": 400}.get(kind, 200)
