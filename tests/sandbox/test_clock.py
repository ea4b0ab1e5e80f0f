"""The clock decides which sessions exist, and how much of the running one."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from quantx.errors import ConfigError
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock, parse_now
from quantx.sandbox.yahoo_wire import YahooWire

TENTH = date(2014, 6, 10)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2016-12-30", datetime(2016, 12, 30, 23, 59, 59, tzinfo=UTC)),
        (date(2016, 12, 30), datetime(2016, 12, 30, 23, 59, 59, tzinfo=UTC)),
        ("2016-12-30T15:00", datetime(2016, 12, 30, 15, tzinfo=UTC)),
        ("2016-12-30T10:00:00-05:00", datetime(2016, 12, 30, 15, tzinfo=UTC)),
        (datetime(2016, 12, 30, 15), datetime(2016, 12, 30, 15, tzinfo=UTC)),  # noqa: DTZ001 - no zone means UTC
    ],
)
def test_a_date_is_its_end_and_an_instant_is_utc(text, instant):
    assert parse_now(text) == instant


@pytest.mark.parametrize("text", ["", "tomorrow", "2016-13-01", "20161230T99", "0001-01-01", "9999-12-31", None, 7])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ConfigError, match="write it as in"):
        parse_now(text)


def test_without_a_setting_it_follows_the_system():
    assert abs(SandboxClock().now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_on_a_bare_date_the_days_session_is_closed(small, rows):
    bars = rows(small, str(TENTH), "ACME-B")
    assert max(bars) == TENTH
    assert bars[TENTH]["close"] == 53
    assert bars[TENTH]["volume"] == 2120


def test_a_running_session_is_served_in_part(small, ask, rows, at):
    noon = "2014-06-10T16:00:00Z"
    bar = rows(small, noon, "ACME-B")[TENTH]
    assert bar["time"] == at("2014-06-10T16:00:00")
    assert bar["open"] == 52.5
    assert bar["close"] != 53
    assert bar["low"] <= min(bar["open"], bar["close"]) <= max(bar["open"], bar["close"]) <= bar["high"] < 54
    assert 0 < bar["volume"] < 2120
    assert bar["adjclose"] == bar["close"]
    _, chart = ask(small, noon, "ACME-B", range="1d")
    assert chart["result"][0]["meta"]["regularMarketTime"] == at("2014-06-10T16:00:00")
    assert rows(small, noon, "ACME-B")[TENTH] == bar


def test_a_session_is_whole_from_its_close_on(small, rows, at):
    assert rows(small, "2014-06-10T19:59:59Z", "ACME-B")[TENTH]["volume"] < 2120
    bar = rows(small, "2014-06-10T20:00:00Z", "ACME-B")[TENTH]
    assert (bar["volume"], bar["time"]) == (2120, at("2014-06-10T13:30:00"))


def test_before_the_opening_the_day_has_no_row(small, rows):
    assert max(rows(small, "2014-06-10T13:29:59Z", "ACME-B")) == date(2014, 6, 9)


def test_the_session_in_progress_is_chosen_by_its_opening(small, ask, at):
    window = {"period1": at("2014-06-10T04:00:00"), "period2": at("2014-06-10T14:00:00")}
    _, chart = ask(small, "2014-06-10T16:00:00Z", "ACME-B", **window)
    assert chart["result"][0]["timestamp"] == [at("2014-06-10T16:00:00")]


def test_the_clock_moves_both_ways(small):
    clock = SandboxClock("2014-06-20")
    vendor = YahooWire(Book(small, clock), None)
    closes = []
    for now in ("2014-06-20", "2014-06-06", "2014-06-20"):
        clock.set(now)
        chart = json.loads(vendor.chart("ACME-B", {"range": "max"}).body)["chart"]["result"][0]
        closes.append(chart["indicators"]["quote"][0]["close"])
    assert closes[0] == closes[2]
    assert closes[1] == [100, 101, 102, 103, 104]
    assert closes[0][:5] == [50, 50.5, 51, 51.5, 52]
