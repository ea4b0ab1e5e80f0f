"""The class of a symbol, its venue, and the sessions of markets without an exchange."""

from __future__ import annotations

import lzma
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.asset_classes import ASSET_CLASSES, class_of, contract_month, currencies_of, inverse_pair, is_traded
from quantx.core.calendars import calendar, expected_sessions
from quantx.core.pairs import inverse_bars
from quantx.core.symbols import hyphenated_symbol, parse_symbol, symbol_of, venue_of
from quantx.errors import ConfigError, InvalidSymbol

CLASSES = {
    "AAPL": "equity",
    "BRK.B": "equity",
    "BTC.A": "equity",  # an American class of shares
    "NOVO-B.CO": "equity",
    "0700.HK": "equity",
    "^GSPC": "index",
    "^N225": "index",
    "^TNX": "rate",
    "^IRX": "rate",
    "EURUSD=X": "currency_pair",
    "BTC-USD": "crypto",
    "CL=F": "future",
    "CLZ26.NYM": "future",
    "ESH27.CME": "future",
}


@pytest.mark.parametrize(("symbol", "name"), CLASSES.items())
def test_the_form_of_a_symbol_shows_its_class(symbol: str, name: str) -> None:
    assert parse_symbol(symbol) == symbol
    assert class_of(symbol) == name


@pytest.mark.parametrize("name", ASSET_CLASSES)
def test_the_example_of_a_class_is_of_the_class_and_has_its_venue(name: str) -> None:
    each = ASSET_CLASSES[name]  # type: ignore[index]
    assert class_of(each.example) == ("equity" if name == "fund" else name)
    venue = venue_of(each.example)
    assert each.market in (None, venue.market)
    assert each.calendar in (None, venue.calendar)


FORMS = {
    "JPY=X": ("USDJPY=X", "JPY=X"),
    "eur/usd": ("EURUSD=X", "EURUSD=X"),
    "EUR-USD": ("EURUSD=X", "EURUSD=X"),
    "USD/JPY": ("USDJPY=X", "JPY=X"),
    "BTC/USD": ("BTC-USD", "BTC-USD"),
    "BRK-B": ("BRK.B", "BRK-B"),
    "BAC-PL": ("BAC.PRL", "BAC-PL"),
    "BTC-A": ("BTC.A", "BTC-A"),
    "clz26.nym": ("CLZ26.NYM", "CLZ26.NYM"),
}


@pytest.mark.parametrize(("text", "forms"), FORMS.items())
def test_a_hyphen_or_a_slash_is_a_pair_where_a_currency_follows_and_else_a_class_of_shares(
    text: str, forms: tuple[str, str]
) -> None:
    symbol, wire = forms
    assert symbol_of(text) == symbol
    assert hyphenated_symbol(symbol) == wire
    assert symbol_of(wire) == symbol


def test_a_pair_has_an_inverse_and_a_crypto_currency_none() -> None:
    assert currencies_of("EURUSD=X") == ("EUR", "USD")
    assert inverse_pair("EURUSD=X") == "USDEUR=X"
    assert inverse_pair(inverse_pair("USDJPY=X")) == "USDJPY=X"
    with pytest.raises(InvalidSymbol, match="no pair of two currencies"):
        inverse_pair("BTC-USD")
    with pytest.raises(InvalidSymbol, match="no pair of currencies"):
        currencies_of("AAPL")


def test_bars_of_a_pair_quoted_the_other_way_round() -> None:
    bars = pl.DataFrame(
        {
            "symbol": ["EURUSD=X", "USDJPY=X"],
            "date": [date(2024, 3, 8)] * 2,
            "open": [1.25, 150.0],
            "high": [2.0, 160.0],
            "low": [1.0, 125.0],
            "close": [1.6, 100.0],
            "volume": [0, 0],
            "currency": ["USD", "JPY"],
            "source": ["yahoo", "yahoo"],
        }
    )
    turned = inverse_bars(bars)
    assert turned.columns == bars.columns
    assert turned.select("symbol", "open", "high", "low", "close", "currency").rows() == [
        ("USDEUR=X", 0.8, 1.0, 0.5, 0.625, "EUR"),
        ("JPYUSD=X", 1 / 150, 0.008, 0.00625, 0.01, "USD"),
    ]
    assert inverse_bars(turned).drop("open").equals(bars.drop("open"))
    with pytest.raises(InvalidSymbol, match="no pair of two currencies"):
        inverse_bars(bars.with_columns(symbol=pl.lit("BTC-USD")))
    with pytest.raises(ConfigError, match="USDJPY=X are in EUR, not in JPY"):
        inverse_bars(bars.with_columns(currency=pl.lit("EUR")).tail(1))


def test_a_contract_ends_with_its_month_of_delivery_and_a_continuous_series_is_not_traded() -> None:
    assert contract_month("CLZ26.NYM") == date(2026, 12, 31)
    assert contract_month("GCG28.CMX") == date(2028, 2, 29)
    assert contract_month("CL=F") is None
    assert contract_month("AAPL") is None
    assert [is_traded(s) for s in ("CLZ26.NYM", "CL=F", "^TNX", "BTC-USD")] == [True, False, False, True]


def test_each_day_of_utc_is_a_session_of_crypto_currencies() -> None:
    days = calendar("24-7")
    assert days.sessions(date(2024, 2, 28), date(2024, 3, 1)) == tuple(
        date.fromisoformat(d) for d in ("2024-02-28", "2024-02-29", "2024-03-01")
    )
    assert days.close_of(date(2024, 3, 30)) == datetime(2024, 3, 31, tzinfo=UTC)  # also where Europe loses an hour
    assert days.last_closed(datetime(2024, 12, 25, 0, 0, 1, tzinfo=UTC)) == date(2024, 12, 24)


# Day: open and close in UTC. New York changes its clocks two weeks before London in spring, a week after it in autumn.
WEEKDAYS = {
    "2024-03-08": ("2024-03-08 00:00", "2024-03-08 22:00"),
    "2024-03-11": ("2024-03-10 21:00", "2024-03-12 00:00"),
    "2024-03-29": ("2024-03-29 00:00", "2024-03-29 21:00"),  # Good Friday
    "2024-04-01": ("2024-03-31 21:00", "2024-04-01 23:00"),  # Easter Monday
    "2024-07-17": ("2024-07-16 23:00", "2024-07-17 23:00"),
    "2024-10-28": ("2024-10-27 21:00", "2024-10-29 00:00"),
    "2024-11-04": ("2024-11-03 22:00", "2024-11-05 00:00"),
}


@pytest.mark.parametrize(("day", "hours"), WEEKDAYS.items())
def test_a_session_of_currencies_is_a_day_in_london_from_sunday_evening_to_friday_in_new_york(
    day: str, hours: tuple[str, str]
) -> None:
    days, on = calendar("24-5"), date.fromisoformat(day)
    assert (f"{days.open_of(on):%Y-%m-%d %H:%M}", f"{days.close_of(on):%Y-%m-%d %H:%M}") == hours


def test_no_weekend_is_a_session_of_currencies() -> None:
    days = calendar("24-5")
    assert not any(days.is_session(date(2024, 3, n)) for n in (9, 10, 16, 17, 30, 31))


def test_on_christmas_and_new_year_a_pair_may_have_a_bar_or_none() -> None:
    days, expected = calendar("24-5"), set(expected_sessions("24-5"))
    for holiday in (date(2019, 12, 25), date(2020, 1, 1)):
        assert days.is_session(holiday)
        assert holiday not in expected
    assert {date(2019, 12, 24), date(2019, 12, 26), date(2024, 3, 29)} <= expected


FUTURES = {  # day: (a session, a bar is expected)
    "2020-04-20": (True, True),  # the settlement of crude oil was negative
    "2020-04-10": (False, False),  # Good Friday
    "2019-12-25": (False, False),
    "2020-01-01": (False, False),
    "2019-11-28": (True, False),  # Thanksgiving: trades without a settlement
    "2020-01-20": (True, False),  # Martin Luther King Day
    "2016-10-10": (True, False),  # Columbus Day: New York is open, and Yahoo has no CL=F
    "2016-11-11": (True, False),  # Veterans Day
    "2019-11-29": (True, True),
    "2020-04-19": (False, False),  # a Sunday, whose evening belongs to Monday
}


@pytest.mark.parametrize(("day", "known"), FUTURES.items())
def test_futures_trade_on_holidays_without_a_settlement(day: str, known: tuple[bool, bool]) -> None:
    on = date.fromisoformat(day)
    assert (calendar("GLOBEX").is_session(on), on in set(expected_sessions("GLOBEX"))) == known


def test_the_trading_days_of_futures_are_the_recorded_ones_of_globex(market_data: Path) -> None:
    path = market_data / "known_answers" / "exchange_calendars" / "cmes.csv.xz"
    if not path.is_file():
        pytest.skip("no recorded sessions of CMES")
    rows = lzma.decompress(path.read_bytes()).decode().splitlines()[1:]
    recorded = tuple(date.fromisoformat(row[:10]) for row in rows)
    assert calendar("GLOBEX").sessions(recorded[0], recorded[-1]) == recorded


def test_a_session_of_futures_ends_at_midnight_in_new_york() -> None:
    days = calendar("GLOBEX")
    assert days.close_of(date(2020, 4, 20)) == datetime(2020, 4, 21, 4, tzinfo=UTC)
    assert days.close_of(date(2020, 1, 2)) == datetime(2020, 1, 3, 5, tzinfo=UTC)
    assert days.open_of(date(2020, 4, 20)) == datetime(2020, 4, 19, 22, tzinfo=UTC)
