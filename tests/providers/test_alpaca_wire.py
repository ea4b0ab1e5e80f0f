"""Requests to Alpaca over real HTTP: their number and parameters, the pages, and the error of each refusal."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from quantx.core.model import Window
from quantx.errors import (
    ConfigError,
    MalformedPayload,
    NotEntitled,
    ProviderError,
    RateLimited,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.providers.alpaca import Alpaca
from quantx.providers.alpaca_session import MOST_BARS, AlpacaSession
from quantx.providers.http import HttpReply
from quantx.providers.protocol import Page, Request
from quantx.providers.registry import VENDORS, open_providers
from quantx.sandbox import Sandbox, load_market, running
from quantx.settings import load_settings

from .alpaca_stub import (
    KEY,
    SECRET,
    WINDOW,
    Answer,
    Asked,
    StoppedClock,
    StubAlpaca,
    bar,
    connected,
    days,
    page,
    running_stub,
)

HTML = b"<html><head><title>502 Bad Gateway</title></head></html>"


@pytest.fixture
def stub() -> Iterator[StubAlpaca]:
    with running_stub() as alpaca:
        yield alpaca


@pytest.fixture
def alpaca(stub: StubAlpaca) -> Alpaca:
    return connected(stub.url)


def ask(*symbols: str, timeframe: str = "1d", window: Window = WINDOW) -> Request:
    return Request("bars", timeframe, symbols, window)


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Answer with each in turn, with the last one ever after."""
    rest = iter(answers)
    last = [answers[-1]]

    def answer(_: Asked) -> Answer:
        last[0] = next(rest, last[0])
        return last[0]

    return answer


def message(text: str) -> bytes:
    return json.dumps({"message": text}).encode()


# ------------------------------------------------------------------------------------------------------- the requests


def test_one_request_asks_for_all_symbols_as_traded_in_the_exchanges_days(alpaca: Alpaca, stub: StubAlpaca) -> None:
    body = page({"AAPL": days(5), "BRK.B": days(5)})
    stub.answer = lambda asked: Answer(body)
    (reply,) = alpaca.fetch(ask("BRK.B", "AAPL"))
    (asked,) = stub.asked
    assert asked.path == "/v2/stocks/bars"
    assert asked.params == {
        "symbols": "AAPL,BRK.B",
        "timeframe": "1Day",
        "start": "2024-03-04T05:00:00+00:00",
        "end": "2024-03-09T04:59:59+00:00",
        "limit": str(MOST_BARS),
        "adjustment": "raw",
        "feed": "iex",
    }
    assert (asked.headers["apca-api-key-id"], asked.headers["apca-api-secret-key"]) == (KEY, SECRET)
    assert reply.symbols == reply.complete == {"AAPL", "BRK.B"}
    assert reply.payload.body == body
    assert reply.payload.symbol == "AAPL,BRK.B"
    assert reply.payload.vendor_time == datetime(2024, 3, 8, 21, 59, 30, tzinfo=UTC)
    assert reply.payload.request == (
        f"{stub.url}/v2/stocks/bars?start=2024-03-04T05:00:00%2B00:00&end=2024-03-09T04:59:59%2B00:00"
        "&limit=10000&timeframe=1Day&adjustment=raw&feed=iex&symbols=AAPL,BRK.B"
    )


def test_minutes_are_asked_for_by_the_days_of_new_york_in_summer_too(alpaca: Alpaca, stub: StubAlpaca) -> None:
    list(alpaca.fetch(ask("AAPL", timeframe="1m", window=Window(date(2024, 3, 11), date(2024, 3, 11)))))
    params = stub.asked[0].params
    assert params["timeframe"] == "1Min"
    assert (params["start"], params["end"]) == ("2024-03-11T04:00:00+00:00", "2024-03-12T03:59:59+00:00")


@pytest.mark.parametrize(
    ("feed", "end"),
    [
        ("sip", "2024-03-08T21:44:00+00:00"),  # sixteen minutes ago: free plans get no newer prices
        ("delayed_sip", "2024-03-09T04:59:59+00:00"),
    ],
)
def test_the_consolidated_tape_is_not_asked_for_the_last_minutes(stub: StubAlpaca, feed: str, end: str) -> None:
    list(connected(stub.url, feed=feed).fetch(ask("AAPL")))
    assert (stub.asked[0].params["feed"], stub.asked[0].params["end"]) == (feed, end)


def test_a_feed_that_is_none_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(ConfigError, match=r"QUANTX_ALPACA_FEED.*iex"):
        connected("http://127.0.0.1:1", feed="bloomberg")


def test_actions_are_asked_for_until_their_dividends_are_paid(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = lambda asked: Answer(b'{"corporate_actions":{},"next_page_token":null}')
    (reply,) = alpaca.fetch(Request("actions", "1d", ("B", "A"), WINDOW))
    (asked,) = stub.asked
    assert asked.path == "/v1/corporate-actions"
    assert asked.params == {
        "symbols": "A,B",
        "start": "2024-03-04",
        "end": "2024-12-03",
        "limit": "1000",
        "sort": "asc",
    }
    assert (reply.symbols, reply.complete) == (frozenset(), {"A", "B"})


def test_an_index_is_not_asked_for(alpaca: Alpaca, stub: StubAlpaca) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        list(alpaca.fetch(ask("AAPL", "^GSPC")))
    assert caught.value.symbols == {"^GSPC"}
    assert not stub.asked


# --------------------------------------------------------------------------------------------------------------- pages


def test_a_symbol_is_complete_when_a_later_one_appears(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = in_turn(
        Answer(page({"A": days(2), "B": days(1)}, "B|D|1")),
        Answer(page({"B": days(5)[1:], "D": days(1)}, "D|D|1")),
        Answer(page({"D": days(5)[1:]})),
    )
    pages = list(alpaca.fetch(ask("D", "C", "B", "A")))
    assert [(set(p.symbols), set(p.complete)) for p in pages] == [
        ({"A", "B"}, {"A"}),
        ({"B", "D"}, {"B"}),
        ({"D"}, {"C", "D"}),  # nothing came about C
    ]
    tokens = [asked.params.pop("page_token", None) for asked in stub.asked]
    assert tokens == [None, "QnxEfDE=", "RHxEfDE="]
    assert stub.asked[0] == replace(stub.asked[1], headers=stub.asked[0].headers)  # the same question otherwise


def test_each_next_sends_one_request(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = in_turn(
        Answer(page({"A": days(1)}, "A|D|1")), Answer(page({"A": days(1)}, "A|D|2")), Answer(page({}))
    )
    pages = alpaca.fetch(ask("A"))
    for count in (1, 2, 3):
        next(pages)
        assert len(stub.asked) == count
    assert next(pages, None) is None
    assert len(stub.asked) == 3


def test_a_page_that_fails_costs_none_of_the_earlier_ones(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = in_turn(
        Answer(page({"A": days(5), "B": days(5), "C": days(1)}, "C|D|1")), Answer(message("oops"), status=500)
    )
    pages, kept = alpaca.fetch(ask("A", "B", "C", "D")), list[Page]()
    with pytest.raises(TransientProviderError):
        kept.extend(pages)
    assert [set(p.complete) for p in kept] == [{"A", "B"}]
    assert len(alpaca.normalize(kept[0].payload).bars) == 11


@pytest.mark.parametrize(
    "first",
    [
        {"B": days(1), "A": days(1)},  # not by symbol
        {"A": days(1), "C": days(1), "B": days(1)},
    ],
)
def test_pages_in_another_order_complete_nothing_before_the_last(
    alpaca: Alpaca, stub: StubAlpaca, first: dict[str, Any]
) -> None:
    stub.answer = in_turn(
        Answer(page(first, "A|D|1")), Answer(page({"A": days(1), "B": days(1)}, "B|D|1")), Answer(page({"A": days(1)}))
    )
    pages = list(alpaca.fetch(ask("A", "B", "C")))
    assert [set(p.complete) for p in pages] == [set(), set(), {"A", "B", "C"}]


def test_a_symbol_that_comes_again_after_it_was_complete_is_told(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = in_turn(Answer(page({"A": days(1), "B": days(1)}, "B|D|1")), Answer(page({"A": days(1)}, "A|D|1")))
    pages = alpaca.fetch(ask("A", "B"))
    assert next(pages).complete == {"A"}
    with pytest.raises(MalformedPayload, match="'A' again") as caught:
        next(pages)
    assert caught.value.payload.body == page({"A": days(1)}, "A|D|1")


def test_pages_that_go_round_end(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = lambda asked: Answer(page({"A": days(1)}, "A|D|1"))
    with pytest.raises(MalformedPayload, match="tokens repeat"):
        list(itertools.islice(alpaca.fetch(ask("A")), 10))
    assert len(stub.asked) == 2


def test_symbols_that_were_not_asked_for_are_malformed(alpaca: Alpaca, stub: StubAlpaca) -> None:
    stub.answer = lambda asked: Answer(page({"AAPL": days(1), "ELSE": days(1)}))
    with pytest.raises(MalformedPayload, match="ELSE"):
        list(alpaca.fetch(ask("AAPL")))


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.lists(st.integers(1, 5), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_split_of_rows_into_pages_gives_the_same_frames(sizes: list[int], cuts: list[int], spaced: bool) -> None:
    rows = [
        (f"S{chr(65 + i)}", bar(f"2024-03-{4 + j:02d}T05:00:00Z", 10 * i + j))
        for i, n in enumerate(sizes)
        for j in range(n)
    ]
    bodies, at = [], 0
    for cut in itertools.chain(cuts, itertools.repeat(6)):
        part: dict[str, list[Any]] = {}
        for symbol, row in rows[at : at + cut]:
            part.setdefault(symbol, []).append(row)
        at += cut
        bodies.append(page(part, f"{at}|D|1" if at < len(rows) else None, spaced=spaced))
        if at >= len(rows):
            break
    session = _Scripted(bodies)
    alpaca = Alpaca(lambda: session, StoppedClock())
    pages = list(alpaca.fetch(ask(*sorted({symbol for symbol, _ in rows}))))
    read = [row for p in pages for row in alpaca.normalize(p.payload).bars.select("symbol", "time", "close").rows()]
    assert read == [(symbol, datetime.fromisoformat(row["t"]), row["c"]) for symbol, row in rows]
    done = [symbol for p in pages for symbol in sorted(p.complete)]
    assert done == sorted({symbol for symbol, _ in rows})  # each of them once
    for number, p in enumerate(pages):
        later = set().union(*(q.symbols for q in pages[number + 1 :]))
        assert not p.complete & later


class _Scripted:
    """A way to Alpaca that sends these bodies, one after the other."""

    def __init__(self, bodies: list[bytes]) -> None:
        self._bodies = iter(bodies)

    def prepare(self) -> None:
        pass

    def bars(self, *asked: Any, **options: Any) -> Any:
        url = "https://data.alpaca.markets/v2/stocks/bars"
        body = next(self._bodies)
        return HttpReply(url=url, status=200, content_type="application/json", body=body, vendor_time=None)

    actions = bars


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Answer(message("forbidden."), 403), NotEntitled, "QUANTX_ALPACA_API_KEY"),
        (Answer(message("subscription does not permit querying recent SIP data"), 403), NotEntitled, "FEED"),
        (Answer(message("subscription does not permit querying recent SIP data"), 422), NotEntitled, "FEED"),
        (Answer(HTML, 403), TransientProviderError, "a proxy in front"),
        (Answer(message("unauthorized."), 401), NotEntitled, "QUANTX_ALPACA_API_SECRET"),
        (Answer(b"", 401), NotEntitled, "401"),
        (Answer(message("invalid symbol: B"), 400), UnknownSymbol, "B"),
        (Answer(message("invalid symbol: OTHER"), 400), MalformedPayload, "OTHER"),
        (Answer(message("end should not be before start"), 400), MalformedPayload, "before start"),
        (Answer(b'{"code":40010001,"message":"unknown field"}', 422), MalformedPayload, "422: unknown field"),
        (Answer(HTML, 404), MalformedPayload, "404"),
        (Answer(message("internal server error"), 500), TransientProviderError, "500"),
        (Answer(HTML, 502), TransientProviderError, "502"),
        (Answer(HTML, 504), TransientProviderError, "504"),
        (Answer(HTML, 200), MalformedPayload, "no page"),
        (Answer(b"", 200), MalformedPayload, "0 bytes"),
        (Answer(message("fine"), 200), MalformedPayload, "no page"),
        (Answer(b"", 302, {"Location": "https://elsewhere.example/"}), TransientProviderError, "elsewhere.example"),
        (Answer(page({}), short=10), TransientProviderError, "reached"),
        (Answer(cut=True), TransientProviderError, "reached"),
        (Answer(b"no zip", headers={"Content-Encoding": "gzip"}), TransientProviderError, "reached"),
    ],
)
def test_a_refusal_has_the_class_of_who_must_act_and_is_not_repeated(
    alpaca: Alpaca, stub: StubAlpaca, answer: Answer, error: type[ProviderError], says: str
) -> None:
    stub.answer = lambda asked: answer
    with pytest.raises(ProviderError, match=says) as caught:
        list(alpaca.fetch(ask("A", "B")))
    assert type(caught.value) is error
    assert len(stub.asked) == 1
    if isinstance(caught.value, UnknownSymbol):
        assert caught.value.symbols == {"B"}  # the others may go on
    if isinstance(caught.value, MalformedPayload):
        assert (caught.value.payload.body, caught.value.payload.status) == (answer.body, answer.status)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        (
            {"X-RateLimit-Reset": str(int(datetime(2024, 3, 8, 22, 0, tzinfo=UTC).timestamp()))},
            30.0,
        ),  # by its own clock
        ({"X-RateLimit-Reset": "1"}, None),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "nan"}, None),
        ({"X-RateLimit-Reset": "99999999999"}, None),
        ({"Retry-After": "3", "X-RateLimit-Reset": "1709935200"}, 3.0),
    ],
)
def test_too_many_requests_say_when_to_come_back(
    alpaca: Alpaca, stub: StubAlpaca, headers: dict[str, str], wait: float | None
) -> None:
    stub.answer = lambda asked: Answer(message("too many requests."), 429, headers)
    with pytest.raises(RateLimited) as caught:
        list(alpaca.fetch(ask("A")))
    assert caught.value.retry_after == wait
    assert len(stub.asked) == 1  # alpaca-py alone would have sent four


@pytest.mark.parametrize(
    "slow", [Answer(page({}), delay=3), Answer(b"{" + b" " * 2000, drip=0.02)], ids=["silent", "dripping"]
)
def test_a_vendor_that_does_not_answer_is_left(stub: StubAlpaca, slow: Answer) -> None:
    stub.answer = lambda asked: slow
    with pytest.raises(TransientProviderError):  # without a time-out it would get a page, or a broken one
        list(connected(stub.url, timeout=(0.4, 0.5)).fetch(ask("A")))


def test_nobody_at_the_address_is_transient() -> None:
    with pytest.raises(TransientProviderError, match=r"reached at http://127\.0\.0\.1:9"):
        list(connected("http://127.0.0.1:9").fetch(ask("A")))


def test_a_reply_that_is_too_large_is_not_held(alpaca: Alpaca, stub: StubAlpaca) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as file:
        file.write(b" " * (40 << 20))
    stub.answer = lambda asked: Answer(packed.getvalue(), headers={"Content-Encoding": "gzip"})
    with pytest.raises(MalformedPayload, match="larger than 16 MB"):
        list(alpaca.fetch(ask("A")))


def test_a_packed_reply_is_kept_as_the_vendor_wrote_it(alpaca: Alpaca, stub: StubAlpaca) -> None:
    body = page({"A": days(5)})
    stub.answer = lambda asked: Answer(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    (reply,) = alpaca.fetch(ask("A"))
    assert reply.payload.body == body


# ---------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "answer",
    [
        Answer(page({"A": days(1)})),
        Answer(message("forbidden."), 403),
        Answer(HTML, 401),
        Answer(HTML, 500),
        Answer(b"{", 200),
        Answer(cut=True),
        Answer(message("no"), 429),
    ],
)
def test_the_keys_are_in_nothing_that_is_kept_or_told(stub: StubAlpaca, answer: Answer) -> None:
    stub.answer = lambda asked: answer
    told, kept = io.StringIO(), []
    handler = logging.StreamHandler(told)
    logging.getLogger().addHandler(handler)
    try:
        with structlog.testing.capture_logs() as events:
            alpaca = connected(stub.url)
            kept += list(alpaca.fetch(ask("A")))
    except ProviderError as error:
        kept += [str(error), repr(error), "".join(traceback.format_exception(error)), getattr(error, "payload", None)]
        kept += [repr(error.__cause__)]
    finally:
        logging.getLogger().removeHandler(handler)
    everything = repr([kept, events, told.getvalue(), vars(alpaca)])
    assert stub.asked[0].headers["apca-api-key-id"] == KEY
    assert KEY not in everything
    assert SECRET not in everything


@pytest.mark.parametrize("secret", ["", " ", "line\nbreak", "café", "tab\tin"])
def test_a_key_that_can_be_none_is_refused_without_being_shown(stub: StubAlpaca, secret: str) -> None:
    alpaca = Alpaca(lambda: AlpacaSession(SecretStr(KEY), SecretStr(secret), stub.url), StoppedClock())
    with pytest.raises(NotEntitled, match="QUANTX_ALPACA_API_SECRET") as caught:
        list(alpaca.fetch(ask("A")))
    assert not secret.strip() or secret not in str(caught.value)
    assert not stub.asked


def test_without_keys_alpaca_is_absent() -> None:
    assert VENDORS["alpaca"].missing_keys(load_settings()) == ("alpaca_api_key", "alpaca_api_secret")
    assert "alpaca" not in open_providers(load_settings(), StoppedClock())
    settings = load_settings(alpaca_api_key=KEY, alpaca_api_secret=SECRET)
    assert isinstance(open_providers(settings, StoppedClock())["alpaca"], Alpaca)


# --------------------------------------------------------------------------------------------------- with the sandbox


@pytest.fixture(scope="module")
def sandbox() -> Iterator[tuple[Sandbox, str]]:
    played = Sandbox(load_market(None, today=date(2024, 3, 7)), now="2024-03-08", keys=[f"alpaca={KEY}:{SECRET}"])
    with running(played) as url:
        yield played, url


AMERICANS = tuple(f"QXA{letter}" for letter in "ACDFGHIJKLM")
WEEK = Window(date(2024, 2, 26), date(2024, 3, 1))


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", RateLimited),
        ("500", TransientProviderError),
        ("502", TransientProviderError),
        ("401", NotEntitled),
        ("html", MalformedPayload),
        ("garbage", MalformedPayload),
        ("truncated", MalformedPayload),
        ("othersymbol", MalformedPayload),
        ("delisted", UnknownSymbol),
        ("timeout", TransientProviderError),
        ("reset", TransientProviderError),
        ("empty", None),
    ],
)
@pytest.mark.parametrize("dataset", ["bars", "actions"])
def test_every_fault_of_the_sandbox_has_its_class(
    sandbox: tuple[Sandbox, str], fault: str, error: type[ProviderError] | None, dataset: Any
) -> None:
    played, url = sandbox
    alpaca = connected(url, timeout=(0.4, 0.6) if fault == "timeout" else (10.0, 10.0))
    request = Request(dataset, "1d", ("QXAC", "QXAH"), Window(date(2023, 1, 3), date(2024, 3, 1)))
    played.faults.set(f"alpaca:{fault}", 1)
    try:
        if error is None:
            (reply,) = alpaca.fetch(request)
            read = alpaca.normalize(reply.payload)
            assert len(read.bars) == len(read.actions) == 0
            assert reply.complete == {"QXAC", "QXAH"}
        else:
            with pytest.raises(ProviderError) as caught:
                list(alpaca.fetch(request))
            assert type(caught.value) is error
    finally:
        played.faults.set(f"alpaca:{fault}", 0)
    (reply,) = alpaca.fetch(request)
    read = alpaca.normalize(reply.payload)
    assert len(read.bars) + len(read.actions) > 0


@pytest.mark.parametrize("timeframe", ["1d", "1m"])
def test_what_the_market_holds_arrives(sandbox: tuple[Sandbox, str], timeframe: str) -> None:
    played, url = sandbox
    alpaca = connected(url)
    pages = list(alpaca.fetch(ask(*AMERICANS, timeframe=timeframe, window=WEEK)))
    read = [alpaca.normalize(p.payload).bars for p in pages]
    assert sorted(s for p in pages for s in p.complete) == list(AMERICANS)
    for symbol in AMERICANS:
        daily = played.market.as_traded(symbol).filter(
            (played.market.as_traded(symbol)["date"] >= WEEK.start)
            & (played.market.as_traded(symbol)["date"] <= WEEK.end)
        )
        rows = [row for frame in read for row in frame.filter(frame["symbol"] == symbol).to_dicts()]
        if timeframe == "1d":
            assert [tuple(row[k] for k in daily.columns) for row in rows] == daily.rows()
        else:
            assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
            assert {row["date"] for row in rows} == set(daily["date"])


def test_the_keys_are_wanted(sandbox: tuple[Sandbox, str]) -> None:
    stranger = Alpaca(lambda: AlpacaSession(SecretStr(KEY), SecretStr("wrong"), sandbox[1]), StoppedClock())
    with pytest.raises(NotEntitled, match=r"forbidden\."):
        list(stranger.fetch(ask("QXAC", window=WEEK)))


def test_500_symbols_and_five_sessions_are_one_request() -> None:
    symbols = [f"Q{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(500)]
    market = load_market(None, today=date(2024, 3, 7))
    known = market.histories["QXAC"]
    many = replace(market, histories={symbol: replace(known, symbol=symbol) for symbol in symbols})
    played = Sandbox(many, now="2024-03-08")
    with running(played) as url:
        alpaca = connected(url)
        (reply,) = alpaca.fetch(ask(*symbols, window=WEEK))
        assert reply.complete == reply.symbols == set(symbols)
        assert len(reply.payload.request) < 4_000  # what any server takes
        assert len(alpaca.normalize(reply.payload).bars) == 2_500
        stats = played.stats()["by_vendor"]["alpaca"]
    assert (stats["total"], stats["by_status"], len(stats["by_symbol"])) == (1, {"200": 1}, 500)


def test_a_long_history_comes_in_full_pages() -> None:
    played = Sandbox(load_market(None, today=date(2024, 3, 7)), now="2024-03-08")
    with running(played) as url:
        alpaca = connected(url)
        pages = list(alpaca.fetch(ask(*AMERICANS, window=Window(date(2014, 1, 1), date(2024, 3, 7)))))
        counts = [len(alpaca.normalize(p.payload).bars) for p in pages]
        held = sum(len(played.market.histories[s].days) for s in AMERICANS)
        assert sum(counts) == held
        assert counts[:-1] == [MOST_BARS] * (len(pages) - 1)
        assert played.stats()["total"] == -(-held // MOST_BARS) == 3
        assert [len(p.complete) for p in pages] == [4, 4, 3]


def test_a_reply_to_one_thread_is_not_anothers(sandbox: tuple[Sandbox, str]) -> None:
    alpaca = connected(sandbox[1])

    def mine(symbol: str) -> set[str]:
        (reply,) = alpaca.fetch(ask(symbol, window=WEEK))
        return set(alpaca.normalize(reply.payload).bars["symbol"])

    with ThreadPoolExecutor(8) as pool:
        for symbol, got in zip(AMERICANS * 8, pool.map(mine, AMERICANS * 8), strict=True):
            assert got == {symbol}
