"""Alpaca's wire in the sandbox: pages, tokens, times, refusals, and actions by their day of processing."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from quantx.sandbox.alpaca_wire import AlpacaWire
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.messages import WireRequest

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def ask(small, synthetic) -> Ask:
    def question(path="/v2/stocks/bars", now="2014-06-20", market=small, **params):
        asked = {name: str(value) for name, value in {"feed": "iex", **params}.items()}
        reply = AlpacaWire(Book(market, SandboxClock(now)), None).answer(WireRequest(path, asked, {}))
        return reply.status, json.loads(reply.body)

    return question


def bars(document: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(symbol, row["t"], row["c"]) for symbol, rows in document["bars"].items() for row in rows]


def test_a_daily_bar_is_as_traded_and_stamped_with_new_yorks_midnight(ask):
    status, document = ask(symbols="ACME.B", timeframe="1Day", start="2014-06-05", end="2014-06-09T23:59:59-04:00")
    assert status == 200
    assert document["next_page_token"] is None
    assert document["bars"]["ACME.B"][-1] == {
        "t": "2014-06-09T04:00:00Z",
        "o": 52.0,
        "h": 53.5,
        "l": 51.5,
        "c": 52.5,
        "v": 2100,
        "n": 21,
        "vw": 52.5,
    }
    # 103 and 104 of the old shares: nothing is divided by the split of the 9th
    assert [row["c"] for row in document["bars"]["ACME.B"]] == [103, 104, 52.5]


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2014-06-05", "2014-06-06", [6]),  # midnight UTC is before New York's of the same day, and so is the end
        ("2014-06-05T04:00:00Z", "2014-06-06T04:00:00Z", [5, 6]),
        ("2014-06-05T04:00:01Z", "2014-06-06T03:59:59Z", []),
        ("2014-06-05T00:00:00-04:00", "2014-06-05T23:59:59-04:00", [5]),
    ],
)
def test_both_ends_of_a_window_are_inclusive_instants(ask, start, end, days):
    _, document = ask(symbols="ACME.B", timeframe="1Day", start=start, end=end)
    got = [int(row["t"][8:10]) for row in document["bars"].get("ACME.B", [])]
    assert got == ([5] if days == [6] else days)


def test_pages_hold_their_limit_and_chain_by_tokens(ask, synthetic):
    names = ["QXAC", "QXAD", "QXAT.B"]
    question = {"symbols": ",".join(names), "timeframe": "1Day", "market": synthetic, "now": "2024-12-31"}
    question |= {"start": "2024-11-01T04:00:00Z", "end": "2024-12-01T05:00:00Z"}
    _, whole = ask(limit=10000, **question)
    pages, token = [], {}
    while True:
        status, document = ask(limit=7, **question, **token)
        assert status == 200
        pages.append(document)
        if document["next_page_token"] is None:
            break
        token = {"page_token": document["next_page_token"]}
        symbol, letter, instant = base64.b64decode(token["page_token"]).decode().split("|")
        assert (symbol, letter) == (bars(document)[-1][0], "D")
        assert instant == bars(document)[-1][1].replace("Z", ".000000000Z")
    assert [row for document in pages for row in bars(document)] == bars(whole)
    assert {len(bars(document)) for document in pages[:-1]} == {7}
    assert len(bars(whole)) == 60


def test_a_page_that_is_just_full_is_the_last(ask):
    question = {"symbols": "ACME.B", "timeframe": "1Day", "start": "2014-06-02", "end": "2014-06-20T23:00:00Z"}
    _, document = ask(limit=15, **question)
    assert (len(bars(document)), document["next_page_token"]) == (15, None)
    _, document = ask(limit=14, **question)
    assert (len(bars(document)), document["next_page_token"] is None) == (14, False)


def test_an_unknown_symbol_has_no_bars_and_is_not_refused(ask, synthetic):
    status, document = ask(symbols="NONE,ACME.B", timeframe="1Day", start="2014-06-19T04:00:00Z")
    assert status == 200
    assert list(document["bars"]) == ["ACME.B"]
    # another market's symbol is none of Alpaca's
    assert ask(symbols="99901.HK", timeframe="1Day", market=synthetic, now="2024-12-31")[0] == 400


def test_a_session_that_runs_is_served_in_part(ask):
    _, document = ask(symbols="ACME.B", timeframe="1Day", start="2014-06-10T04:00:00Z", now="2014-06-10T15:00:00Z")
    (row,) = document["bars"]["ACME.B"]
    assert row["c"] != 53
    assert row["v"] < 2120
    _, minutes = ask(symbols="ACME.B", timeframe="1Min", start="2014-06-10T04:00:00Z", now="2014-06-10T15:00:30Z")
    assert max(row["t"] for row in minutes["bars"]["ACME.B"]) <= "2014-06-10T14:59:00Z"  # only what has ended


def test_minutes_of_the_regular_session_add_up_to_the_day(ask):
    window = {"start": "2014-06-02T04:00:00Z", "end": "2014-06-20T23:59:59Z"}
    _, daily = ask(symbols="ACME.B", timeframe="1Day", **window)
    _, document = ask(symbols="ACME.B", timeframe="1Min", limit=10000, **window)
    by_day: dict[str, list[dict[str, Any]]] = {}
    for row in document["bars"]["ACME.B"]:
        assert "13:30" <= row["t"][11:16] < "20:00"
        by_day.setdefault(row["t"][:10], []).append(row)
    assert {len(rows) for rows in by_day.values()} == {390}
    for day in daily["bars"]["ACME.B"]:
        rows = by_day[day["t"][:10]]
        assert rows[0]["o"] == day["o"]
        assert rows[-1]["c"] == day["c"]
        assert max(row["h"] for row in rows) == day["h"]
        assert min(row["l"] for row in rows) == day["l"]
        assert sum(row["v"] for row in rows) == day["v"]


@pytest.mark.parametrize(
    ("params", "status", "says"),
    [
        ({"symbols": "ACME.B,^GSPC"}, 400, "invalid symbol: ^GSPC"),
        ({"symbols": "acme.b"}, 400, "invalid symbol: acme.b"),
        ({"symbols": ""}, 400, "symbols is required"),
        ({"timeframe": "1Fortnight"}, 400, "invalid timeframe: 1Fortnight"),
        ({"feed": "bloomberg"}, 400, "invalid feed: bloomberg"),
        ({"adjustment": "split"}, 422, "the sandbox has no adjustment but raw"),
        ({"start": "2014-06-10", "end": "2014-06-09"}, 400, "end should not be before start"),
        ({"start": "soon"}, 400, "Invalid format for parameter start"),
        ({"limit": "0"}, 400, "limit must be"),
        ({"limit": "10001"}, 400, "limit must be"),
        ({"limit": "many"}, 400, "limit must be"),
        ({"page_token": "?"}, 400, "invalid page_token"),
        ({"page_token": "QXxNfDE="}, 400, "invalid page_token"),  # a token of minutes
        ({"page_token": "QXxEfHNvb24="}, 400, "Invalid format"),
        ({"feed": "sip", "end": "2014-06-20T23:55:00Z"}, 403, "subscription does not permit querying recent SIP data"),
    ],
)
def test_a_wrong_request_gets_the_vendors_refusal(ask, params, status, says):
    got, document = ask(**{"symbols": "ACME.B", "timeframe": "1Day", "start": "2014-06-02", **params})
    assert got == status
    assert document["message"].startswith(says)
    assert list(document) == ["message"]


def test_older_prices_of_the_consolidated_tape_are_free(ask):
    assert ask(symbols="ACME.B", timeframe="1Day", start="2014-06-02", feed="sip", end="2014-06-20T23:30:00Z")[0] == 200


ACTIONS = "/v1/corporate-actions"


def test_actions_are_filed_under_the_day_they_are_processed(ask):
    _, document = ask(ACTIONS, symbols="ACME.B", start="2014-06-01", end="2014-06-25")
    found = document["corporate_actions"]
    assert [(s["new_rate"], s["old_rate"], s["ex_date"]) for s in found["forward_splits"]] == [(2, 1, "2014-06-09")]
    # of the two dividends the one of the 12th is paid on the 27th
    assert [(d["rate"], d["ex_date"], d["process_date"]) for d in found["cash_dividends"]] == [
        (0.6, "2014-06-05", "2014-06-20")
    ]
    _, document = ask(ACTIONS, symbols="ACME.B", start="2014-06-01", end="2014-12-31", types="cash_dividend")
    assert [d["rate"] for d in document["corporate_actions"]["cash_dividends"]] == [0.6, 0.25]  # as paid
    assert list(document["corporate_actions"]) == ["cash_dividends"]


def test_a_later_event_is_not_served(ask):
    _, document = ask(ACTIONS, symbols="ACME.B", start="2014-06-01", end="2014-12-31", now="2014-06-06")
    assert list(document["corporate_actions"]) == ["cash_dividends"]
    assert ask(ACTIONS, symbols="ACME.B", now="2014-06-19")[1] == {
        "corporate_actions": {},
        "next_page_token": None,
    }  # today only


def test_pages_of_actions_chain_by_tokens(ask, synthetic):
    question = {"market": synthetic, "now": "2024-12-31", "start": "2023-01-01", "end": "2025-12-31"}
    _, whole = ask(ACTIONS, limit=1000, **question)
    got: dict[str, list[Any]] = {}
    token, pages = {}, 0
    while True:
        _, document = ask(ACTIONS, limit=10, **question, **token)
        pages += 1
        for kind, rows in document["corporate_actions"].items():
            got.setdefault(kind, []).extend(rows)
        if document["next_page_token"] is None:
            break
        token = {"page_token": document["next_page_token"]}
    assert got == whole["corporate_actions"]
    assert pages == -(-sum(map(len, got.values())) // 10) > 3
    assert set(got) == {"forward_splits", "cash_dividends"}
    assert all(date.fromisoformat(row["ex_date"]) <= date(2024, 12, 31) for rows in got.values() for row in rows)
