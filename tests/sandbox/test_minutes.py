"""Minutes: invented ones add up to their day exactly, recorded ones are read to the cent and the minute."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.sandbox import load_market
from quantx.sandbox.book import Book
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.hours import day_number
from quantx.sandbox.minutes import NO_MINUTES, invented_minutes

from ..market_data import either
from ..recorded_minutes import AAPL_MINUTES

DAY = day_number(date(2024, 3, 4))
OPEN = int(datetime(2024, 3, 4, 14, 30, tzinfo=UTC).timestamp())
HOURS = OPEN, OPEN + 390 * 60


def cents(low: float, high: float) -> st.SearchStrategy[float]:
    return st.integers(round(low * 100), round(high * 100)).map(lambda n: n / 100)


@st.composite
def day_bars(draw: st.DrawFn) -> tuple[float, ...]:
    prices = sorted(draw(st.lists(cents(0.01, 900_000) | st.floats(0.0001, 10), min_size=4, max_size=4)))
    low, *inner, high = prices
    opened, close = draw(st.permutations(inner))
    volume = float(draw(st.integers(1, 600) | st.integers(1, 10**11)))
    return opened, high, low, close, volume


@given(day_bars(), st.booleans(), st.sampled_from([390, 210, 1]))
def test_the_minutes_of_a_session_add_up_to_its_day(bar: tuple[float, ...], extended: bool, length: int) -> None:
    hours = OPEN, OPEN + length * 60
    minutes = invented_minutes("ACME", DAY, hours, bar, extended=extended)
    regular = (minutes.starts >= hours[0]) & (minutes.starts < hours[1])
    column = {name: values[regular] for name, values in minutes.columns.items()}
    opened, high, low, close, volume = bar
    assert len(column["open"]) == min(length, volume)
    assert column["open"][0] == opened
    assert column["high"].max() == high
    assert column["low"].min() == low
    assert column["close"][-1] == close
    assert column["volume"].sum() == volume
    everywhere = minutes.columns
    assert (everywhere["low"] <= np.minimum(everywhere["open"], everywhere["close"])).all()
    assert (everywhere["high"] >= np.maximum(everywhere["open"], everywhere["close"])).all()
    assert (everywhere["volume"] >= 1).all()
    assert (np.diff(minutes.starts) >= 60).all()
    assert (minutes.starts % 60 == 0).all()


@pytest.mark.parametrize(
    "bar",
    [
        (np.nan,) * 5,
        (10.0, 9.0, 8.0, 8.5, 100.0),  # the high is below the open
        (10.0, 11.0, 0.0, 10.5, 100.0),
        (10.0, 11.0, 9.0, 10.5, 0.0),
        (10.0, 11.0, 9.0, 10.5, -100.0),
        (10.0, np.inf, 9.0, 10.5, 100.0),
    ],
)
def test_a_day_that_makes_no_sense_has_no_minutes(bar: tuple[float, ...]) -> None:
    assert invented_minutes("ACME", DAY, HOURS, bar, extended=True) is NO_MINUTES


def test_they_depend_on_symbol_day_and_bar_only() -> None:
    bar = (10.0, 11.0, 9.0, 10.5, 100_000.0)
    one, same = (invented_minutes("ACME", DAY, HOURS, bar, extended=True) for _ in range(2))
    assert all((one.columns[name] == same.columns[name]).all() for name in one.columns)
    other = invented_minutes("OTHER", DAY, HOURS, bar, extended=True)
    assert len(one.starts) != len(other.starts) or (one.columns["close"] != other.columns["close"]).any()


def test_some_trade_before_and_after_the_session() -> None:
    minutes = invented_minutes("ACME", DAY, HOURS, (10.0, 11.0, 9.0, 10.5, 100_000.0), extended=True)
    before, after = (minutes.starts < HOURS[0]).sum(), (minutes.starts >= HOURS[1]).sum()
    assert before >= 5
    assert after >= 5
    first, last = (datetime.fromtimestamp(int(minutes.starts[i]), UTC) for i in (0, -1))
    assert first >= datetime(2024, 3, 4, 9, tzinfo=UTC)  # 04:00 in New York
    assert last < datetime(2024, 3, 5, 1, tzinfo=UTC)  # 20:00


def test_half_days_have_half_the_minutes(synthetic) -> None:
    book = Book(synthetic, SandboxClock("2024-12-31"))
    view = book.view("QXAC")
    assert view is not None
    row = int(np.searchsorted(view.history.days, day_number(date(2024, 11, 29))))  # the day after Thanksgiving
    minutes = book.minutes(view, row)
    regular = (minutes.starts >= view.history.opens[row]) & (minutes.starts < view.history.closes[row])
    assert regular.sum() == 210


def test_a_revision_of_the_day_is_one_of_its_minutes(synthetic) -> None:
    book = Book(synthetic, SandboxClock("2024-12-31"))
    view = book.view("QXAC")
    assert view is not None
    before = book.minutes(view, len(view.history.days) - 10)
    day = date(1970, 1, 1).fromordinal(719163 + int(view.history.days[-10]))
    high = float(view.traded["high"][-10]) + 1
    book.revise("QXAC", day.isoformat(), "high", high)
    revised = book.view("QXAC")
    assert revised is not None
    after = book.minutes(revised, len(revised.history.days) - 10)
    assert before.columns["high"].max() < after.columns["high"].max() == high


# ------------------------------------------------------------------------------------------------- with the real files


@pytest.fixture(scope="module")
def lean(market_data: Path):
    return load_market(market_data / "minute_us_lean")


@pytest.fixture(scope="module")
def alphavantage(market_data: Path):
    return load_market(market_data / "minute_us_alphavantage_2019-02")


def test_quantconnects_minutes_are_starts_in_new_york_and_ten_thousandths(lean) -> None:
    assert lean.symbols == ["AAPL", "GOOG", "IBM", "SHY", "SPY"]
    first = lean.minutes["AAPL", day_number(date(2014, 6, 5))]
    assert len(first.starts) == AAPL_MINUTES["2014-06-05"]
    assert datetime.fromtimestamp(int(first.starts[0]), UTC) == datetime(2014, 6, 5, 8, 15, tzinfo=UTC)  # 15,300,000 ms
    assert (first.columns["open"][0], first.columns["volume"][0]) == either((644.80, 90), (419.93, 208))
    assert datetime.fromtimestamp(int(first.starts[-1]), UTC) == datetime(2014, 6, 5, 23, 59, tzinfo=UTC)
    opened = calendar("XNYS").open_of(date(2014, 6, 5)).timestamp()
    regular = (first.starts >= opened) & (first.starts < opened + 390 * 60)
    assert regular.sum() == 390


def test_without_daily_files_the_regular_minutes_make_the_day(lean) -> None:
    known = lean.as_traded("GOOG")
    half = known.filter(known["date"] == date(2015, 12, 24)).row(0, named=True)
    day = lean.minutes["GOOG", day_number(date(2015, 12, 24))]
    closed = calendar("XNYS").close_of(date(2015, 12, 24)).timestamp()
    assert closed == datetime(2015, 12, 24, 18, tzinfo=UTC).timestamp()
    assert half["close"] == day.columns["close"][day.starts < closed][-1]
    assert day.starts[-1] > closed + 3 * 3600  # a stray print at 16:11


def test_alpha_vantages_minutes_end_when_they_are_stamped(alphavantage) -> None:
    days = sorted(day for symbol, day in alphavantage.minutes if symbol == "AAPL")
    assert len(days) == 5
    last = alphavantage.minutes["AAPL", day_number(date(2019, 2, 15))]
    assert datetime.fromtimestamp(int(last.starts[-1]), UTC) == datetime(
        2019, 2, 15, 20, 59, tzinfo=UTC
    )  # 16:00, the end
    assert (last.columns["close"][-1], last.columns["volume"][-1]) == either((170.38, 427_888), (144.86, 7_340))
    assert int(last.starts[0]) == calendar("XNYS").open_of(date(2019, 2, 15)).timestamp()


def test_daily_files_beside_minutes_are_the_days(alphavantage) -> None:
    frame = alphavantage.as_traded("AAPL")
    assert len(frame) == either(283, 51)
    day = either((171.25, 171.7, 169.75, 170.42, 24_626_814.0), (144.4, 145.13, 143.82, 144.86, 3_074_280.0))
    assert frame.filter(frame["date"] == date(2019, 2, 15)).row(0)[1:] == day
