"""Requests to Yahoo over real HTTP: their number and parameters, and the error of each refusal."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time
import tracemalloc
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.model import Payload, Window
from quantx.errors import (
    MalformedPayload,
    ProviderError,
    RateLimited,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.providers.http import retry_after
from quantx.providers.yahoo import Yahoo
from quantx.providers.yahoo_session import YahooSession
from quantx.sandbox import Sandbox, load_market, running

from ..market_data import either
from .conftest import DATE, NOW, WINDOW, Answer, StoppedClock, StubYahoo, chart

OUTAGE = b"<html><head><title>Yahoo</title></head><body><h1>Will be right back...</h1></body></html>"
PAGE = b"<!doctype html><html><body>Loading...</body></html>"
DELISTED = (
    b'{"chart":{"result":null,"error":{"code":"Not Found","description":"No data found, symbol may be delisted"}}}'
)
NO_DATA = (
    b'{"chart":{"result":null,"error":{"code":"Bad Request","description":'
    b'"Data doesn\'t exist for startDate = 1577836800, endDate = 1578009600"}}}'
)
INTERNAL = b'{"chart":{"result":null,"error":{"code":"Internal Server Error","description":"Internal Server Error"}}}'
SLOW_DOWN = b'{"chart":{"result":null,"error":{"code":"Too Many Requests","description":"Too Many Requests"}}}'
COOKIE = b'{"finance":{"result":null,"error":{"code":"Unauthorized","description":"Invalid Cookie"}}}'
EDGE = b"Edge: Too Many Requests"
HTML = {"Content-Type": "text/html;charset=UTF-8"}
CUT = Answer(cut=True)


def always(answer: Answer) -> Callable[[object], Answer]:
    return lambda asked: answer


def replies(*answers: Answer) -> Callable[[object], Answer]:
    """One after the other; the last for ever."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


# ------------------------------------------------------------------------------------------------------- the question


def test_a_symbol_never_seen_costs_one_request(stub: StubYahoo, yahoo: Yahoo) -> None:
    for count, symbol in enumerate(("AAPL", "0700.HK", "285A.T", "ASML.AS", "^GSPC", "BRK.B"), start=1):
        assert len(yahoo.normalize(yahoo.chart(symbol, WINDOW)).bars) == 5
        assert len(stub.charts) == count
    assert [asked.symbol for asked in stub.charts] == ["AAPL", "0700.HK", "285A.T", "ASML.AS", "^GSPC", "BRK-B"]
    assert stub.handshakes == ["/", "/v1/test/getcrumb"]
    assert stub.strays == []


def test_it_asks_from_ten_days_before_the_window_to_now(stub: StubYahoo, yahoo: Yahoo) -> None:
    for symbol, midnight in (
        ("AAPL", "2024-01-22T05:00"),
        ("7203.T", "2024-01-21T15:00"),
        ("OCDO.L", "2024-01-22T00:00"),
    ):
        yahoo.chart(symbol, WINDOW)
        params = stub.charts[-1].params
        assert int(params["period1"]) == datetime.fromisoformat(midnight).replace(tzinfo=UTC).timestamp()
        # to the present, not to the window's end: a later split divides these bars, too, and must be named
        assert int(params["period2"]) == (NOW + timedelta(days=1)).timestamp()
        assert params["interval"] == "1d"
        assert params["includePrePost"] == "false"
        assert params["events"] == "div,splits,capitalGains"


@pytest.mark.parametrize("start", [date(1, 1, 1), date(1927, 12, 30), date(1969, 12, 31)])
def test_a_window_may_begin_before_computers_did(stub: StubYahoo, yahoo: Yahoo, start: date) -> None:
    yahoo.chart("^GSPC", Window(start, date(2024, 3, 7)))
    assert int(stub.charts[0].params["period1"]) < 0


def test_the_payload_is_what_was_sent_to_the_byte(stub: StubYahoo, yahoo: Yahoo) -> None:
    body = b'\n {"a": "\xc3\xa9\\u0000", ' + chart("^GSPC")[1:] + b"\r\n\t "
    stub.answer = always(Answer(body, headers={"Content-Type": "application/json;charset=utf-8"}))
    payload = yahoo.chart("^GSPC", WINDOW)
    assert payload.body == body
    assert payload.sha256 == hashlib.sha256(body).hexdigest()
    assert payload.content_type == "application/json;charset=utf-8"
    assert (payload.symbol, payload.status, payload.fetched_at) == ("^GSPC", 200, NOW)
    assert payload.vendor_time == datetime(2024, 3, 8, 11, 59, 30, tzinfo=UTC) == payload.as_of
    assert payload.request.startswith(f"{stub.url}/v8/finance/chart/%5EGSPC?period1=")


def test_a_packed_body_is_kept_unpacked(stub: StubYahoo, yahoo: Yahoo) -> None:
    stub.answer = always(Answer(gzip.compress(chart()), headers={"Content-Encoding": "gzip"}))
    assert yahoo.chart("AAPL", WINDOW).body == chart()


def test_the_crumb_is_sent_and_kept_nowhere(stub: StubYahoo, yahoo: Yahoo) -> None:
    payload = yahoo.chart("AAPL", WINDOW)
    assert stub.charts[0].params["crumb"] == "stub/crumb.1"
    assert stub.charts[0].cookie == "A3=stub"
    assert "crumb" not in repr(payload)


def test_a_password_in_the_base_url_is_kept_nowhere(stub: StubYahoo) -> None:
    url = stub.url.replace("http://", "http://user:secret@")
    yahoo = Yahoo(lambda: YahooSession(url + "/"), StoppedClock())
    assert "secret" not in repr(yahoo.chart("AAPL", WINDOW))
    stub.answer = always(CUT)
    with pytest.raises(TransientProviderError) as caught:
        yahoo.chart("AAPL", WINDOW)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "stamp", ["", "yesterday", "Fri, 99 Mar 2024 11:59:30 GMT", "0", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_a_date_that_is_none_is_no_evidence(stub: StubYahoo, yahoo: Yahoo, stamp: str) -> None:
    stub.answer = always(Answer(chart(), headers={"Date": stamp}))
    payload = yahoo.chart("AAPL", WINDOW)
    assert payload.vendor_time is None
    assert payload.as_of == NOW


def test_eight_threads_ask_at_the_same_time(stub: StubYahoo, yahoo: Yahoo) -> None:
    stub.answer = lambda asked: Answer(chart(asked.symbol), delay=0.15)
    symbols = [f"A{letter}{other}" for letter in "ABCDEF" for other in "ABCDEFGH"]
    with ThreadPoolExecutor(8) as pool:
        payloads = list(pool.map(lambda symbol: yahoo.chart(symbol, WINDOW), symbols))
    assert [payload.symbol for payload in payloads] == symbols
    for payload in payloads:
        yahoo.normalize(payload)  # refuses another symbol's data
    assert Counter(asked.symbol for asked in stub.charts) == Counter(symbols)
    assert stub.most_at_once > 2
    assert stub.handshakes == ["/", "/v1/test/getcrumb"]


def test_threads_that_begin_together_open_one_session(stub: StubYahoo) -> None:
    opened = []

    def session() -> YahooSession:
        opened.append(threading.get_ident())
        time.sleep(0.05)  # as long as an import takes
        return YahooSession(stub.url)

    yahoo = Yahoo(session, StoppedClock())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda symbol: yahoo.chart(symbol, WINDOW), ["AAPL"] * 8))
    assert len(opened) == 1


# ------------------------------------------------------------------------------------------------------ the handshake

BAD_HANDSHAKES = {
    "404": Answer(b"Not Found", 404),
    "429": Answer(EDGE, 429),
    "500": Answer(b"Internal Server Error", 500),
    "HTML": Answer(PAGE, 200, HTML),
    "HTML with 502": Answer(OUTAGE, 502, HTML),
    "JSON": Answer(COOKIE, 401),
    "nothing": Answer(b"", 200),
    "reset": CUT,
    "silence": Answer(delay=4),
    "redirect in a circle": Answer(status=302, headers={"Location": "/"}),
    "bomb": Answer(gzip.compress(b"\0" * 20_000_000, 1), headers={"Content-Encoding": "gzip"}),
    "consent form without a session": Answer(b'<input name="csrfToken" value="x">', 200, HTML),
}


@pytest.mark.parametrize("kind", BAD_HANDSHAKES)
@pytest.mark.parametrize("which", ["cookie", "crumb", "all"])
def test_a_handshake_that_fails_costs_nothing_but_itself(
    stub: StubYahoo, yahoo: Yahoo, hasty: Yahoo, which: str, kind: str
) -> None:
    paths = {"cookie": ["/"], "crumb": ["/v1/test/getcrumb"], "all": list(stub.handshake)}[which]
    stub.handshake |= dict.fromkeys(paths, BAD_HANDSHAKES[kind])
    provider = hasty if kind == "silence" else yahoo
    for _ in range(10):
        assert provider.chart("AAPL", WINDOW).body == chart()
    assert len(stub.charts) == 10
    assert len(stub.handshakes) <= (12 if kind == "redirect in a circle" else 6)
    assert {asked.params.get("crumb") for asked in stub.charts} <= {None, "stub/crumb.1"}


def test_a_cookie_that_expired_is_renewed_within_the_fetch(stub: StubYahoo, yahoo: Yahoo) -> None:
    yahoo.chart("AAPL", WINDOW)
    stub.handshake["/"] = Answer(status=404, headers={"Set-Cookie": "A3=fresh; Path=/"})
    stub.answer = lambda asked: Answer(chart()) if asked.cookie == "A3=fresh" else Answer(COOKIE, 401)
    assert yahoo.chart("AAPL", WINDOW).status == 200
    assert len(stub.charts) == 3
    assert yahoo.chart("AAPL", WINDOW).status == 200
    assert len(stub.charts) == 4


def test_a_storm_of_invalid_cookies_costs_two_requests_each_and_few_handshakes(stub: StubYahoo, yahoo: Yahoo) -> None:
    stub.answer = always(Answer(COOKIE, 401))
    for count in range(1, 11):
        with pytest.raises(TransientProviderError, match="two cookies in a row with 401"):
            yahoo.chart("AAPL", WINDOW)
        assert len(stub.charts) == 2 * count
    assert len(stub.handshakes) <= 8
    stub.answer = always(Answer(chart()))
    assert yahoo.chart("AAPL", WINDOW).body == chart()


# ------------------------------------------------------------------------------------------------------- the refusals

REFUSALS = {
    "429": (Answer(EDGE, 429), RateLimited),
    "429 as a page": (Answer(PAGE, 429, HTML), RateLimited),
    "429 that names a symbol delisted": (Answer(DELISTED, 429), RateLimited),
    "999": (Answer(b"Request denied", 999), RateLimited),
    "rate limit with 200": (Answer(EDGE, 200), RateLimited),
    "rate limit in JSON": (Answer(SLOW_DOWN, 200), RateLimited),
    "500": (Answer(INTERNAL, 500), TransientProviderError),
    "500 in JSON with 200": (Answer(INTERNAL, 200), TransientProviderError),
    "500 that names a symbol delisted": (Answer(DELISTED, 500), TransientProviderError),
    "502 outage": (Answer(OUTAGE, 502, HTML), TransientProviderError),
    "outage with 200": (Answer(OUTAGE, 200, HTML), TransientProviderError),
    "503": (Answer(b"", 503), TransientProviderError),
    "invalid cookie with 200": (Answer(COOKIE, 200), TransientProviderError),
    "invalid cookie with 403": (Answer(COOKIE, 403), TransientProviderError),
    "404": (Answer(DELISTED, 404), UnknownSymbol),
    "404 in JSON with 200": (Answer(DELISTED, 200), UnknownSymbol),
    "404 in text": (Answer(b"404 Not Found: Timestamp data missing.", 404), UnknownSymbol),
    "404 in text with 200": (Answer(b"404 Not Found: No data found, symbol may be delisted"), UnknownSymbol),
    "404 page": (Answer(PAGE, 404, HTML), MalformedPayload),
    "400": (
        Answer(b'{"chart":{"result":null,"error":{"code":"Bad Request","description":"?"}}}', 400),
        TransientProviderError,
    ),
    "page with 200": (Answer(PAGE, 200, HTML), MalformedPayload),
    "page with 403": (Answer(PAGE, 403, HTML), MalformedPayload),
    "chart with 404": (Answer(chart(), 404), MalformedPayload),
    "empty": (Answer(b""), MalformedPayload),
    "empty 204": (Answer(b"", 204), MalformedPayload),
    "half": (Answer(chart()[:300]), MalformedPayload),
    "other symbol": (Answer(chart("MSFT")), MalformedPayload),
    "quarters for days": (Answer(chart(dataGranularity="3mo")), MalformedPayload),
    "UTF-16": (Answer(chart().decode().encode("utf-16")), MalformedPayload),
    "shorter than announced": (
        Answer(chart(), headers={"Content-Length": "99999", "Connection": "close"}),
        TransientProviderError,
    ),
    "not gzip": (Answer(chart(), headers={"Content-Encoding": "gzip"}), TransientProviderError),
    "reset": (CUT, TransientProviderError),
    "silence": (Answer(chart(), delay=4), TransientProviderError),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_a_refusal_means(stub: StubYahoo, yahoo: Yahoo, hasty: Yahoo, kind: str) -> None:
    answer, error = REFUSALS[kind]
    stub.answer = always(answer)
    with pytest.raises(ProviderError) as caught:
        (hasty if kind == "silence" else yahoo).chart("AAPL", WINDOW)
    assert type(caught.value) is error
    # A refusal is not repeated here; that is the queue's business. Only where an idle connection turns out to be dead
    # before any byte came does curl itself send it once more on a new one.
    assert len(stub.charts) == (2 if kind == "reset" else 1)
    assert "crumb" not in str(caught.value)
    if isinstance(caught.value, MalformedPayload):
        evidence = caught.value.payload
        assert (evidence.body, evidence.status, evidence.symbol) == (
            answer.body if answer.status != 204 else b"",
            answer.status,
            "AAPL",
        )


@pytest.mark.parametrize("kind", ["429", "500", "404", "reset", "page with 200"])
def test_an_error_is_not_remembered(stub: StubYahoo, yahoo: Yahoo, kind: str) -> None:
    refusal = REFUSALS[kind][0]
    stub.answer = replies(refusal, Answer(chart())) if kind != "reset" else replies(refusal, refusal, Answer(chart()))
    with pytest.raises(ProviderError):
        yahoo.chart("AAPL", WINDOW)
    asked = len(stub.charts)
    assert yahoo.chart("AAPL", WINDOW).body == chart()
    assert len(stub.charts) == asked + 1


def test_nothing_in_the_window_is_an_answer(stub: StubYahoo, yahoo: Yahoo) -> None:
    stub.answer = always(Answer(NO_DATA, 400))
    payload = yahoo.chart("AAPL", WINDOW)
    assert (payload.status, payload.body) == (400, NO_DATA)
    assert yahoo.normalize(payload).bars.is_empty()
    assert "crumb" not in payload.request


FIRST_TRADE, LAST_TRADE, LONG_AGO = 345479400, 1709845200, 1500000000


@pytest.mark.parametrize(
    ("meta", "believed"),
    [
        ({"firstTradeDate": FIRST_TRADE, "regularMarketTime": LAST_TRADE}, False),
        ({"firstTradeDate": FIRST_TRADE, "regularMarketTime": LONG_AGO}, True),
        ({"firstTradeDate": None, "regularMarketTime": LAST_TRADE}, True),
        ({}, True),
    ],
    ids=["traded in that time", "last trade before", "never traded", "says nothing"],
)
def test_a_reply_without_bars_is_believed_unless_it_names_a_trade(
    stub: StubYahoo, yahoo: Yahoo, meta: dict[str, Any], believed: bool
) -> None:
    document = json.loads(chart("AAPL", **meta))
    result = document["chart"]["result"][0]
    del result["timestamp"]
    result["indicators"] = {"quote": [{}], "adjclose": [{}]}
    stub.answer = always(Answer(json.dumps(document).encode()))
    if believed:
        assert yahoo.normalize(yahoo.chart("AAPL", WINDOW)).bars.is_empty()
    else:
        with pytest.raises(MalformedPayload, match="the time of a trade") as refused:
            yahoo.chart("AAPL", WINDOW)
        assert refused.value.payload.body == json.dumps(document).encode()


def test_a_redirect_is_not_followed(stub: StubYahoo, yahoo: Yahoo) -> None:
    stub.answer = always(Answer(PAGE, 302, {"Location": f"{stub.url}/login?next=chart"}))
    with pytest.raises(TransientProviderError, match=r"302 and a redirect to 127\.0\.0\.1"):
        yahoo.chart("AAPL", WINDOW)
    assert stub.strays == []
    assert len(stub.charts) == 2


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": "Fri, 08 Mar 2024 12:00:30 GMT"}, 60),  # against the vendor's clock, 11:59:30
        ({"Retry-After": DATE}, None),  # no wait at all would be a storm
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1000000000"}, 1e9),
        ({"Retry-After": "9" * 400}, 1e9),
        ({}, None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_rate_limit_says_how_long(stub: StubYahoo, yahoo: Yahoo, headers: dict[str, str], wait: float | None) -> None:
    stub.answer = always(Answer(EDGE, 429, headers))
    with pytest.raises(RateLimited) as caught:
        yahoo.chart("AAPL", WINDOW)
    assert caught.value.retry_after == wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("-5", None),
        ("²", None),
        ("1e3", None),
        ("", None),
        ("Fri, 08 Mar 2024 12:01:00 GMT", 60.0),
        ("Fri, 08 Mar 2024 13:01:00 +0100", 60.0),
        ("Fri, 08 Mar 2024 12:01:00", 60.0),
        ("Fri, 08 Mar 2019 12:01:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40) | st.from_regex(r"\w{3}, \d{1,3} \w{3} \d{1,5} \d\d:\d\d:\d\d [+-]\d{1,6}", fullmatch=True))
def test_retry_after_never_fails(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or seconds >= 0


def test_a_closed_port_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    yahoo = Yahoo(lambda: YahooSession(f"http://127.0.0.1:{port}"), StoppedClock())
    with pytest.raises(TransientProviderError, match=f"can't be reached at http://127.0.0.1:{port}"):
        yahoo.chart("AAPL", WINDOW)


@pytest.mark.parametrize("kind", ["reset", "silence"])
def test_a_host_that_does_not_answer_is_named(stub: StubYahoo, hasty: Yahoo, kind: str) -> None:
    stub.answer = always(REFUSALS[kind][0])
    with pytest.raises(TransientProviderError, match=stub.url):
        hasty.chart("AAPL", WINDOW)


def test_a_bomb_is_not_unpacked(stub: StubYahoo) -> None:
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(b" " * 2**20) for _ in range(200)) + packer.flush()
    assert len(bomb) < 2**20
    yahoo = Yahoo(lambda: YahooSession(stub.url), StoppedClock())
    yahoo.chart("AAPL", WINDOW)
    stub.answer = always(Answer(bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(MalformedPayload, match="larger than 16 MB"):
            yahoo.chart("AAPL", WINDOW)
        assert tracemalloc.get_traced_memory()[1] < 48 * 2**20
    finally:
        tracemalloc.stop()
    stub.answer = always(Answer(chart()))
    assert yahoo.chart("AAPL", WINDOW).body == chart()


# -------------------------------------------------------------------------------------------------------- the sandbox


PENCE, OTHER, LONGEST = either(("OCDO.L", "BABA", "TSLA"), ("QZPEN.L", "QZONE", "QZPAY"))


@pytest.fixture(scope="module")
def recorded(market_data: Path) -> Iterator[tuple[Sandbox, str]]:
    """The sandbox serves the recorded charts."""
    sandbox = Sandbox(load_market(market_data / "wire_yahoo"))
    with running(sandbox) as url:
        yield sandbox, url


def test_recorded_charts_over_the_wire(recorded: tuple[Sandbox, str]) -> None:
    sandbox, url = recorded
    yahoo = Yahoo(lambda: YahooSession(url), StoppedClock())
    read = {symbol: yahoo.normalize(yahoo.chart(symbol, WINDOW)) for symbol in (PENCE, OTHER, LONGEST)}
    assert read[PENCE].currency == "GBX"
    assert len(read[LONGEST].bars) == either(3303, 734)
    assert sandbox.stats()["total"] == 3


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", RateLimited),
        ("500", TransientProviderError),
        ("502", TransientProviderError),
        ("401", TransientProviderError),
        ("html", MalformedPayload),
        ("truncated", MalformedPayload),
        ("garbage", MalformedPayload),
        ("othersymbol", MalformedPayload),
        ("delisted", UnknownSymbol),
        ("timeout", TransientProviderError),
        ("reset", TransientProviderError),
        ("empty", None),
    ],
)
def test_every_fault_of_the_sandbox_has_its_class(
    recorded: tuple[Sandbox, str], fault: str, error: type[ProviderError] | None
) -> None:
    sandbox, url = recorded
    timeout = (0.4, 0.6) if fault == "timeout" else (10.0, 10.0)
    yahoo = Yahoo(lambda: YahooSession(url, timeout=timeout), StoppedClock())

    def fetch() -> Payload:
        return yahoo.chart(LONGEST, WINDOW)

    sandbox.faults.set(fault, 1)
    try:
        if error is None:
            assert yahoo.normalize(fetch()).bars.is_empty()
        else:
            with pytest.raises(ProviderError) as caught:
                fetch()
            assert type(caught.value) is error
    finally:
        sandbox.faults.set(fault, 0)
    assert len(yahoo.normalize(fetch()).bars) > 0
