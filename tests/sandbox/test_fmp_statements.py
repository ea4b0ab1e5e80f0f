"""FMP's statements in the sandbox: made of the facts of a filer, as FMP sends them, and read by the adapter."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from quantx.core.model import Payload
from quantx.providers.fmp import Fmp
from quantx.providers.fmp_statements import BALANCE, CASH_FLOW, INCOME
from quantx.sandbox import Market
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.filers import Download, Filer, Filers
from quantx.sandbox.fmp_wire import FmpWire
from quantx.sandbox.messages import WireRequest

FIRST, LAST = "2023-01-01", "2023-12-31"


def fact(end: str, value: float, filed: str, start: str | None = None, form: str = "10-Q") -> dict[str, Any]:
    row = {
        "end": end,
        "val": value,
        "accn": f"0000000001-{filed[2:4]}-{filed[5:7]}{filed[8:]}00",
        "fy": 2023,
        "fp": "FY",
    }
    return row | {"form": form, "filed": filed} | ({} if start is None else {"start": start})


FACTS = {
    "Revenues": [
        fact("2023-03-31", 100, "2023-05-01", FIRST),
        fact("2023-06-30", 230, "2023-08-01", FIRST),
        fact("2023-09-30", 360, "2023-11-01", FIRST),
        fact(LAST, 500, "2024-02-15", FIRST, "10-K"),
        fact(LAST, 510, "2025-02-15", FIRST, "10-K"),
    ],
    "Assets": [fact(LAST, 1000, "2024-02-15", form="10-K")],
    "PaymentsToAcquirePropertyPlantAndEquipment": [fact(LAST, 50, "2024-02-15", FIRST, "10-K")],
}


@pytest.fixture
def market(small: Market) -> Market:
    tags = {tag: {"label": tag, "units": {"USD": rows}} for tag, rows in FACTS.items()}
    document = {"cik": 1, "entityName": "Acme", "facts": {"us-gaap": tags}}
    filers = Filers(lambda: {1: Filer(1, facts=[Download(date(1970, 1, 1), document)])})
    filers.listed = [{"cik_str": 1, "ticker": "ACME-B", "title": "Acme"}]
    return replace(small, filers=filers)


def ask(
    market: Market, now: str, path: str, period: str, symbol: str = "ACME-B", **params: str
) -> list[dict[str, Any]]:
    wire = FmpWire(Book(market, SandboxClock(now)), None)
    reply = wire.answer(WireRequest(path, {"symbol": symbol, "period": period, **params}, {}))
    assert reply.status == 200
    return list(json.loads(reply.body))


def test_quarters_are_discrete_and_the_newest_comes_first(market: Market) -> None:
    rows = ask(market, "2024-06-01", INCOME, "quarter")
    assert [(row["period"], row["fiscalYear"], row["date"], row["revenue"]) for row in rows] == [
        ("Q4", "2023", LAST, 140),
        ("Q3", "2023", "2023-09-30", 130),
        ("Q2", "2023", "2023-06-30", 130),
        ("Q1", "2023", "2023-03-31", 100),
    ]
    assert rows[0]["acceptedDate"] == "2024-02-15 16:30:00"
    assert rows[0]["costOfRevenue"] == 0  # as FMP: it has no value
    assert len(ask(market, "2024-06-01", INCOME, "quarter", limit="2")) == 2


def test_statements_appear_when_they_were_filed_and_are_restated_later(market: Market) -> None:
    assert [row["date"] for row in ask(market, "2023-06-01", INCOME, "quarter")] == ["2023-03-31"]
    assert ask(market, "2024-02-14", INCOME, "annual") == []
    assert [row["revenue"] for row in ask(market, "2024-06-01", INCOME, "annual")] == [500]
    restated = ask(market, "2025-06-01", INCOME, "annual")
    assert [(row["revenue"], row["filingDate"]) for row in restated] == [(510, "2024-02-15")]
    assert ask(market, "2024-06-01", INCOME, "annual", symbol="NONE") == []


def test_the_adapter_reads_them(market: Market) -> None:
    adapter = Fmp(None, SandboxClock("2024-06-01"))  # type: ignore[arg-type]  # reading needs no session
    found = {}
    for path in (BALANCE, CASH_FLOW):
        body = json.dumps(ask(market, "2024-06-01", path, "annual")).encode()
        request = f"https://financialmodelingprep.com{path}?symbol=ACME-B"
        now = SandboxClock("2024-06-01").now()
        payload = Payload("ACME.B", request, 200, now, content_type="application/json", body=body)
        found |= dict(adapter.normalize_facts(payload).facts.select("tag", "value").iter_rows())
    assert found == {"totalAssets": 1000.0, "capitalExpenditure": -50.0}
