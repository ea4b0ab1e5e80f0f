"""Stooq keeps the provider's contract; its texts, its missing fields, and the checks for a reply without a symbol."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.model import Payload, Window
from quantx.core.symbols import parse_symbol
from quantx.errors import MalformedPayload, NotEntitled, ProviderError, RateLimited, UnknownSymbol
from quantx.providers.protocol import Provider, Request
from quantx.providers.stooq import PATH, REFUSALS, Stooq, wire_symbol
from quantx.testing.provider_contract import ProviderContract, check_schema
from quantx.testing.stub_vendor import Answer, NoClock, StoppedClock, payload, replying_with, stub_vendor

from ..market_data import either

URL = "https://stooq.com/q/d/l/?s={}&i=d"
WINDOW = Window(date(2026, 1, 5), date(2026, 1, 12))
REQUEST = Request("bars", "1d", ("AAPL",), WINDOW)
HEAD = b"Date,Open,High,Low,Close,Volume\r\n"
GOOD = HEAD + b"2026-01-09,259.075,260.21,256.22,259.37,39996967\r\n2026-01-12,259.16,261.3,256.8,260.25,45263767\r\n"
OFFLINE = Stooq(None, NoClock())  # type: ignore[arg-type]  # normalize needs no session
PROOF = (
    b"<!doctype html><html><body><noscript>This site requires JavaScript.</noscript><script>fetch('/__verify')</script>"
)
KEY_PAGE = b"Get your apikey:\n\n1. Open https://stooq.com/q/d/?s=spy.us&get_apikey\n2. Enter the captcha code.\n"


def read(body: bytes, symbol: str = "AAPL", query: str = "") -> pl.DataFrame:
    return OFFLINE.normalize(payload(symbol, URL.format(wire_symbol(symbol)) + query, body)).bars


def fetched(answer: Answer | bytes) -> Payload:
    with stub_vendor(lambda _: answer if isinstance(answer, Answer) else Answer(answer)) as vendor:
        (page,) = Stooq(vendor.session(), StoppedClock()).fetch(REQUEST)
        return page.payload


class TestStooq(ProviderContract):
    @pytest.fixture
    def provider(self) -> Provider:
        return OFFLINE

    @pytest.fixture
    def recorded(self, market_data: Path) -> list[Payload]:
        return recordings(market_data)

    @pytest.fixture
    def empty(self) -> list[Payload]:
        return [
            payload("AAPL", URL.format("aapl.us"), body) for body in (b"No data", b"No data\r\n", b"Brak danych\r\n")
        ]

    @pytest.fixture
    def replying(self) -> Iterator[Callable[[bytes], Provider]]:
        with replying_with(Stooq) as replying:
            yield replying

    @pytest.fixture
    def window(self) -> Window:
        return WINDOW

    @pytest.mark.parametrize("tenths", range(10))
    def test_a_truncated_reply_is_malformed(self, provider: Provider, recorded: list[Payload], tenths: int) -> None:
        """A CSV that ends with a row looks complete: only the transfer's length shows that it is not."""
        for reply in recorded:
            for cut in (reply.body[: len(reply.body) * tenths // 10], reply.body.rstrip()[:-1]):
                if not cut.endswith(b"\n"):
                    self._is_malformed(provider, replace(reply, body=cut))

    def test_another_symbols_data_is_malformed(self, provider: Provider, recorded: list[Payload]) -> None:
        """Nothing in the reply names the symbol: its file's name does."""
        for name in ("msft_us_d.csv", "aapl_uk_d.csv", "aap_us_d.csv"):
            with pytest.raises(MalformedPayload, match=r"asked for aapl\.us") as caught:
                fetched(Answer(GOOD, headers={"Content-Disposition": f"attachment; filename={name}"}))
            assert caught.value.payload.body == GOOD


def recordings(market_data: Path) -> list[Payload]:
    folder = market_data / "daily_us_stooq_download_csv"
    files = {
        "aapl_us_d.english_header": "AAPL",
        "aapl_us_d.polish_header": "AAPL",
        "tsla_us_d.polish_header": "TSLA",
        "^spx_d.polish_header": "^SPX",
    }
    return [
        payload(symbol, URL.format(wire_symbol(symbol)), gzip.decompress((folder / f"{name}.csv.gz").read_bytes()))
        for name, symbol in files.items()
    ]


# --------------------------------------------------------------------------------------------------------- the question


def test_it_asks_once_for_the_window() -> None:
    with stub_vendor(GOOD) as vendor:
        (page,) = Stooq(vendor.session(), StoppedClock()).fetch(REQUEST)
    (asked,) = vendor.asked
    assert asked.path == PATH
    assert {**asked.params, "apikey": "…"} == {
        "s": "aapl.us",
        "i": "d",
        "d1": "20260105",
        "d2": "20260112",
        "apikey": "…",
    }
    assert page.complete == page.symbols == {"AAPL"}
    assert page.payload.request == f"{vendor.url}{PATH}?s=aapl.us&i=d&d1=20260105&d2=20260112"
    assert page.payload.body == GOOD
    assert OFFLINE.normalize(page.payload).bars["close"].to_list() == [259.37, 260.25]


@pytest.mark.parametrize(
    ("symbol", "wire"),
    [
        ("AAPL", "aapl.us"),
        ("BRK.B", "brk-b.us"),
        ("ABR.PRD", "abr_d.us"),
        ("0700.HK", "700.hk"),
        ("80700.HK", "80700.hk"),
        ("7203.T", "7203.jp"),
        ("285A.T", "285a.jp"),
        ("VOD.L", "vod.uk"),
        ("BT-A.L", "bt-a.uk"),
        ("SAP.DE", "sap.de"),
        ("PKO.WA", "pko"),
        ("^SPX", "^spx"),
        ("^GSPC", "^spx"),
        ("^N225", "^nkx"),
        ("^HSI", "^hsi"),
        ("00700.HK", "700.hk"),
    ],
)
def test_symbols_in_its_own_form(symbol: str, wire: str) -> None:
    assert wire_symbol(symbol) == wire


@pytest.mark.parametrize("symbol", ["ASML.AS", "MC.PA", "NOVO-B.CO"])
def test_an_exchange_that_it_does_not_have_is_not_asked_for(symbol: str) -> None:
    with stub_vendor(GOOD) as vendor, pytest.raises(UnknownSymbol, match="Stooq has no symbols") as caught:
        list(Stooq(vendor.session(), StoppedClock()).fetch(Request("bars", "1d", (parse_symbol(symbol),), WINDOW)))
    assert caught.value.symbols == {symbol}
    assert vendor.asked == []


# ------------------------------------------------------------------------------------------------------------ the reply


FIRST_ROWS = either(
    [
        (date(2024, 1, 16), 181.074, 183.161, 179.853, 182.534, 65996913.0),
        (date(1984, 9, 7), 0.100763, 0.101999, 0.0995464, 0.100763, 97676041.83885),
        (date(2010, 6, 28), 1.13333, 1.13333, 1.13333, 1.13333, None),  # no volume field
    ],
    [
        (date(2024, 1, 16), 39.975, 40.058, 39.844, 39.923, 591000.0),
        (date(1984, 9, 7), 0.249248, 0.250054, 0.248786, 0.249794, 391000.83885),
        (date(2010, 6, 28), 2.99617, 3.0123, 2.99497, 3.00679, None),
    ],
)


def test_recorded_replies_are_read_to_the_last_row(market_data: Path) -> None:
    english, polish, tsla, spx = (OFFLINE.normalize(reply).bars for reply in recordings(market_data))
    assert [len(bars) for bars in (english, polish, tsla, spx)] == either([500, 9710, 3202, 38905], [115, 121, 67, 222])
    assert [bars.row(0)[2:8] for bars in (english, polish, tsla)] == FIRST_ROWS
    assert tsla["volume"].null_count() == 1
    assert spx["date"][0] == date(1789, 5, 1)
    assert spx["volume"].null_count() == either(20397, 96)
    assert english["vendor_adj_close"].null_count() == len(english)


def test_what_the_window_does_not_have_is_malformed() -> None:
    assert len(read(GOOD, query="&d1=20260109&d2=20260112")) == 2
    for query in ("&d1=20260110&d2=20260112", "&d1=20260101&d2=20260111"):
        with pytest.raises(MalformedPayload, match="1 rows outside of"):
            read(GOOD, query=query)


@pytest.mark.parametrize(
    "row",
    [
        b"2026-1-9,1,2,3,4,5",
        b"2026-01-09,1,2,3,4,5,6",
        b"2026-01-09,1,2,x,4,5",
        b"2026-02-30,1,2,3,4,5",
        b"20260109,1,2,3,4,5",
        b"",
        b"Date,Open,High,Low,Close,Volume",
        b'{"error": "Invalid cookie"}',
        b"Exceeded the daily hits limit",
    ],
)
def test_a_row_of_another_form_makes_the_reply_malformed(row: bytes) -> None:
    for body in (GOOD + row + b"\r\n", HEAD + row + b"\r\n"):
        with pytest.raises(MalformedPayload):
            read(body)


def test_a_field_without_a_number_stays_without_one() -> None:
    row = read(HEAD + b"2026-01-09,1,,3,nan\r\n").row(0)
    assert row[3:8] == (1.0, None, 3.0, None, None)


PRICE = st.floats(0.0001, 1e7, allow_subnormal=False).map(lambda x: round(x, 6))
VOLUME = st.none() | st.floats(0, 1e12).map(lambda x: round(x, 6))
ROWS = st.lists(
    st.tuples(st.dates(date(1900, 1, 1), date(2025, 12, 31)), PRICE, PRICE, PRICE, PRICE, VOLUME),
    min_size=1,
    max_size=20,
)


def csv(rows: list[tuple[object, ...]], head: bytes = HEAD, end: str = "\r\n") -> bytes:
    lines = [",".join(str(value) for value in row if value is not None) for row in rows]
    return head.rstrip() + end.encode() + "".join(line + end for line in lines).encode()


@given(rows=ROWS, polish=st.booleans(), end=st.sampled_from(["\r\n", "\n"]))
def test_every_row_is_read_as_it_was_written(rows: list[tuple[object, ...]], polish: bool, end: str) -> None:
    head = b"Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen" if polish else HEAD
    bars = read(csv(rows, head, end))
    assert bars.select("date", "open", "high", "low", "close", "volume").rows() == rows


@given(rows=ROWS, data=st.data())
def test_a_body_cut_anywhere_is_never_read_as_more_or_other_rows(
    rows: list[tuple[object, ...]], data: st.DataObject
) -> None:
    body = csv(rows)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    try:
        found = read(cut)
    except MalformedPayload:
        return
    whole = cut.count(b"\n") - 1  # only a cut at the end of a row passes; the length of the transfer is HTTP's to check
    assert cut.endswith(b"\n")
    assert found.select("date", "open", "high", "low", "close", "volume").rows() == rows[:whole]


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_comes_is_read_or_malformed(body: bytes) -> None:
    for reply in (body, HEAD + body, GOOD + body, GOOD + body + b"\r\n"):
        try:
            check_schema(OFFLINE.normalize(payload("AAPL", URL.format("aapl.us"), reply)))
        except MalformedPayload:
            continue


# --------------------------------------------------------------------------------------------------------- the refusals


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (b"Exceeded the daily hits limit", RateLimited, "the day's requests are used up"),
        (b"Exceeded the daily hits limit!\n", RateLimited, "the day's requests are used up"),
        (b"Przekroczony dzienny limit wywolan", RateLimited, "the day's requests are used up"),
        (KEY_PAGE, NotEntitled, "QUANTX_STOOQ_API_KEY"),
        (b"<html><body>" + KEY_PAGE + b"</body></html>", NotEntitled, "QUANTX_STOOQ_API_KEY"),
        (PROOF, MalformedPayload, "proof of work"),
        (b"<html><body>Welcome</body></html>", MalformedPayload, "no CSV"),
        (b"", MalformedPayload, "no CSV"),
        (HEAD, MalformedPayload, "can't be read"),
        (HEAD.strip(), MalformedPayload, "ends within a row"),
        (GOOD.strip(), MalformedPayload, "ends within a row"),
    ],
)
def test_each_text_means_its_error(body: bytes, error: type[ProviderError], says: str) -> None:
    with pytest.raises(MalformedPayload, match=says):
        read(body)
    if body == HEAD:  # found when it is read
        return
    with pytest.raises(error, match=says) as caught:
        fetched(body)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after is None
    if isinstance(caught.value, MalformedPayload):
        assert caught.value.payload.body == body


def test_every_refusal_names_its_source() -> None:
    assert all(refusal.seen and refusal.words == refusal.words.lower() for refusal in REFUSALS)


def test_a_transfer_that_breaks_off_is_an_outage() -> None:
    with pytest.raises(ProviderError, match="can't be reached"):
        fetched(Answer(HEAD + b"2026-01-09,259.075,260.21,256.22,259.37,39996967\r\n", length=len(GOOD)))


def test_the_name_of_the_file_may_be_missing_or_the_symbols() -> None:
    for headers in (
        {},
        {"Content-Disposition": "attachment; filename=aapl_us_d.csv"},
        {"Content-Disposition": "inline"},
    ):
        assert fetched(Answer(GOOD, headers=headers)).body == GOOD
