"""Yahoo's charts of pairs, crypto currencies, futures and rates: recorded ones, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from quantx.core.model import Payload
from quantx.errors import MalformedPayload
from quantx.providers.protocol import VendorFrames
from quantx.providers.yahoo import Yahoo

from .conftest import StoppedClock, document, payload
from .recordings import read_recordings

RECORDED = {
    "BTC-USD": ("USD", ["2020-01-01", "2020-01-02", "2020-01-03"], 7200.17431640625, 18565664997),
    "EURUSD=X": ("USD", ["2020-01-01", "2020-01-02", "2020-01-03"], 1.1220825910568237, 0),
    "GC=F": ("USD", ["2020-01-02"], 1524.5, 214),
}


def never() -> Any:
    raise AssertionError("no request was expected")


def read(reply: Payload) -> VendorFrames:
    return Yahoo(never, StoppedClock()).normalize(reply)


def chart_of(symbol: str, stamps: list[str], **meta: Any) -> Payload:
    chart = document(symbol, rows=len(stamps), **meta)
    times = [int(datetime.fromisoformat(s).replace(tzinfo=UTC).timestamp()) for s in stamps]
    chart["chart"]["result"][0]["timestamp"] = times
    return payload(chart, symbol)


@pytest.mark.parametrize("symbol", RECORDED)
def test_a_recorded_chart_is_read_with_its_days_and_currency(symbol: str, market_data: Path) -> None:
    found = read_recordings(market_data / "wire_yahoo" / "v8_chart", f"*chart-{symbol}-*.json")
    if not found:
        pytest.skip(f"no recorded chart of {symbol}")
    currency, days, close, volume = RECORDED[symbol]
    for recording in found:
        frames = read(recording.payload)
        assert frames.currency == currency
        assert [str(day) for day in frames.bars["date"]] == days
        assert (frames.bars["close"][0], frames.bars["volume"][0]) == (close, volume)
        assert frames.actions.is_empty()


DAYS = {
    # London's midnight in winter and in summer, and with the stamp of the other time
    "2024-03-29T00:00": ("EURUSD=X", "Europe/London", "CURRENCY", date(2024, 3, 29)),
    "2024-03-31T23:00": ("EURUSD=X", "Europe/London", "CURRENCY", date(2024, 4, 1)),
    "2024-03-31T22:00": ("EURUSD=X", "Europe/London", "CURRENCY", date(2024, 4, 1)),
    "2024-10-27T23:00": ("EURUSD=X", "Europe/London", "CURRENCY", date(2024, 10, 28)),
    # a running bar has the time of its last trade
    "2024-03-28T22:00:07": ("EURUSD=X", "Europe/London", "CURRENCY", date(2024, 3, 28)),
    "2024-03-30T23:00": ("BTC-USD", "UTC", "CRYPTOCURRENCY", date(2024, 3, 30)),
    "2024-03-31T00:00": ("BTC-USD", "UTC", "CRYPTOCURRENCY", date(2024, 3, 31)),
    "2024-03-11T04:00": ("CL=F", "America/New_York", "FUTURE", date(2024, 3, 11)),
    "2024-03-11T05:00": ("ZC=F", "America/Chicago", "FUTURE", date(2024, 3, 11)),
    "2024-03-11T12:20": ("^TNX", "America/Chicago", "INDEX", date(2024, 3, 11)),
}


@pytest.mark.parametrize("stamp", DAYS)
def test_the_session_of_a_stamp(stamp: str) -> None:
    symbol, zone, kind, day = DAYS[stamp]
    reply = chart_of(symbol, [stamp], exchangeTimezoneName=zone, instrumentType=kind)
    assert read(reply).bars["date"].to_list() == [day]


@pytest.mark.parametrize("named", ["JPY=X", "USDJPY=X"])
def test_a_pair_with_the_dollar_has_two_names_at_the_vendor(named: str) -> None:
    chart = document("USDJPY=X", currency="JPY", instrumentType="CURRENCY", exchangeTimezoneName="Europe/London")
    chart["chart"]["result"][0]["meta"]["symbol"] = named
    assert not read(payload(chart, "USDJPY=X", wire="JPY=X")).bars.is_empty()


REFUSED = {
    "an inverted pair": ("EURUSD=X", {"currency": "EUR", "instrumentType": "CURRENCY"}, "are in EUR, not in USD"),
    "another quote": ("BTC-EUR", {"instrumentType": "CRYPTOCURRENCY"}, "are in USD, not in EUR"),
    "a pair without a currency": ("EURUSD=X", {"currency": None, "instrumentType": "CURRENCY"}, "names no currency"),
    "a share in place of a coin": ("BTC-USD", {"instrumentType": "EQUITY"}, "is a crypto, and Yahoo's chart is"),
    "a coin in place of a share": ("BTC", {"instrumentType": "CRYPTOCURRENCY"}, "is an equity, and Yahoo's chart"),
    "a fund in place of an index": ("^GSPC", {"instrumentType": "ETF"}, "is an index, and Yahoo's chart is"),
    "a future in Tokyo": (
        "CL=F",
        {"instrumentType": "FUTURE", "exchangeTimezoneName": "Asia/Tokyo"},
        "is in the time zone Asia/Tokyo",
    ),
}


@pytest.mark.parametrize(("symbol", "meta", "why"), REFUSED.values(), ids=REFUSED)
def test_the_chart_of_another_instrument_is_refused(symbol: str, meta: dict[str, Any], why: str) -> None:
    zones = {"EURUSD=X": "Europe/London", "BTC-USD": "UTC", "BTC-EUR": "UTC"}
    zone = {"exchangeTimezoneName": zones.get(symbol, "America/New_York")}
    with pytest.raises(MalformedPayload, match=why):
        read(payload(document(symbol, **{**zone, **meta}), symbol))


def test_a_dividend_of_a_crypto_currency_goes_to_quarantine_and_moves_no_price() -> None:
    chart = document("BTC-USD", exchangeTimezoneName="UTC", instrumentType="CRYPTOCURRENCY")
    chart["chart"]["result"][0]["events"] = {"dividends": {"1709683200": {"amount": 1.0, "date": 1709683200}}}
    frames = read(payload(chart, "BTC-USD"))
    assert frames.actions.is_empty()
    assert frames.rejected["rules"].to_list() == ["class_has_actions"]
