"""Prices, volumes, dividends and adjclose are what Yahoo would show on the day of the clock."""

from __future__ import annotations

import lzma
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest

from quantx.sandbox import Dividend, Market
from quantx.sandbox.market import split_of

from ..market_data import either

BEFORE, SPLIT = date(2014, 6, 6), date(2014, 6, 9)
SYMBOL = either("AAPL", "QZAA")
END = date(2017, 11, 1)  # Quandl's files miss some dividends after it


def test_before_a_split_the_past_is_as_traded(small, rows):
    bars = rows(small, "2014-06-06", "ACME-B")
    assert max(bars) == BEFORE
    assert (bars[BEFORE]["close"], bars[BEFORE]["volume"]) == (104, 1040)


def test_after_a_split_the_past_is_divided_and_its_volume_multiplied(small, rows):
    bars = rows(small, "2014-06-09", "ACME-B")
    assert (bars[BEFORE]["close"], bars[BEFORE]["open"], bars[BEFORE]["volume"]) == (52, 51.75, 2080)
    assert (bars[SPLIT]["close"], bars[SPLIT]["volume"]) == (52.5, 2100)


def test_a_split_counts_from_the_opening_of_its_session(small, rows):
    assert rows(small, "2014-06-09T13:29:59Z", "ACME-B")[BEFORE]["close"] == 104
    assert rows(small, "2014-06-09T13:30:00Z", "ACME-B")[BEFORE]["close"] == 52


def test_prices_are_single_precision_as_on_the_wire(small, rows):
    bars = rows(small, "2014-06-20", "ACME-B")
    for bar in bars.values():
        for name in ("open", "high", "low", "close", "adjclose"):
            assert bar[name] == float(np.float32(bar[name]))
    assert bars[BEFORE]["adjclose"] != 52 * (1 - 0.25 / 53.5)  # more digits than single precision has


def test_adjclose_follows_yahoos_rule_in_the_units_of_the_day(small, rows):
    bars = rows(small, "2014-06-20", "ACME-B")
    second = 1 - 0.25 / 53.5  # the close of 11 June
    first = 1 - 0.30 / 51  # 0.60 and 102 of 4 June, both halved by the split
    assert bars[date(2014, 6, 12)]["adjclose"] == bars[date(2014, 6, 12)]["close"]
    assert bars[date(2014, 6, 11)]["adjclose"] == pytest.approx(53.5 * second, rel=1e-7)
    assert bars[date(2014, 6, 4)]["adjclose"] == pytest.approx(51 * first * second, rel=1e-7)


def test_a_dividend_on_the_day_of_a_split_is_in_new_shares(small, ask, rows):
    both = replace(small.histories["ACME.B"], dividends=(Dividend(SPLIT, 0.52),))
    market = Market("files", {"ACME.B": both})
    _, chart = ask(market, "2014-06-20", "ACME-B", range="max")
    assert [paid["amount"] for paid in chart["result"][0]["events"]["dividends"].values()] == [0.52]
    assert rows(market, "2014-06-20", "ACME-B")[BEFORE]["adjclose"] == pytest.approx(52 * (1 - 0.52 / 52), rel=1e-7)


def test_a_dividend_after_the_clock_is_not_in_adjclose(small, rows):
    bars = rows(small, "2014-06-11", "ACME-B")
    assert bars[date(2014, 6, 11)]["adjclose"] == 53.5
    assert bars[date(2014, 6, 4)]["adjclose"] == pytest.approx(51 * (1 - 0.30 / 51), rel=1e-7)


def test_events_are_named_by_their_opening_and_in_todays_shares(small, ask, at):
    _, chart = ask(small, "2014-06-20", "ACME-B", range="max")
    paid, split, later = (at(f"2014-06-{day:02}T13:30:00") for day in (5, 9, 12))
    assert chart["result"][0]["events"] == {
        "dividends": {str(paid): {"amount": 0.30, "date": paid}, str(later): {"amount": 0.25, "date": later}},
        "splits": {str(split): {"date": split, "numerator": 2, "denominator": 1, "splitRatio": "2:1"}},
    }


def test_events_are_those_of_the_window_that_have_happened(small, ask, at):
    window = {"period1": at("2014-06-05T13:30:00"), "period2": at("2014-06-12T13:30:00")}
    _, chart = ask(small, "2014-06-20", "ACME-B", **window)
    assert list(chart["result"][0]["events"]["dividends"]) == [str(window["period1"])]
    _, chart = ask(small, "2014-06-04", "ACME-B", range="max")
    assert "events" not in chart["result"][0]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("div", {"dividends"}), ("split", {"splits"}), ("div|split|earn", {"dividends", "splits"}), ("", set())],
)
def test_only_events_asked_for_are_sent(small, ask, asked, sent):
    _, chart = ask(small, "2014-06-20", "ACME-B", range="max", events=asked)
    assert set(chart["result"][0].get("events", {})) == sent


@pytest.mark.parametrize(
    ("ratio", "fraction"),
    [
        ("7.0", (7, 1)),
        ("0.05", (1, 20)),
        ("1.3333", (4, 3)),
        ("0.16666666666666666", (1, 6)),
        ("1.5", (3, 2)),
        ("1.0073123", (1.0073123, 1)),
    ],
)
def test_a_decimal_ratio_becomes_the_fraction_that_explains_it(ratio, fraction):
    split = split_of(date(2000, 1, 3), ratio)
    assert (split.numerator, split.denominator) == fraction


@pytest.mark.parametrize("ratio", ["1.0", "1", "", "nan", "0", "-2"])
def test_a_ratio_of_one_or_none_is_no_split(ratio):
    assert split_of(date(2000, 1, 3), ratio) is None


def test_volumes_agree_with_quandls_own_adjustment(quandl, rows, market_data):
    """Quandl's AdjVolume contains splits only: an independent value for Yahoo's volume at the file's end."""
    folder = market_data / "daily_us_unadjusted_with_events_quandl_wiki"
    for symbol in either(("AAPL", "AIG", "C", "MA", "NFLX"), ("QZAA", "QZCC", "QZEE")):
        known = pl.read_csv(lzma.decompress((folder / f"{symbol}.csv.xz").read_bytes()), try_parse_dates=True)
        bars = rows(quandl, "2018-03-31", symbol)
        ours = np.array([bars[day]["volume"] for day in known["Date"]])
        np.testing.assert_allclose(ours, known["AdjVolume"].to_numpy(), rtol=2e-6, err_msg=symbol)


def test_adjclose_agrees_with_yahoos_own_file(quandl, rows, market_data):
    """The same company from two vendors: Quandl's events by Yahoo's rule give Yahoo's ratio of Adj Close to Close."""
    path = market_data / "daily_us_yahoo_csv" / "sp500" / f"{SYMBOL}.csv.xz"
    yahoo = pl.read_csv(lzma.decompress(path.read_bytes()), try_parse_dates=True).filter(
        pl.col("Date").is_between(date(2008, 1, 2), END)
    )
    ratio = dict(zip(yahoo["Date"], yahoo["Adj Close"] / yahoo["Close"], strict=True))
    bars = rows(quandl, str(END), SYMBOL)
    now = ratio[END]
    days = [day for day in ratio if day in bars]
    assert len(days) > either(2400, 330)
    ours = np.array([bars[day]["adjclose"] / bars[day]["close"] for day in days])
    np.testing.assert_allclose(ours, np.array([ratio[day] / now for day in days]), rtol=2e-5)


def test_the_wire_gives_as_traded_back_at_any_clock(quandl, rows):
    traded = {row["date"]: row for row in quandl.as_traded(SYMBOL).iter_rows(named=True)}
    splits = [
        (split.date, split.ratio)
        for _, split in quandl.splits_between(date(1999, 1, 1), date(2019, 1, 1))
        if _ == SYMBOL
    ]
    assert [ratio for _, ratio in splits] == either([2, 2, 7], [2, 7])
    clocks = either(
        ("2000-06-20", "2000-06-21", "2014-06-06", "2014-06-09", "2018-03-27"),
        ("2016-09-09", "2016-09-12", "2017-03-03", "2017-03-06", "2017-12-29"),
    )
    for clock in map(date.fromisoformat, clocks):
        for day, bar in rows(quandl, str(clock), SYMBOL).items():
            ratio = np.prod([r for ex, r in splits if day < ex <= clock])
            assert bar["close"] * ratio == pytest.approx(traded[day]["close"], rel=1e-7)
            assert bar["volume"] / ratio == pytest.approx(traded[day]["volume"], rel=1e-12)
