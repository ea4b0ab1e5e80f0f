"""What a chart of Yahoo means, and what is refused because it would be a guess."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantx.core.model import Window
from quantx.errors import ConfigError, InvalidSymbol, MalformedPayload
from quantx.providers.protocol import VendorFrames
from quantx.providers.yahoo import Yahoo, wire_symbol

from ..market_data import either
from .conftest import NOW, StoppedClock, document, payload
from .recordings import read_recordings

MONDAY = 1709562600  # 2024-03-04 09:30 in New York


class Unreachable:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def chart(self, wire_symbol: str, params: dict[str, Any]) -> Any:
        self.asked.append(wire_symbol)
        raise AssertionError("no request was expected")


def read(chart: dict[str, Any] | bytes, symbol: str = "AAPL") -> VendorFrames:
    return Yahoo(Unreachable, StoppedClock()).normalize(payload(chart, symbol))


def changed(**parts: Any) -> dict[str, Any]:
    """The usual chart with other parts: of the result, its meta (`meta_…`) or its quote (`quote_…`)."""
    chart = document()
    result = chart["chart"]["result"][0]
    for name, value in parts.items():
        where, _, key = name.partition("_")
        target = {"meta": result["meta"], "quote": result["indicators"]["quote"][0]}[where] if key else result
        target[key or name] = value
    return chart


def events(**kinds: Any) -> dict[str, Any]:
    return changed(events={kind: {str(i): e for i, e in enumerate(found)} for kind, found in kinds.items()})


# ------------------------------------------------------------------------------------------------------------- bars


def test_a_row_keeps_its_nulls_and_its_place() -> None:
    bars = read(changed(quote_close=[100.0, None, 102.0, None, 104.0], quote_volume=[1, None, 3, 4, 5])).bars
    assert bars["close"].to_list() == [100, None, 102, None, 104]
    assert bars["volume"].to_list() == [1, None, 3, 4, 5]
    assert bars["date"].to_list() == [date(2024, 3, day) for day in (4, 5, 6, 7, 8)]
    assert bars["vendor_adj_close"].to_list() == [50, 50.5, 51, 51.5, 52]


def test_a_row_of_nulls_only_stays() -> None:
    nothing = [1.0, None, 1.0, 1.0, 1.0]
    bars = read(changed(**{f"quote_{name}": nothing for name in ("open", "high", "low", "close", "volume")})).bars
    assert bars.row(1)[3:8] == (None,) * 5


@pytest.mark.parametrize("token", ["NaN", '"NaN"'])
def test_no_number_is_a_null(token: str) -> None:
    body = json.dumps(changed(quote_close=[1.5, 2.5, 777.0, 4.5, 5.5])).replace("777.0", token).encode()
    assert read(body).bars["close"].to_list() == [1.5, 2.5, None, 4.5, 5.5]


@pytest.mark.parametrize("token", ["Infinity", "-Infinity", '"Infinity"', '"-Infinity"', "1e400"])
def test_infinity_is_left_to_the_rules(token: str) -> None:
    body = json.dumps(changed(quote_high=[1.5, 2.5, 777.0, 4.5, 5.5])).replace("777.0", token).encode()
    assert abs(read(body).bars["high"][2]) == float("inf")


@pytest.mark.parametrize("volume", [0, 1e20, 2**53 + 1, 2**63, 2**64 + 1, 2**70, -5, 1234.5])
def test_a_volume_of_any_size_is_a_row_for_the_rules(volume: float) -> None:
    assert read(changed(quote_volume=[volume, 1, 2, 3, 4])).bars["volume"][0] == float(volume)


def test_doubtful_rows_reach_the_rules_as_they_are() -> None:
    times = [MONDAY + 86400 * n for n in (3, 1, 1, 5, 400)]  # unsorted, one day twice, a Saturday, next year
    bars = read(changed(timestamp=times, quote_open=[-1.0, 0.0, 1e300, 5e-324, 1.0])).bars
    assert bars["date"].to_list() == [
        date(2024, 3, 7),
        date(2024, 3, 5),
        date(2024, 3, 5),
        date(2024, 3, 9),
        date(2025, 4, 8),
    ]
    assert bars["open"].to_list() == [-1.0, 0.0, 1e300, 5e-324, 1.0]


def test_sessions_before_1970_and_before_the_epoch_of_daylight_saving() -> None:
    times = [int(datetime(1962, 1, 2 + n, 14, 30, tzinfo=UTC).timestamp()) for n in range(5)]
    assert read(changed(timestamp=times)).bars["date"][0] == date(1962, 1, 2)


@pytest.mark.parametrize(
    ("symbol", "zone", "stamp", "session"),
    [
        ("AAPL", "America/New_York", "2024-03-11T13:30", date(2024, 3, 11)),  # the Monday after the clocks went forward
        ("7203.T", "Asia/Tokyo", "2024-03-11T00:00", date(2024, 3, 11)),
        ("0700.HK", "Asia/Hong_Kong", "2024-03-11T01:30", date(2024, 3, 11)),
        ("VOD.L", "Europe/London", "2024-04-01T07:00", date(2024, 4, 1)),
        (
            "VOD.L",
            "Europe/London",
            "2024-03-31T22:00",
            date(2024, 4, 1),
        ),  # 23:00: midnight, wrong daylight saving
        ("PETR4.SA", "America/Sao_Paulo", "2022-01-03T02:00", date(2022, 1, 3)),
        ("AAPL", "America/New_York", "2024-03-12T03:59", date(2024, 3, 11)),  # 23:59 is no such stamp
    ],
)
def test_the_session_is_the_date_at_the_exchange(symbol: str, zone: str, stamp: str, session: date) -> None:
    second = int(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp())
    chart = document(symbol, rows=1, exchangeTimezoneName=zone)
    chart["chart"]["result"][0]["timestamp"] = [second]
    bars = read(chart, symbol).bars
    assert bars["date"].to_list() == [session]
    assert bars["time"].to_list() == [datetime.fromtimestamp(second, UTC)]


@pytest.mark.parametrize(
    ("symbol", "vendors", "ours"),
    [
        ("AAPL", "Asia/Tokyo", "America/New_York"),
        ("AAPL", "America/Chicago", "America/New_York"),
        ("^GSPC", "Europe/London", "America/New_York"),
        ("^N225", "America/New_York", "Asia/Tokyo"),
        ("^TWII", "Asia/Taipei", "America/New_York"),  # stored by an earlier version as an American index
        ("0700.HK", "Asia/Tokyo", "Asia/Hong_Kong"),
        ("VOD.L", "Europe/Paris", "Europe/London"),
    ],
)
def test_a_chart_in_another_time_zone_than_the_exchanges_is_refused_with_both(
    symbol: str, vendors: str, ours: str
) -> None:
    with pytest.raises(
        MalformedPayload, match=f"{symbol[1:]} is in the time zone {vendors}, its exchange is in {ours}"
    ):
        read(document(symbol, exchangeTimezoneName=vendors), symbol)


@pytest.mark.parametrize(
    ("symbol", "zone"),
    [
        ("^N225", "Asia/Tokyo"),
        ("^FTSE", "Europe/London"),
        ("^VIX", "America/Chicago"),  # Cboe's
        ("^FCHI", "Europe/Berlin"),  # the same offset
        ("AAPL", "US/Eastern"),
    ],
)
def test_a_chart_in_the_exchanges_time_is_read(symbol: str, zone: str) -> None:
    assert read(document(symbol, exchangeTimezoneName=zone), symbol).bars.height == 5


def test_a_chart_without_bars_has_no_zone_to_compare() -> None:
    chart = document("CAPIO.ST", rows=0, exchangeTimezoneName="America/New_York")
    del chart["chart"]["result"][0]["timestamp"]
    chart["chart"]["result"][0]["indicators"] = {"quote": [{}], "adjclose": [{}]}
    assert read(chart, "CAPIO.ST").bars.is_empty()


def test_the_bar_of_a_running_session_is_a_row_and_the_reply_says_until_when_it_is_final() -> None:
    running = changed(timestamp=[*(MONDAY + 86400 * n for n in range(4)), MONDAY + 4 * 86400 + 7777])
    reply = replace(payload(running), fetched_at=NOW, vendor_time=NOW - timedelta(seconds=30))
    bars = Yahoo(Unreachable, StoppedClock()).normalize(reply).bars
    assert bars["time"][-1] == datetime.fromtimestamp(MONDAY + 4 * 86400 + 7777, UTC)
    assert bars["date"][-1] == date(2024, 3, 8)
    assert reply.as_of == NOW - timedelta(seconds=30)
    assert replace(reply, vendor_time=NOW + timedelta(hours=1)).as_of == NOW
    assert replace(reply, vendor_time=None).as_of == NOW


def test_without_an_adjusted_close_none_is_claimed() -> None:
    chart = document()
    del chart["chart"]["result"][0]["indicators"]["adjclose"]
    assert read(chart).bars["vendor_adj_close"].to_list() == [None] * 5


@pytest.mark.parametrize(
    "parts",
    [
        {"meta_exchangeTimezoneName": "Europe/Atlantis"},
        {"meta_exchangeTimezoneName": "EDT"},
        {"meta_exchangeTimezoneName": ""},
        {"meta_exchangeTimezoneName": None},
        {"meta_exchangeTimezoneName": "../../etc/passwd"},
        {"timestamp": [1.5] * 5},
        {"timestamp": [None] * 5},
        {"timestamp": [True] * 5},
        {"timestamp": ["1709562600"] * 5},
        {"timestamp": [(MONDAY + n) * 1000 for n in range(5)]},
        {"timestamp": [10**30] * 5},
        {"timestamp": [MONDAY]},
        {"timestamp": MONDAY},
        {"quote_open": [1.0] * 4},
        {"quote_open": [1.0] * 6},
        {"quote_open": [1.0]},
        {"quote_open": 1.0},
        {"quote_open": None},
        {"quote_open": "12345"},
        {"quote_open": ["1.0"] * 5},
        {"quote_open": [True] * 5},
        {"quote_open": [[1.0]] * 5},
        {"quote_volume": [10**400, 1, 2, 3, 4]},
        {"indicators": {}},
        {"indicators": {"quote": []}},
        {"indicators": {"quote": [{}]}},
        {"meta_currency": 826},
        {"meta_currency": "'; drop table bars"},
        {"meta_dataGranularity": "3mo"},
        {"meta_dataGranularity": 5},
        {"meta_symbol": "MSFT"},
        {"meta_symbol": None},
        {"meta": None},
    ],
    ids=lambda parts: str(parts)[:60],
)
def test_what_is_no_chart_of_daily_bars_is_malformed(parts: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload) as caught:
        read(changed(**parts))
    assert len(str(caught.value)) < 400


# ------------------------------------------------------------------------------------------------ splits and dividends


def test_splits_and_dividends_by_date_and_kind() -> None:
    actions = read(
        events(
            splits=[
                {"date": MONDAY + 86400, "numerator": 4, "denominator": 1, "splitRatio": "4:1"},
                {"date": MONDAY, "numerator": 1, "denominator": 8},
                {"date": MONDAY, "numerator": 7, "denominator": 7},
            ],
            dividends=[{"date": MONDAY + 86400, "amount": 0.25}, {"date": MONDAY, "amount": 0}],
        )
    ).actions
    assert actions.rows() == [
        ("AAPL", date(2024, 3, 4), "split", 0.125, None),
        ("AAPL", date(2024, 3, 5), "dividend", 0.25, None),
        ("AAPL", date(2024, 3, 5), "split", 4.0, None),
    ]


def test_capital_gains_have_a_kind_of_their_own() -> None:
    actions = read(events(capitalGains=[{"date": MONDAY, "amount": 2.0}])).actions
    assert actions.select("kind", "value").rows() == [("capital_gain", 2.0)]


SPLIT = {"date": MONDAY, "numerator": 2, "denominator": 1}
PAID = {"date": MONDAY, "amount": 0.5}


@pytest.mark.parametrize(
    ("split", "rules"),
    [
        ({**SPLIT, "denominator": 0}, "split_ratio_possible"),
        ({**SPLIT, "numerator": 0}, "split_ratio_possible"),
        ({**SPLIT, "numerator": -2}, "split_ratio_possible"),
        ({**SPLIT, "numerator": None}, "event_readable"),
        ({**SPLIT, "numerator": "2"}, "event_readable"),
        ({**SPLIT, "numerator": True}, "event_readable"),
        ({**SPLIT, "numerator": float("nan")}, "split_ratio_possible"),
        ({**SPLIT, "numerator": float("inf")}, "split_ratio_possible"),
        ({**SPLIT, "numerator": 1e308, "denominator": 1e-308}, "split_ratio_possible"),
        ({**SPLIT, "date": None}, "event_date_possible"),
        ({**SPLIT, "date": -(10**30)}, "event_date_possible"),
        ({"date": MONDAY, "denominator": 1, "splitRatio": "2:1"}, "event_readable"),
        ({"date": MONDAY, "numerator": 2, "splitRatio": "2:1"}, "event_readable"),
        ({"numerator": 2, "denominator": 1}, "event_date_possible"),
        ("2:1", "event_readable,event_date_possible"),
        (None, "event_readable,event_date_possible"),
        ([SPLIT], "event_readable,event_date_possible"),
    ],
    ids=str,
)
def test_a_senseless_split_costs_only_itself(split: Any, rules: str) -> None:
    frames = read(events(splits=[SPLIT, split]))
    assert frames.actions["value"].to_list() == [2.0]
    assert frames.rejected.select("rules", "place").rows() == [(rules, "events.splits.1")]


@pytest.mark.parametrize(
    ("dividend", "rules"),
    [
        ({**PAID, "amount": None}, "event_readable"),
        ({**PAID, "amount": -0.5}, "dividend_amount_possible"),
        ({**PAID, "amount": "0.5"}, "event_readable"),
        ({**PAID, "amount": False}, "event_readable"),
        ({**PAID, "amount": float("inf")}, "dividend_amount_possible"),
        ({**PAID, "date": "2024-03-04"}, "event_date_possible"),
        ({**PAID, "currency": 5}, "event_readable"),
        ({"date": MONDAY}, "event_readable"),
        ([], "event_readable,event_date_possible"),
    ],
    ids=str,
)
def test_a_senseless_dividend_costs_only_itself(dividend: Any, rules: str) -> None:
    frames = read(events(dividends=[PAID, dividend]))
    assert frames.actions["value"].to_list() == [0.5]
    assert frames.rejected.select("rules", "place").rows() == [(rules, "events.dividends.1")]


def test_a_dividend_in_another_currency_names_it() -> None:
    """No rate is known, and none is guessed."""
    assert read(events(dividends=[{**PAID, "currency": "EUR"}])).actions.row(0)[2:] == ("dividend", 0.5, "EUR")


@pytest.mark.parametrize("form", [[SPLIT], "4:1"], ids=str)
def test_events_in_another_form_are_malformed(form: Any) -> None:
    with pytest.raises(MalformedPayload):
        read(changed(events={"splits": form}))


@pytest.mark.parametrize("nothing", [None, {}, {"splits": None, "dividends": {}}])
def test_no_events_in_any_form(nothing: Any) -> None:
    assert read(changed(events=nothing)).actions.is_empty()


@pytest.mark.parametrize(
    ("prices", "paid", "amount"),
    [
        ("GBp", "GBp", 12.5),
        ("GBp", "", 12.5),
        ("GBp", None, 12.5),
        ("GBp", "GBP", 1250.0),
        ("GBP", "GBp", 0.125),
        ("ZAc", "ZAR", 1250.0),
        ("USD", "USD", 12.5),
    ],
)
def test_a_dividend_is_in_the_unit_of_the_prices(prices: str, paid: str | None, amount: float) -> None:
    chart = changed(
        meta_currency=prices, events={"dividends": {"1": {"date": MONDAY, "amount": 12.5, "currency": paid}}}
    )
    assert read(chart).actions["value"].to_list() == [amount]


@pytest.mark.parametrize(
    ("said", "currency"), [("GBp", "GBX"), ("ZAc", "ZAC"), ("ILA", "ILA"), ("USD", "USD"), ("JPY", "JPY")]
)
def test_hundredths_have_a_name_of_their_own(said: str, currency: str) -> None:
    assert read(changed(meta_currency=said)).currency == currency


@pytest.mark.parametrize("named", [None, ""])
def test_bars_without_a_currency_are_no_prices(named: str | None) -> None:
    with pytest.raises(MalformedPayload, match="Yahoo names no currency for its bars of"):
        read(changed(meta_currency=named))
    empty = changed(meta_currency=None)
    del empty["chart"]["result"][0]["timestamp"]
    assert read(empty).bars.is_empty()  # a delisted symbol without bars is no failure


def test_points_of_an_index_need_no_currency() -> None:
    chart = changed(meta_currency=None, meta_symbol="^VXAPL")
    frames = read(chart, "^VXAPL")
    assert (frames.bars.height, frames.currency) == (5, None)


@pytest.mark.parametrize(
    ("meta", "rules"),
    [
        ({"meta_regularMarketTime": MONDAY + 4 * 86_400}, []),
        ({"meta_regularMarketTime": MONDAY - 2 * 86_400}, []),  # a fund's last trade may be reported late
        ({"meta_regularMarketTime": MONDAY - 4 * 86_400}, ["bars_after_last_trade"]),
        ({"meta_exchangeName": "YHD"}, ["bars_of_delisted"]),
        ({"meta_exchangeName": "YHD", "meta_regularMarketTime": 1}, ["bars_of_delisted", "bars_after_last_trade"]),
    ],
)
def test_meta_data_that_contradict_the_bars_are_noted(meta: dict[str, Any], rules: list[str]) -> None:
    notes = read(changed(**meta)).notes
    assert [note.rule for note in notes] == rules
    assert all(note.severity == "warn" for note in notes)


# ---------------------------------------------------------------------------------------------------------- recordings


def test_pence_stay_pence(market_data: Path) -> None:
    (recording,) = read_recordings(market_data / "wire_yahoo" / "v8_chart", either("chart-OCDO.L*", "chart-QZPEN.L*"))
    read_chart = Yahoo(Unreachable, StoppedClock()).normalize(recording.payload)
    assert read_chart.currency == "GBX"
    quote = recording.result["indicators"]["quote"][0]
    for name in ("open", "high", "low", "close", "volume"):
        assert read_chart.bars[name].to_list() == quote[name]
    assert read_chart.bars["close"][0] > 1000


def test_the_delisted_answer_of_status_200_is_nothing_and_no_error(market_data: Path) -> None:
    (recording,) = read_recordings(market_data / "wire_yahoo" / "v8_chart_bodies", "*noData*")
    read_chart = Yahoo(Unreachable, StoppedClock()).normalize(recording.payload)
    assert (len(read_chart.bars), len(read_chart.actions), read_chart.currency) == (0, 0, None)


def test_a_stored_refusal_is_malformed_for_the_reader(market_data: Path) -> None:
    folder = market_data / "wire_yahoo"
    bodies = [
        path.read_bytes() for name in ("errors_401", "errors_502", "errors_404") for path in (folder / name).glob("v7*")
    ]
    bodies += [path.read_bytes() for path in (folder / "errors_502").iterdir()]
    bodies += [r.payload.body for r in read_recordings(folder / "errors_404", "historical*")]
    assert len(bodies) >= 5
    for body in bodies:
        with pytest.raises(MalformedPayload):
            read(body)


# ------------------------------------------------------------------------------------------------------------- symbols


@pytest.mark.parametrize(
    ("canonical", "wire"),
    [
        ("AAPL", "AAPL"),
        ("aapl", "AAPL"),
        (" brk.b ", "BRK-B"),
        ("BRK.B", "BRK-B"),
        ("BF.B", "BF-B"),
        ("BAC.PRL", "BAC-PL"),
        ("^GSPC", "^GSPC"),
        ("0700.HK", "0700.HK"),
        ("7203.T", "7203.T"),
        ("285A.T", "285A.T"),
        ("ASML.AS", "ASML.AS"),
        ("OCDO.L", "OCDO.L"),
        ("NOVO-B.CO", "NOVO-B.CO"),
        ("CEZ.PR", "CEZ.PR"),
        ("TRUE", "TRUE"),
        ("NA", "NA"),
    ],
)
def test_wire_symbols(canonical: str, wire: str) -> None:
    assert wire_symbol(canonical) == wire


HOSTILE = [
    "../../x", "..\\x", "%2e%2e/", "a/b", "CON/../x", "'; drop table--", "=cmd()", "🚀", "A\u202eB", "A\x00", "A" * 300,
    "AAPL?range=max", "AAPL#", "AAPL&crumb=1", "AAPL\r\nHost: evil", "", " ", ".", "-", "http://evil/AAPL", "@evil.com",
    "AAPL,MSFT", "BTC-XYZ", "EURXYZ=X", "ＡＡＰＬ",
]  # fmt: skip


@pytest.mark.parametrize("symbol", HOSTILE, ids=ascii)
def test_what_is_no_symbol_never_reaches_a_url(symbol: str) -> None:
    session = Unreachable()
    for attempt in (lambda: wire_symbol(symbol), lambda: Yahoo(lambda: session, StoppedClock()).chart(symbol, WEEK)):
        with pytest.raises(InvalidSymbol):
            attempt()
    assert session.asked == []
    assert issubclass(InvalidSymbol, ConfigError)


WEEK = Window(date(2024, 3, 1), date(2024, 3, 7))
