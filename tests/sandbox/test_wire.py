"""The form of the replies is Yahoo's: keys as recorded, windows by opening time, and its ways of having nothing."""

from __future__ import annotations

import json
from datetime import date

import pytest

from ..market_data import either

WITH_EVENTS = f"wire_yahoo/v8_chart/chart-{either('AAPL', 'QZSPL')}-2020-08-31-to-2020-11-07.json"
WITHOUT_DATA = f"wire_yahoo/v8_chart_bodies/{either('scheb_noData', 'noData')}.json"


def keys(value):
    """The names in a document, one level of a list standing for all of it."""
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return [keys(value[0])] if isinstance(value, list) and value and isinstance(value[0], (dict, list)) else None


def test_a_chart_has_the_keys_of_a_recorded_one(small, ask, market_data):
    recorded = json.loads((market_data / WITH_EVENTS).read_text())["response"]["bodyJson"]["chart"]
    _, ours = ask(small, "2014-06-20", "ACME-B", range="max")
    for chart in (recorded, ours):
        for kind, events in chart["result"][0]["events"].items():
            chart["result"][0]["events"][kind] = list(events.values())
    assert keys(ours) == keys(recorded)


def test_meta_has_zone_currency_and_the_last_trade(small, ask, at):
    _, chart = ask(small, "2014-06-20", "ACME-B", range="5d")
    meta = chart["result"][0]["meta"]
    told = {
        "symbol": "ACME-B",
        "currency": "USD",
        "exchangeTimezoneName": "America/New_York",
        "timezone": "EDT",
        "gmtoffset": -14400,
        "firstTradeDate": at("2014-06-02T13:30:00"),
        "regularMarketTime": at("2014-06-20T20:00:00"),
        "regularMarketPrice": 57.0,
        "range": "5d",
        "dataGranularity": "1d",
        "chartPreviousClose": 54.5,
    }
    assert {name: meta[name] for name in told} == told


def test_rows_are_chosen_by_the_opening_of_their_session(small, ask, at):
    first, second = at("2014-06-03T13:30:00"), at("2014-06-04T13:30:00")
    for period2, expected in ((second, [first]), (second + 1, [first, second])):
        _, chart = ask(small, "2014-06-20", "ACME-B", period1=first, period2=period2)
        assert chart["result"][0]["timestamp"] == expected
    _, chart = ask(small, "2014-06-20", "ACME-B", period1=first + 1, period2=second + 1)
    assert chart["result"][0]["timestamp"] == [second]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("1d", date(2024, 12, 31)),
        ("5d", date(2024, 12, 24)),
        ("1mo", date(2024, 12, 2)),
        ("3mo", date(2024, 9, 30)),
        ("1y", date(2024, 1, 2)),
        ("10y", date(2015, 1, 2)),
        ("ytd", date(2024, 1, 2)),
        ("max", date(2015, 1, 2)),
    ],
)
def test_a_range_ends_at_the_clock(synthetic, rows, name, first):
    days = sorted(rows(synthetic, "2024-12-31", "QXAC", range=name))
    assert (days[0], days[-1]) == (first, date(2024, 12, 31))


def test_without_a_range_the_last_session_is_meant(small, ask, at):
    _, chart = ask(small, "2014-06-21", "ACME-B")
    assert chart["result"][0]["timestamp"] == [at("2014-06-20T13:30:00")]


def test_nulls_stay_nulls(synthetic, ask, at):
    spoiled = next(d for d in synthetic.dirt if d.kind == "null_row")
    start = at(f"{spoiled.date}T00:00:00")
    _, chart = ask(synthetic, "2024-12-31", spoiled.symbol, period1=start, period2=start + 86_400)
    indicators = chart["result"][0]["indicators"]
    assert set(map(tuple, indicators["quote"][0].values())) == {(None,)}
    assert indicators["adjclose"] == [{"adjclose": [None]}]


@pytest.mark.parametrize(
    ("symbol", "params", "status", "code", "description"),
    [
        ("NOPE", {}, 404, "Not Found", "No data found, symbol may be delisted"),
        ("ACME.B", {}, 404, "Not Found", "No data found, symbol may be delisted"),
        (
            "ACME-B",
            {"period1": 100, "period2": 200},
            400,
            "Bad Request",
            "Data doesn't exist for startDate = 100, endDate = 200",
        ),
        (
            "ACME-B",
            {"period1": 200, "period2": 100},
            400,
            "Bad Request",
            "Invalid input - start date cannot be after end date. startDate = 200, endDate = 100",
        ),
        (
            "ACME-B",
            {"interval": "1m"},
            422,
            "Unprocessable Entity",
            "1m data not available: the sandbox has daily data only",
        ),
    ],
)
def test_refusals_have_yahoos_body(small, ask, symbol, params, status, code, description):
    assert ask(small, "2014-06-20", symbol, **params) == (
        status,
        {"result": None, "error": {"code": code, "description": description}},
    )


@pytest.mark.parametrize(
    "params", [{"interval": "9d"}, {"range": "3d"}, {"period1": "yesterday"}, {"period1": "9" * 40}]
)
def test_nonsense_is_a_bad_request(small, ask, params):
    status, chart = ask(small, "2014-06-20", "ACME-B", **params)
    assert (status, chart["error"]["code"]) == (400, "Bad Request")


def test_a_symbol_that_has_not_traded_yet_is_unknown(small, ask):
    assert ask(small, "2014-06-01", "ACME-B")[0] == 404


def test_a_window_without_rows_is_a_200_without_timestamps(small, ask, at):
    weekend = {"period1": at("2014-06-07T00:00:00"), "period2": at("2014-06-09T00:00:00")}
    for params in (weekend, {"period1": at("2015-01-01T00:00:00"), "period2": at("2015-02-01T00:00:00")}):
        status, chart = ask(small, "2014-06-20", "ACME-B", **params)
        result = chart["result"][0]
        assert status == 200
        assert set(result) == {"meta", "indicators"}
        assert result["indicators"] == {"quote": [{}], "adjclose": [{}]}
        assert result["meta"]["exchangeName"] == "NMS"


def test_a_delisted_symbol_has_the_form_of_the_recorded_one(synthetic, ask, at, market_data):
    recorded = json.loads((market_data / WITHOUT_DATA).read_text())["chart"]
    window = {"period1": at("2024-12-20T00:00:00"), "period2": at("2024-12-31T00:00:00")}
    for params in (window, {"range": "1d"}):
        status, ours = ask(synthetic, "2024-12-31", "QXAB", **params)
        assert status == 200
        assert ours["result"][0]["meta"].pop("synthetic")
        assert keys(ours) == keys(recorded)
        for name in ("currency", "exchangeName", "firstTradeDate", "exchangeTimezoneName", "validRanges"):
            assert ours["result"][0]["meta"][name] == recorded["result"][0]["meta"][name]


def test_a_delisted_symbols_past_is_still_served(synthetic, ask, at):
    last = max(synthetic.as_traded("QXAB")["date"])
    end = at(f"{last}T23:00:00")
    _, chart = ask(synthetic, "2024-12-31", "QXAB", period1=end - 5 * 86_400, period2=end)
    assert chart["result"][0]["meta"]["exchangeName"] == "NMS"
    assert len(chart["result"][0]["timestamp"]) >= 3


@pytest.mark.parametrize(
    ("symbol", "opens", "currency", "zone"),
    [("99901.HK", "01:30:00", "HKD", "Asia/Hong_Kong"), ("990Q.T", "00:00:00", "JPY", "Asia/Tokyo")],
)
def test_asian_sessions_open_in_utc(synthetic, ask, at, symbol, opens, currency, zone):
    _, chart = ask(synthetic, "2024-12-30", symbol, range="1d")
    assert chart["result"][0]["timestamp"] == [at(f"2024-12-30T{opens}")]
    meta = chart["result"][0]["meta"]
    assert (meta["currency"], meta["exchangeTimezoneName"]) == (currency, zone)
