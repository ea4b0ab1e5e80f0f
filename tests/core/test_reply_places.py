"""A rejected row is found in the vendor's reply, in every form that vendors use."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from quantx.core.reply_places import SoughtRow, find_event, find_row

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2024, 1, 9)
OPENS = datetime(2024, 1, 9, 14, 30, tzinfo=UTC)
VALUES = (106.0, 105.75, 104.0, 105.5, 10.0)


def sought(*, symbol: str = "AAA", time: datetime | None = OPENS, values: tuple[float, ...] = VALUES) -> SoughtRow:
    return SoughtRow(symbol, DAY, time, NEW_YORK, values)


NAMES = ("open", "high", "low", "close", "volume")
COLUMNS = {name: [1.0, value, 3.0] for name, value in zip(NAMES, VALUES, strict=True)}
CHART = {
    "chart": {
        "result": [
            {
                "meta": {"regularMarketTime": 1704810600, "firstTradeDate": 1704810600},
                "timestamp": [1704724200, 1704810600, 1704897000],
                "events": {"dividends": {"1704810600": {"amount": 0.24, "date": 1704810600}}},
                "indicators": {"quote": [COLUMNS], "adjclose": [{"adjclose": [1.0, 105.0, 3.0]}]},
            }
        ]
    }
}
BARS = [dict(zip("ohlcv", row, strict=True)) for row in ((1, 2, 0.5, 1.5, 7), VALUES)]
PAGE = {
    "bars": {
        "AAA": [{"t": "2024-01-08T05:00:00Z", **BARS[0]}, {"t": "2024-01-09T05:00:00Z", **BARS[1]}],
        "BBB": [{"t": "2024-01-09T05:00:00Z", **BARS[0]}],
    },
    "next_page_token": None,
}
SERIES = {
    "Meta Data": {"3. Last Refreshed": "2024-01-09"},
    "Time Series (Daily)": {
        "2024-01-10": {"1. open": "1.0"},
        "2024-01-09": {f"{n}. {name}": f"{v:.4f}" for n, (name, v) in enumerate(zip(NAMES, VALUES, strict=True), 1)},
    },
}
MINUTES = {"Time Series (1min)": {"2024-01-09 09:31:00": {"1. open": "106.0"}, "2024-01-09 09:32:00": {"1. open": "1"}}}
RECORDS = [{"date": "2024-01-10", "close": 1}, {"date": "2024-01-09", **dict(zip(NAMES, VALUES, strict=True))}]
DOUBLED = [{"date": "2024-01-09", "open": 1.0, "close": 2.0}, {"date": "2024-01-09", "open": 106.0, "close": 105.5}]
ROWS = {"bars": [["2024-01-08", 1.0, 2.0, 3.0, 4.0, 5.0], ["2024-01-09", *VALUES], ["2024-01-10", 1, 2, 3, 4, 5]]}
CSV = "Date,Open,High,Low,Close,Volume\r\n2024-01-08,1,2,3,4,5\r\n2024-01-09,106,105.75,104,105.5,10\r\n"
BULK = "<TICKER>,<PER>,<DATE>\nAAA.US,D,20240108,1\nAAA.US,D,20240109,000000,106,105.75,104,105.5,10,0"
TWICE = "2024-01-09,1,2,3,4,5\n2024-01-09,106,105.75,104,105.5,10\n"

PLACES = [
    ("Yahoo's chart", CHART, "/chart/result/0/timestamp/1", "/chart/result/0/indicators/quote/0/high/1: 105.75"),
    ("Alpaca's page", PAGE, "/bars/AAA/1", '"h": 105.75'),
    ("Alpha Vantage's days", SERIES, "/Time Series (Daily)/2024-01-09", '"2. high": "105.7500"'),
    ("Alpha Vantage's minutes, with their end", MINUTES, "/Time Series (1min)/2024-01-09 09:31:00", "106.0"),
    ("FMP's records", RECORDS, "/1", '"high": 105.75'),
    ("one day twice", DOUBLED, "/1", "105.5"),
    ("rows", ROWS, "/bars/1", '["2024-01-09", 106.0'),
    ("Stooq's CSV", CSV, "line 3", "2024-01-09,106,105.75,104,105.5,10"),
    ("Stooq's bulk file", BULK, "line 3", "AAA.US,D,20240109"),
    ("one line twice", TWICE, "line 2", "106"),
]


@pytest.mark.parametrize(("reply", "where", "text"), [p[1:] for p in PLACES], ids=[p[0] for p in PLACES])
def test_a_row_is_found_at_its_place(reply: object, where: str, text: str) -> None:
    body = reply if isinstance(reply, str) else json.dumps(reply)
    at = OPENS if "Z" not in body else datetime(2024, 1, 9, 5, tzinfo=UTC)
    place = find_row(body.encode(), sought(time=at))
    assert place is not None
    assert place.where == where
    assert text in place.text


def test_each_symbol_of_a_page_has_its_own_row() -> None:
    at_midnight = datetime(2024, 1, 9, 5, tzinfo=UTC)
    for symbol, values, where in (("BBB", (1.0, 2.0, 0.5, 1.5, 7.0), "/bars/BBB/0"), ("AAA", VALUES, "/bars/AAA/1")):
        place = find_row(json.dumps(PAGE).encode(), sought(symbol=symbol, time=at_midnight, values=values))
        assert place is not None
        assert place.where == where


def test_an_empty_row_is_found_by_its_stamp() -> None:
    hollow = {**CHART["chart"]["result"][0], "indicators": {"quote": [{name: [1.0, None, 3.0] for name in NAMES}]}}
    place = find_row(json.dumps({"chart": {"result": [hollow]}}).encode(), sought(values=()))
    assert place is not None
    assert place.where == "/chart/result/0/timestamp/1"
    assert "/chart/result/0/indicators/quote/0/open/1: null" in place.text


@pytest.mark.parametrize("body", ["", "<html>2024</html>", "{", '{"a": [1, 2', "Date,Open\n2024-01-08,1", "[]", "null"])
def test_what_a_reply_does_not_have_is_not_shown(body: str) -> None:
    assert find_row(body.encode(), sought()) is None
    assert find_event(body.encode(), "[0]", '{"a": 1}') is None


def test_an_event_is_found_by_its_value_and_the_end_of_its_place() -> None:
    split = {"numerator": 1, "denominator": 0}
    body = json.dumps({"events": {"splits": {"1704810600": split, "1704897000": split}}}).encode()
    place = find_event(body, "events.splits.1704897000", json.dumps(split))
    assert place is not None
    assert place.where == "/events/splits/1704897000"
    assert json.loads(place.text) == split
    rows = json.dumps([split, {"a/b": [3]}, split]).encode()
    found = [find_event(rows, name, json.dumps(value)) for name, value in (("[2]", split), ("x", [3]))]
    assert [place and place.where for place in found] == ["/2", "/1/a~1b"]
