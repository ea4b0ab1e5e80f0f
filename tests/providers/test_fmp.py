"""FMP keeps the provider's contract; an answer is three requests, and what each refusal means."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.model import Payload, Window
from quantx.errors import MalformedPayload, NotEntitled, ProviderError, RateLimited
from quantx.providers.fmp import BARS, DIVIDENDS, REFUSALS, SPLITS, Fmp, wire_symbol
from quantx.providers.protocol import Provider, Request, VendorFrames
from quantx.testing.provider_contract import ProviderContract, check_schema
from quantx.testing.stub_vendor import Answer, NoClock, StoppedClock, payload, replying_with, stub_vendor

from ..market_data import either

HOST = "https://financialmodelingprep.com"
OFFLINE = Fmp(None, NoClock())  # type: ignore[arg-type]  # normalize needs no session
WINDOW = Window(date(2023, 1, 3), date(2023, 1, 10))
REQUEST = Request("bars", "1d", ("AAPL",), WINDOW)

SPLIT = {"symbol": "AAPL", "date": "2020-08-31", "numerator": 4, "denominator": 1, "splitType": "stock-split"}
PAID = {"symbol": "AAPL", "date": "2020-08-07", "adjDividend": 0.205, "dividend": 0.82, "frequency": "Quarterly"}
BAR = {
    "symbol": "AAPL",
    "date": "2023-01-10",
    "open": 130.26,
    "high": 131.26,
    "low": 128.12,
    "close": 130.73,
    "volume": 63896200,
    "change": 0.47,
    "changePercent": 0.36082,
    "vwap": 130.0925,
}
NO_KEY = {
    "Error Message": "Invalid API KEY. Feel free to create a Free API Key or visit"
    " https://site.financialmodelingprep.com/faqs?search=why-is-my-api-key-invalid for more information."
}
LIMIT = {"Error Message": "Limit Reach . Please upgrade your plan or visit our documentation for more details"}
LEGACY = {
    "Error Message": "Legacy Endpoint : Due to Legacy endpoints being no longer supported - This endpoint is only"
    " available for legacy users who have valid subscriptions prior August 31, 2025."
}
EXCLUSIVE = {"Error Message": "Exclusive Endpoint : This endpoint is not available under your current subscription"}
SYMBOL = (
    "Premium Query Parameter: 'Special Endpoint : This value set for 'symbol' is not available under your current"
    " subscription, please visit our subscription page to upgrade your plan"
)
PARAMETER = "Premium Query Parameter: 'limit' is not available under your current subscription"


def reply(document: object, path: str = BARS, symbol: str = "AAPL", status: int = 200) -> Payload:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return payload(symbol, f"{HOST}{path}?symbol={wire_symbol(symbol)}", body, status)


def read(document: object, path: str = BARS) -> VendorFrames:
    return OFFLINE.normalize(reply(document, path))


class TestFmp(ProviderContract):
    empty_bodies = (b"[]",)

    @pytest.fixture
    def provider(self) -> Provider:
        return OFFLINE

    @pytest.fixture
    def recorded(self, market_data: Path) -> list[Payload]:
        """Recordings of AAPL, and one of them under another name: no other symbol was recorded."""
        folder = market_data / "wire_fmp"
        bars = (folder / "fmp_stable_historical-price-eod-full_AAPL_2023-01-03_2023-01-10.json").read_bytes()
        older = (folder / "fmp_v3_historical-price-full_AAPL_2023-01-03_2023-01-10.json").read_bytes()
        paid = (folder / "fmp_stable_dividends_AAPL_limit1.json").read_bytes()
        return [
            reply(bars),
            reply(paid, DIVIDENDS),
            reply([SPLIT], SPLITS),
            payload("AAPL", f"{HOST}/api/v3/historical-price-full/AAPL?from=2023-01-03&to=2023-01-10", older),
            reply(bars.replace(b"AAPL", b"BRK-B"), symbol="BRK.B"),
        ]

    @pytest.fixture
    def empty(self) -> list[Payload]:
        return [reply([], path) for path in (BARS, SPLITS, DIVIDENDS)]

    @pytest.fixture
    def replying(self) -> Iterator[Callable[[bytes], Provider]]:
        with replying_with(Fmp) as replying:
            yield replying

    @pytest.fixture
    def window(self) -> Window:
        return WINDOW


def test_an_answer_is_the_splits_the_dividends_and_the_bars_to_now() -> None:
    replies = {SPLITS: [SPLIT], DIVIDENDS: [PAID], BARS: [BAR]}
    with stub_vendor(lambda asked: Answer(json.dumps(replies[asked.path]).encode())) as vendor:
        pages = []
        for page in Fmp(vendor.session(), StoppedClock()).fetch(REQUEST):
            pages.append(page)
            assert len(vendor.asked) == len(pages)
    assert [asked.path for asked in vendor.asked] == [SPLITS, DIVIDENDS, BARS]
    assert {asked.params["symbol"] for asked in vendor.asked} == {"AAPL"}
    assert {k: v for k, v in vendor.asked[2].params.items() if k in ("from", "to")} == {
        "from": "2022-12-24",
        "to": "2026-01-17",
    }
    assert [page.complete for page in pages] == [frozenset(), frozenset(), {"AAPL"}]
    assert all(page.symbols == {"AAPL"} for page in pages)
    frames = [OFFLINE.normalize(page.payload) for page in pages]
    assert [(len(f.bars), len(f.actions)) for f in frames] == [(0, 1), (0, 1), (1, 0)]
    both = pl.concat([f.actions for f in frames]).drop("symbol").rows()
    assert both == [(date(2020, 8, 31), "split", 4.0, None), (date(2020, 8, 7), "dividend", 0.205, None)]


def test_recorded_bars_are_read_newest_first(market_data: Path) -> None:
    folder = market_data / "wire_fmp"
    now = read((folder / "fmp_stable_historical-price-eod-full_AAPL_2023-01-03_2023-01-10.json").read_bytes())
    assert now.bars["date"].to_list() == [date(2023, 1, d) for d in (10, 9, 6, 5, 4, 3)]
    assert now.bars.row(0)[3:] == either(
        (130.26, 131.26, 128.12, 130.73, 63896200.0, None), (59.06, 59.07, 58.82, 58.88, 821000.0, None)
    )
    assert now.currency == "USD"
    body = (folder / "fmp_v3_historical-price-full_AAPL_2023-01-03_2023-01-10.json").read_bytes()
    then = OFFLINE.normalize(payload("AAPL", f"{HOST}/api/v3/historical-price-full/AAPL", body))
    assert then.bars.drop("volume", "vendor_adj_close").equals(now.bars.drop("volume", "vendor_adj_close"))
    assert then.bars["vendor_adj_close"][0] == either(130.17, 58.59)


def test_a_dividend_is_in_the_shares_of_the_bars() -> None:
    assert read([PAID], DIVIDENDS).actions["value"].to_list() == [0.205]


def test_what_is_announced_or_changes_nothing_is_left_out() -> None:
    coming = {**SPLIT, "date": "2026-02-02"}
    unchanged = {**SPLIT, "date": "2019-01-02", "numerator": 1}
    assert read([coming, SPLIT, unchanged], SPLITS).actions["ex_date"].to_list() == [date(2020, 8, 31)]
    coming, nothing = {**PAID, "date": "2026-02-09"}, {**PAID, "date": "2019-02-08", "adjDividend": 0}
    assert read([coming, PAID, nothing], DIVIDENDS).actions["ex_date"].to_list() == [date(2020, 8, 7)]


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
def test_missing_and_odd_values_are_left_to_the_rules(field: str) -> None:
    for value in (None, 0, -1.5, 1e20):
        bars = read([{**BAR, field: value}, BAR]).bars
        assert bars[field].to_list() == [value, float(BAR[field])]  # type: ignore[arg-type]
    without = {name: value for name, value in BAR.items() if name != field}
    assert read([without, BAR]).bars[field].to_list() == [None, float(BAR[field])]  # type: ignore[arg-type]
    with pytest.raises(MalformedPayload, match=f"no {field} in any row"):
        read([without])


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([{**BAR, "close": "130.73"}], BARS),
        ([{**BAR, "close": True}], BARS),
        ([{**BAR, "date": None}], BARS),
        ([{**BAR, "date": "2023-01-10 00:00:00"}], BARS),
        ([{**BAR, "symbol": None}], BARS),
        ([{**BAR, "symbol": "MSFT"}, BAR], BARS),
        ([BAR, 5], BARS),
        ({"symbol": "AAPL"}, BARS),
        ([SPLIT], BARS),
        ([BAR], SPLITS),
        ([BAR], DIVIDENDS),
        ([BAR], "/stable/quote"),
    ],
)
def test_another_form_is_malformed(document: object, path: str) -> None:
    with pytest.raises(MalformedPayload):
        read(document, path)


@pytest.mark.parametrize(
    ("event", "path", "rules"),
    [
        ({**SPLIT, "numerator": 0}, SPLITS, "split_ratio_possible"),
        ({**SPLIT, "denominator": "0"}, SPLITS, "split_ratio_possible"),
        ({**SPLIT, "denominator": None}, SPLITS, "event_readable"),
        ({**PAID, "adjDividend": -0.2}, DIVIDENDS, "dividend_amount_possible"),
        ({**PAID, "adjDividend": None}, DIVIDENDS, "event_readable"),
        ({**PAID, "adjDividend": ""}, DIVIDENDS, "event_readable"),
        ({**PAID, "adjDividend": "n/a"}, DIVIDENDS, "event_readable"),
        ({**PAID, "adjDividend": "1_000"}, DIVIDENDS, "event_readable"),
        ({**PAID, "date": ""}, DIVIDENDS, "event_date_possible"),
        ({**PAID, "date": "0000-00-00"}, DIVIDENDS, "event_date_possible"),
        ({**PAID, "date": "0001-01-01"}, DIVIDENDS, "event_date_possible"),
        ({**PAID, "date": None, "adjDividend": ""}, DIVIDENDS, "event_readable,event_date_possible"),
    ],
)
def test_a_senseless_event_costs_only_itself(event: dict[str, object], path: str, rules: str) -> None:
    good = SPLIT if path == SPLITS else PAID
    frames = read([good, event], path)
    assert frames.actions.height == 1
    assert frames.rejected.select("rules", "place").rows() == [(rules, "[1]")]


def test_a_question_about_another_symbol_is_malformed() -> None:
    stray = payload("AAPL", f"{HOST}{SPLITS}?symbol=MSFT", b"[]")
    with pytest.raises(MalformedPayload, match="asked for AAPL"):
        OFFLINE.normalize(stray)


@pytest.mark.parametrize(
    ("symbol", "wire"),
    [
        ("AAPL", "AAPL"),
        ("BRK.B", "BRK-B"),
        ("BAC.PRL", "BAC-PL"),
        ("0700.HK", "0700.HK"),
        ("7203.T", "7203.T"),
        ("VOD.L", "VOD.L"),
    ],
)
def test_symbols_in_its_own_form(symbol: str, wire: str) -> None:
    assert wire_symbol(symbol) == wire


@pytest.mark.parametrize(
    ("said", "status", "error", "symbols"),
    [
        (NO_KEY, 401, NotEntitled, ()),
        (NO_KEY, 200, NotEntitled, ()),
        (LIMIT, 429, RateLimited, ()),
        (LIMIT, 200, RateLimited, ()),
        (LEGACY, 403, NotEntitled, ()),
        (EXCLUSIVE, 403, NotEntitled, ()),
        (SYMBOL, 402, NotEntitled, ("AAPL",)),
        (PARAMETER, 402, NotEntitled, ()),
        ({"Error Message": PARAMETER}, 200, NotEntitled, ()),
        ("<html>Forbidden</html>", 403, NotEntitled, ()),
        ("<html>Not Found</html>", 404, MalformedPayload, ()),
        ({"Error Message": "Something new"}, 200, MalformedPayload, ()),
        ("<html>Welcome</html>", 200, MalformedPayload, ()),
    ],
)
def test_each_text_means_its_error(
    said: dict[str, str] | str, status: int, error: type[ProviderError], symbols: tuple[str, ...]
) -> None:
    body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
    with stub_vendor(lambda _: Answer(body, status)) as vendor, pytest.raises(error) as caught:
        list(Fmp(vendor.session(), StoppedClock()).fetch(REQUEST))
    assert len(vendor.asked) == 1
    assert type(caught.value) is error
    if isinstance(caught.value, NotEntitled):
        assert caught.value.symbols == set(symbols)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after is None
    with pytest.raises(MalformedPayload):
        OFFLINE.normalize(reply(body, status=status))


def test_a_failing_request_costs_no_earlier_page() -> None:
    def answer(asked: object) -> Answer:
        return Answer(b"[]") if len(vendor.asked) < 3 else Answer(b"<html>", 502)

    with stub_vendor(answer) as vendor:
        pages = Fmp(vendor.session(), StoppedClock()).fetch(REQUEST)
        assert [next(pages).payload.body for _ in range(2)] == [b"[]", b"[]"]
        with pytest.raises(ProviderError, match="answers 502"):
            next(pages)


def test_every_refusal_names_its_source() -> None:
    assert all(refusal.seen and refusal.words == refusal.words.lower() for refusal in REFUSALS)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["AAPL", -1, 1e308]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_whatever_stands_in_one_place_a_reply_is_read_or_malformed(data: st.DataObject) -> None:
    path, row = data.draw(st.sampled_from([(BARS, BAR), (SPLITS, SPLIT), (DIVIDENDS, PAID)]))
    rows: list[Any] = [dict(row), dict(row)]
    place = data.draw(st.sampled_from([None, *row]))
    if place is None:
        rows[0] = data.draw(ANYTHING)
    else:
        rows[0][place] = data.draw(ANYTHING)
    try:
        check_schema(read(json.loads(json.dumps(rows)), path))
    except MalformedPayload:
        return


@pytest.mark.parametrize(
    ("symbol", "currency", "noted"),
    [("7203.T", "JPY", []), ("^FTSE", None, []), ("0700.HK", None, ["XHKG"]), ("VOD.L", None, ["XLON"])],
)
def test_bars_without_a_currency_are_noted_once_for_their_exchange(
    symbol: str, currency: str | None, noted: list[str]
) -> None:
    rows = [{**BAR, "symbol": wire_symbol(symbol)}]
    frames = OFFLINE.normalize(payload(symbol, f"{HOST}{BARS}?symbol={wire_symbol(symbol)}", json.dumps(rows).encode()))
    assert (frames.currency, [note.subject for note in frames.notes]) == (currency, noted)
    assert all(note.rule == "currency_not_named" for note in frames.notes)
