"""Alpha Vantage keeps the provider's contract; its soft errors, its running bar, and what its minute stamps mean."""

from __future__ import annotations

import csv
import gzip
import io
import json
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.model import Payload, Window
from quantx.errors import MalformedPayload, NotEntitled, ProviderError, RateLimited, UnknownSymbol
from quantx.providers.alphavantage import PATH, REFUSALS, AlphaVantage, wire_symbol
from quantx.providers.alphavantage_minutes import stamps_of
from quantx.providers.protocol import Dataset, Page, Provider, Request
from quantx.testing.provider_contract import ProviderContract, check_schema
from quantx.testing.stub_vendor import NOW, Answer, NoClock, Question, StoppedClock, payload, replying_with, stub_vendor

from ..market_data import either

URL = "https://www.alphavantage.co/query?function={}&symbol={}"
OFFLINE = AlphaVantage(None, NoClock())  # type: ignore[arg-type]  # normalize needs no session
WINDOW = Window(date(2026, 1, 5), date(2026, 1, 15))

BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly. You may"
    " subscribe to any of the premium plans at https://www.alphavantage.co/premium/ to lift the free key rate limit (25"
    " requests per day) and instantly unlock all premium endpoints"
)
DETECTED = (
    "We have detected your API key as {} and our standard API rate limit is 25 requests per day. Please subscribe to"
    " any of the premium plans at https://www.alphavantage.co/premium/ to instantly remove all daily rate limits."
)
FREQUENCY = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per day."
    " Please visit https://www.alphavantage.co/premium/ if you would like to target a higher API call frequency."
)
FULL = (
    "Thank you for using Alpha Vantage! The outputsize=full parameter value is a premium feature for the"
    " TIME_SERIES_DAILY endpoint. You may subscribe to any of the premium plans at"
    " https://www.alphavantage.co/premium/ to instantly unlock all premium features"
)
PREMIUM = "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans"
INVALID_KEY = "the parameter apikey is invalid or missing. Please claim your free API key on (https://www.alphavantage.co/support/#api-key)."
INVALID_CALL = (
    "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for"
    " TIME_SERIES_DAILY."
)
DEMO = "The **demo** API key is for demo purposes only. Please claim your free API key at (https://www.alphavantage.co/support/#api-key)"


@pytest.fixture(scope="module", autouse=True)
def calendars() -> None:
    """Load the calendar first: exchange_calendars 4.13 uses a deprecated part of pandas 3.1; warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calendar("XNYS")


def reply(document: object, function: str = "TIME_SERIES_DAILY", symbol: str = "IBM") -> Payload:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return payload(symbol, URL.format(function, wire_symbol(symbol)), body)


def daily(*days: str, refreshed: str = "2026-01-15", symbol: str = "IBM") -> dict[str, Any]:
    """A reply as of 2020 with the same prices every day."""
    row = {"1. open": "122.98", "2. high": "123.26", "3. low": "120.85", "4. close": "121.23", "5. volume": "4412047"}
    meta = {
        "2. Symbol": symbol,
        "3. Last Refreshed": refreshed,
        "4. Output Size": "Compact",
        "5. Time Zone": "US/Eastern",
    }
    return {
        "Meta Data": {"1. Information": "Daily Prices (open, high, low, close) and Volumes", **meta},
        "Time Series (Daily)": dict.fromkeys(days, row),
    }


def minutes(*stamps: str, zone: str = "US/Eastern", symbol: str = "IBM") -> dict[str, Any]:
    row = {"1. open": "1.5", "2. high": "1.75", "3. low": "1.25", "4. close": "1.5", "5. volume": "100"}
    meta = {"2. Symbol": symbol, "4. Interval": "1min", "5. Output Size": "Full size", "6. Time Zone": zone}
    return {"Meta Data": meta, "Time Series (1min)": dict.fromkeys(stamps, row)}


def actions(rows: list[dict[str, str]], function: str) -> pl.DataFrame:
    return OFFLINE.normalize(reply({"symbol": "IBM", "data": rows}, function)).actions


class TestAlphaVantage(ProviderContract):
    @pytest.fixture
    def provider(self) -> Provider:
        return OFFLINE

    @pytest.fixture
    def recorded(self, market_data: Path) -> list[Payload]:
        folder = market_data / "wire_alphavantage"
        daily = (folder / "IBM_2020-05-08_daily.json").read_bytes()
        adjusted = (folder / "IBM_2020-05-08_dailyadjusted.json").read_bytes()
        intraday = (folder / "mock_time_series.json").read_bytes()
        return [
            reply(daily),
            reply(adjusted, "TIME_SERIES_DAILY_ADJUSTED"),
            reply(intraday, "TIME_SERIES_INTRADAY", "MSFT"),
        ]

    @pytest.fixture
    def empty(self) -> list[Payload]:
        nothing = {"symbol": "IBM", "data": []}
        return [
            reply(nothing, "SPLITS"),
            reply(nothing, "DIVIDENDS"),
            reply(daily()),
            reply(minutes(), "TIME_SERIES_INTRADAY"),
        ]

    @pytest.fixture
    def replying(self) -> Iterator[Callable[[bytes], Provider]]:
        with replying_with(AlphaVantage) as replying:
            yield replying

    @pytest.fixture
    def window(self) -> Window:
        return WINDOW


# --------------------------------------------------------------------------------------------------------- the question


def answering(question: Question) -> Answer:
    function, symbol = question.params["function"], question.params["symbol"]
    documents = {
        "TIME_SERIES_DAILY": daily("2026-01-15", "2026-01-14", symbol=symbol),
        "TIME_SERIES_INTRADAY": minutes("2026-01-15 15:59:00", "2026-01-15 09:30:00", symbol=symbol),
    }
    return Answer(json.dumps(documents.get(function, {"symbol": symbol, "data": []})).encode())


def asked_for(
    window: Window, dataset: Dataset = "bars", timeframe: str = "1d"
) -> tuple[list[dict[str, str]], list[Page]]:
    with stub_vendor(answering) as vendor:
        pages = list(
            AlphaVantage(vendor.session(), StoppedClock()).fetch(Request(dataset, timeframe, ("BRK.B",), window))
        )
    assert {asked.path for asked in vendor.asked} == {PATH}
    assert {asked.params["symbol"] for asked in vendor.asked} == {"BRK-B"}
    return [{k: v for k, v in asked.params.items() if k not in ("apikey", "symbol")} for asked in vendor.asked], pages


def test_the_newest_hundred_sessions_are_asked_for_compactly_and_more_in_full() -> None:
    for start, size in (
        (date(2026, 1, 14), "compact"),
        (date(2025, 9, 2), "compact"),
        (date(2025, 8, 29), "full"),
        (date(1999, 1, 4), "full"),
    ):
        asked, (page,) = asked_for(Window(start, date(2026, 1, 15)))
        assert asked == [{"function": "TIME_SERIES_DAILY", "outputsize": size}], start
        assert page.complete == page.symbols == {"BRK.B"}


def test_a_hundred_rows_hold_what_is_asked_for_compactly() -> None:
    sessions = calendar("XNYS").sessions(date(2024, 1, 1), date(2026, 1, 15))
    asked, _ = asked_for(Window(sessions[-101], sessions[-1]))
    assert asked[0]["outputsize"] == "full"
    recent = AlphaVantage(None, StoppedClock())._is_recent  # type: ignore[arg-type]
    assert not any(recent(day) for day in sessions[:-100])
    assert sum(recent(day) for day in sessions) >= 90  # holidays are not known here


def test_minutes_are_asked_for_by_month_as_traded_and_without_extended_hours() -> None:
    asked, pages = asked_for(Window(date(2025, 11, 28), date(2026, 1, 2)), timeframe="1m")
    assert [question["month"] for question in asked] == ["2025-11", "2025-12", "2026-01"]
    assert all(
        question.items()
        >= {"interval": "1min", "adjusted": "false", "extended_hours": "false", "outputsize": "full"}.items()
        for question in asked
    )
    assert [page.complete for page in pages] == [frozenset(), frozenset(), {"BRK.B"}]


def test_actions_are_two_requests_and_complete_with_the_second() -> None:
    asked, pages = asked_for(WINDOW, "actions")
    assert asked == [{"function": "SPLITS"}, {"function": "DIVIDENDS"}]
    assert [page.complete for page in pages] == [frozenset(), {"BRK.B"}]


def test_each_page_is_one_request() -> None:
    with stub_vendor(answering) as vendor:
        request = Request("bars", "1m", ("IBM",), Window(date(2025, 11, 28), date(2026, 1, 2)))
        pages = AlphaVantage(vendor.session(), StoppedClock()).fetch(request)
        for count in (1, 2, 3):
            next(pages)
            assert len(vendor.asked) == count


@pytest.mark.parametrize(("symbol", "wire"), [("IBM", "IBM"), ("BRK.B", "BRK-B"), ("ABR.PRD", "ABR-P-D")])
def test_symbols_in_its_own_form(symbol: str, wire: str) -> None:
    assert wire_symbol(symbol) == wire


@pytest.mark.parametrize("symbol", ["0700.HK", "VOD.L", "^GSPC"])
def test_what_it_is_not_asked_for_is_unknown_there(symbol: str) -> None:
    with stub_vendor(answering) as vendor, pytest.raises(UnknownSymbol, match="American shares only") as caught:
        list(AlphaVantage(vendor.session(), StoppedClock()).fetch(Request("bars", "1d", (symbol,), WINDOW)))
    assert vendor.asked == []
    assert caught.value.symbols == {symbol}


# ----------------------------------------------------------------------------------------------------------- daily bars


def test_the_bar_of_a_running_session_is_left_out(market_data: Path) -> None:
    folder = market_data / "wire_alphavantage"
    for name, function in (("daily", "TIME_SERIES_DAILY"), ("dailyadjusted", "TIME_SERIES_DAILY_ADJUSTED")):
        read = OFFLINE.normalize(reply((folder / f"IBM_2020-05-08_{name}.json").read_bytes(), function))
        assert read.bars["date"].to_list() == [date(2020, 5, 7)]  # refreshed on the 8th at 14:07
        assert read.bars.row(0)[3:8] == either(
            (122.98, 123.26, 120.85, 121.23, 4412047.0), (80.15, 80.29, 80.14, 80.18, 569000.0)
        )
        assert read.currency == "USD"


@pytest.mark.parametrize(
    ("refreshed", "kept"),
    [
        ("2026-01-15", 2),
        ("2026-01-15 16:00:00", 2),
        ("2026-01-15 16:00:01", 2),
        ("2026-01-15 20:00:00", 2),
        ("2026-01-15 15:59:59", 1),
        ("2026-01-15 09:31:00", 1),
        ("2026-01-16 09:31:00", 2),
    ],
)
def test_a_session_is_running_until_it_was_refreshed_at_its_close(refreshed: str, kept: int) -> None:
    document = daily("2026-01-15", "2026-01-14", refreshed=refreshed)
    assert len(OFFLINE.normalize(reply(document)).bars) == kept


def test_the_adjusted_form_names_its_actions(market_data: Path) -> None:
    body = (market_data / "wire_alphavantage" / "IBM_2020-05-08_dailyadjusted.json").read_bytes()
    read = OFFLINE.normalize(reply(body, "TIME_SERIES_DAILY_ADJUSTED"))
    assert read.actions.rows() == [("IBM", date(2020, 5, 7), "dividend", either(1.63, 0.75), None)]
    assert read.bars["vendor_adj_close"].to_list() == [either(121.23, 80.18)]


@pytest.mark.parametrize(
    "change",
    [
        {"5. Time Zone": "UTC"},
        {"2. Symbol": "MSFT"},
        {"2. Symbol": None},
    ],
)
def test_another_zone_or_symbol_is_malformed(change: dict[str, Any]) -> None:
    document = daily("2026-01-14")
    document["Meta Data"] |= change
    with pytest.raises(MalformedPayload):
        OFFLINE.normalize(reply(document))


def test_an_answer_to_another_question_is_malformed() -> None:
    for function in ("TIME_SERIES_INTRADAY", "SPLITS", ""):
        with pytest.raises(MalformedPayload, match="no answer to"):
            OFFLINE.normalize(reply(daily("2026-01-14"), function))


# -------------------------------------------------------------------------------------------------------------- actions


def test_amounts_are_as_paid_and_what_is_only_announced_is_left_out() -> None:
    paid = [
        {"ex_dividend_date": "2026-02-09", "declaration_date": "2026-01-14", "amount": "1.69"},  # after NOW
        {"ex_dividend_date": "2026-01-16", "declaration_date": "2026-01-02", "amount": "1.68"},
        {"ex_dividend_date": "2025-11-10", "declaration_date": "None", "amount": "0"},
        {"ex_dividend_date": "1999-02-08", "declaration_date": "None", "payment_date": "None", "amount": "0.22"},
    ]
    assert actions(paid, "DIVIDENDS").rows() == [
        ("IBM", date(1999, 2, 8), "dividend", 0.22, None),
        ("IBM", date(2026, 1, 16), "dividend", 1.68, None),
    ]
    split = [
        {"effective_date": "2026-06-01", "split_factor": "3.0000"},
        {"effective_date": "2021-11-04", "split_factor": "1.0460"},
        {"effective_date": "1999-05-27", "split_factor": "2.0000"},
    ]
    assert actions(split, "SPLITS").rows() == [
        ("IBM", date(1999, 5, 27), "split", 2.0, None),
        ("IBM", date(2021, 11, 4), "split", 1.046, None),
    ]


@pytest.mark.parametrize(
    ("function", "row"),
    [
        ("SPLITS", {"effective_date": "1999-05-27"}),
        ("DIVIDENDS", {"effective_date": "1999-05-27", "split_factor": "2.0"}),
    ],
)
def test_rows_of_another_kind_are_malformed(function: str, row: dict[str, str]) -> None:
    with pytest.raises(MalformedPayload):
        actions([row], function)


@pytest.mark.parametrize(
    ("function", "row", "rules"),
    [
        ("SPLITS", {"effective_date": "1999-05-27", "split_factor": "None"}, "event_readable"),
        ("SPLITS", {"effective_date": "1999-05-27", "split_factor": "0"}, "split_ratio_possible"),
        ("SPLITS", {"effective_date": "1999-05-27", "split_factor": "inf"}, "event_readable"),
        ("SPLITS", {"effective_date": "None", "split_factor": "2.0"}, "event_date_possible"),
        ("DIVIDENDS", {"ex_dividend_date": "1999-02-08", "amount": "-0.22"}, "dividend_amount_possible"),
        ("DIVIDENDS", {"ex_dividend_date": "1999-02-08", "amount": None}, "event_readable"),
        ("DIVIDENDS", {"ex_dividend_date": "0000-00-00", "amount": "0.22"}, "event_date_possible"),
        ("DIVIDENDS", None, "event_readable,event_date_possible"),
    ],
)
def test_a_senseless_event_costs_only_itself(function: str, row: dict[str, str] | None, rules: str) -> None:
    good = {"effective_date": "1998-05-27", "split_factor": "2"}
    if function == "DIVIDENDS":
        good = {"ex_dividend_date": "1998-02-09", "amount": "0.2"}
    frames = OFFLINE.normalize(reply({"symbol": "IBM", "data": [row, good]}, function))
    assert frames.actions.height == 1
    assert frames.rejected.select("rules", "place").rows() == [(rules, "data[0]")]


# -------------------------------------------------------------------------------------------------------- minute stamps


def recorded_minutes(market_data: Path, symbol: str) -> Payload:
    """The recorded CSV in the form of JSON, which is the requested one."""
    path = market_data / "minute_us_alphavantage_2019-02" / f"{symbol}_1min.csv.gz"
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    fields = ("open", "high", "low", "close", "volume")
    document = minutes(symbol=symbol)
    document["Time Series (1min)"] = {
        row["datetime"]: {f"{i}. {name}": row[name] for i, name in enumerate(fields, start=1)} for row in rows
    }
    return reply(document, "TIME_SERIES_INTRADAY", symbol)


@pytest.mark.parametrize("symbol", ["AAPL", "SLV", "AMT", "VOO"])
def test_the_recordings_of_2019_stamp_ends_and_become_beginnings(market_data: Path, symbol: str) -> None:
    recorded = recorded_minutes(market_data, symbol)
    read = OFFLINE.normalize(recorded)
    bars = read.bars
    assert [(note.rule, note.severity) for note in read.notes] == [("minutes_stamped_at_end", "warn")]
    assert len(bars) == len(json.loads(recorded.body)["Time Series (1min)"])
    local = bars["time"].dt.convert_time_zone("America/New_York")
    assert local.dt.time().is_between(time(9, 30), time(15, 59)).all()
    assert bars["time"].max() == datetime(2019, 2, 15, 20, 59, tzinfo=UTC)
    assert local.dt.date().equals(bars["date"], check_names=False)


def stamps(day: str, first: str, last: str) -> list[str]:
    start, end = (datetime.fromisoformat(f"{day} {at}") for at in (first, last))
    count = (end - start) // timedelta(minutes=1) + 1
    return [str(start + timedelta(minutes=i)) for i in range(count)][::-1]


@pytest.mark.parametrize(
    ("series", "found"),
    [
        (stamps("2026-01-15", "09:31", "16:00"), "end"),
        (stamps("2026-01-15", "09:30", "15:59"), "start"),
        (stamps("2025-11-28", "09:31", "13:00"), "end"),  # a half day
        (stamps("2025-11-28", "09:30", "12:59"), "start"),
        (stamps("2026-01-15", "12:00", "13:00"), "unknown"),  # of a whole day: no close
        (stamps("2026-01-15", "04:01", "20:00"), "end"),
        (stamps("2026-01-15", "04:00", "19:59"), "start"),
        (stamps("2026-01-15", "08:00", "17:00"), "unknown"),
        (["2026-01-15 16:00:00"], "end"),
        (["2026-01-15 09:30:00"], "start"),
        ([], "unknown"),
    ],
)
def test_a_reply_tells_what_its_stamps_mean(series: list[str], found: str) -> None:
    kept = reply(minutes(*series), "TIME_SERIES_INTRADAY")
    assert stamps_of(json.loads(kept.body)["Time Series (1min)"]) == found
    bars = OFFLINE.normalize(kept).bars
    first = min(series, default=None)
    shift = timedelta(minutes=1) if found == "end" else timedelta(0)
    local = bars["time"].dt.convert_time_zone("America/New_York").dt.replace_time_zone(None).min()
    assert local == (None if first is None else datetime.fromisoformat(first) - shift)


@pytest.mark.parametrize(
    "series",
    [
        stamps("2026-01-15", "09:30", "16:00"),
        stamps("2026-01-15", "04:00", "20:00"),
        [*stamps("2026-01-15", "09:30", "15:59"), *stamps("2026-01-14", "09:31", "16:00")],
        [*stamps("2025-11-28", "09:30", "13:00")],
    ],
)
def test_a_change_of_habit_within_a_reply_is_malformed(series: list[str]) -> None:
    with pytest.raises(MalformedPayload, match="changed its habit"):
        OFFLINE.normalize(reply(minutes(*series), "TIME_SERIES_INTRADAY"))


@pytest.mark.parametrize(
    "stamp", ["2026-01-15 16:00", "2026-01-15 16:00:30", "15.01.2026 16:00:00", "2026-01-15T16:00:00Z"]
)
def test_a_stamp_of_another_form_is_malformed(stamp: str) -> None:
    with pytest.raises(MalformedPayload):
        OFFLINE.normalize(reply(minutes(stamp), "TIME_SERIES_INTRADAY"))


def test_summer_and_winter_become_utc() -> None:
    series = ["2025-11-03 09:30:00", "2025-10-31 09:30:00"]
    bars = OFFLINE.normalize(reply(minutes(*series), "TIME_SERIES_INTRADAY")).bars
    assert bars["time"].dt.hour().to_list() == [14, 13]


# --------------------------------------------------------------------------------------------------------- the refusals


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({"Note": FREQUENCY}, RateLimited),
        ({"Information": BURST}, RateLimited),
        ({"Information": DETECTED.format("ABC")}, RateLimited),
        ({"Information": FULL}, NotEntitled),
        ({"Information": PREMIUM}, NotEntitled),
        ({"Information": DEMO}, NotEntitled),
        ({"Error Message": INVALID_KEY}, NotEntitled),
        ({"Information": INVALID_KEY}, NotEntitled),
        ({"Error Message": INVALID_CALL}, UnknownSymbol),
        ({"Information": "Something new"}, MalformedPayload),
        ({"Note": 5}, MalformedPayload),
    ],
)
def test_each_text_means_its_error(document: dict[str, str], error: type[ProviderError]) -> None:
    body = json.dumps(document).encode()
    with stub_vendor(body) as vendor:
        for dataset in ("bars", "actions"):
            with pytest.raises(error) as caught:
                list(AlphaVantage(vendor.session(), StoppedClock()).fetch(Request(dataset, "1d", ("IBM",), WINDOW)))  # type: ignore[arg-type]
            assert type(caught.value) is error
            assert "IBM" in str(caught.value)
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after is None
    if isinstance(caught.value, UnknownSymbol):
        assert caught.value.symbols == {"IBM"}
    with pytest.raises(MalformedPayload):
        OFFLINE.normalize(reply(document))


def test_every_refusal_names_its_source() -> None:
    assert all(refusal.seen and refusal.words == refusal.words.lower() for refusal in REFUSALS)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1d", "NaN", "1e999"]),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FORMS = {
    "TIME_SERIES_DAILY": daily("2026-01-14", "2026-01-13"),
    "TIME_SERIES_INTRADAY": minutes("2026-01-14 10:00:00", "2026-01-14 09:59:00"),
    "SPLITS": {"symbol": "IBM", "data": [{"effective_date": "1999-05-27", "split_factor": "2.0"}]},
    "DIVIDENDS": {"symbol": "IBM", "data": [{"ex_dividend_date": "1999-02-08", "amount": "0.22"}]},
}


def places(node: Any) -> list[tuple[Any, Any]]:
    keys = range(len(node)) if isinstance(node, list) else list(node) if isinstance(node, dict) else []
    return [place for key in keys for place in ((node, key), *places(node[key]))]


@given(st.data())
def test_whatever_stands_in_one_place_a_reply_is_read_or_malformed(data: st.DataObject) -> None:
    function = data.draw(st.sampled_from(sorted(FORMS)))
    document = json.loads(json.dumps(FORMS[function]))
    container, key = data.draw(st.sampled_from(places(document)))
    container[key] = data.draw(ANYTHING)
    try:
        check_schema(OFFLINE.normalize(reply(document, function)))
    except MalformedPayload:
        return


def test_the_reply_is_kept_with_its_times() -> None:
    _, (page,) = asked_for(WINDOW)
    assert page.payload.fetched_at == NOW
    assert page.payload.vendor_time == datetime(2026, 1, 16, 11, 59, 30, tzinfo=UTC)
