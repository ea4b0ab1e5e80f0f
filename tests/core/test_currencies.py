"""Exchange rates of any pair from rates per euro, and prices in another currency, with known values."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from quantx.core.currencies import EURO_RATES, convert, filled, pair_rates, parse_currency, parse_pair
from quantx.errors import ConfigError

THURSDAY, FRIDAY, TUESDAY = date(2024, 3, 28), date(2024, 3, 29), date(2024, 4, 2)
AT = datetime(2024, 4, 3, tzinfo=UTC)
# Published on 1999-01-04: 1 EUR = 1.1789 USD = 133.73 JPY = 0.7111 GBP.
FIRST = {"USD": 1.1789, "JPY": 133.73, "GBP": 0.7111}


def euro_rates(by_day: dict[date, dict[str, float]]) -> pl.DataFrame:
    rows = [
        (day, quote, rate, "ecb", datetime(day.year, day.month, day.day, 15, tzinfo=UTC), AT)
        for day, rates in by_day.items()
        for quote, rate in rates.items()
    ]
    return pl.DataFrame(rows, schema=dict(EURO_RATES), orient="row")


@pytest.mark.parametrize(
    ("pair", "rate", "how"),
    [
        ("EURUSD", 1.1789, "quoted"),
        ("USDEUR", 1 / 1.1789, "inverse"),
        ("USDJPY", 133.73 / 1.1789, "cross"),  # 113.436…
        ("GBPUSD", 1.1789 / 0.7111, "cross"),  # 1.657854…
    ],
)
def test_a_pair_is_quoted_inverted_or_crossed_through_the_euro(pair: str, rate: float, how: str) -> None:
    found = pair_rates(euro_rates({date(1999, 1, 4): FIRST}), parse_pair(pair))
    assert found["rate"].to_list() == [pytest.approx(rate, rel=1e-15)]
    assert parse_pair(pair).how == how


def test_a_cross_needs_both_of_its_currencies_on_the_day() -> None:
    rates = euro_rates({THURSDAY: {"USD": 1.08, "JPY": 163.0}, TUESDAY: {"USD": 1.07}})
    assert pair_rates(rates, parse_pair("USDJPY"))["date"].to_list() == [THURSDAY]


def test_a_rate_stands_in_for_later_days_with_its_own_date() -> None:
    rates = pair_rates(euro_rates({THURSDAY: {"USD": 1.08}}), parse_pair("EURUSD"))
    days = pl.DataFrame({"date": [date(2024, 3, 27), FRIDAY, TUESDAY, date(2024, 4, 4), date(2024, 4, 5)]})
    found = filled(rates, days, 7)
    assert found["rate_date"].to_list() == [None, THURSDAY, THURSDAY, THURSDAY, None]
    assert filled(rates, days, 1)["rate_date"].to_list() == [None, THURSDAY, None, None, None]


def bars(rows: list[tuple[str, date, float | None, str | None]]) -> pl.DataFrame:
    schema = {"symbol": pl.String, "date": pl.Date, "close": pl.Float64, "currency": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_prices_are_multiplied_by_the_rate_beside_them() -> None:
    rates = euro_rates({THURSDAY: {"USD": 1.08, "HKD": 8.64, "GBP": 0.9, "ZAR": 20.0, "ILS": 4.0}})
    frame, without = convert(
        bars(
            [
                ("0700.HK", THURSDAY, 300.0, "HKD"),
                ("VOD.L", THURSDAY, 70.0, "GBX"),
                ("NPN.JO", THURSDAY, 2000.0, "ZAC"),
                ("TEVA.TA", THURSDAY, 400.0, "ILA"),
                ("ZC=F", THURSDAY, 450.0, "USX"),
                ("ASML.AS", TUESDAY, 100.0, "EUR"),
                ("AAPL", FRIDAY, 50.0, "USD"),
                ("2330.TW", THURSDAY, 800.0, "TWD"),
                ("OLD", date(2024, 4, 8), 1.0, "HKD"),
                ("UNKNOWN", THURSDAY, 1.0, None),
            ]
        ),
        rates,
        "USD",
        ["close"],
    )
    found = {row["symbol"]: row for row in frame.to_dicts()}
    closes = {name: row["close"] for name, row in found.items()}
    assert closes == {
        "0700.HK": pytest.approx(37.5),
        "VOD.L": pytest.approx(0.84),  # 70 pence, 1.2 dollars per pound
        "NPN.JO": pytest.approx(1.08),
        "TEVA.TA": pytest.approx(1.08),
        "ZC=F": pytest.approx(4.5),
        "ASML.AS": pytest.approx(108.0),
        "AAPL": 50.0,
        "2330.TW": None,  # no rate: no price
        "OLD": None,  # the last rate is eleven days old
        "UNKNOWN": None,
    }
    assert (found["ASML.AS"]["fx_date"], found["AAPL"]["fx_rate"], found["AAPL"]["fx_source"]) == (THURSDAY, 1.0, None)
    assert found["VOD.L"]["fx_rate"] == pytest.approx(0.012)
    assert (without, frame["currency"].unique().to_list()) == (["TWD"], ["USD"])
    assert frame["symbol"].to_list() == ["0700.HK", "VOD.L", "NPN.JO", "TEVA.TA", "ZC=F", "ASML.AS", "AAPL", "2330.TW",
                                         "OLD", "UNKNOWN"]  # fmt: skip


def test_a_yield_in_percent_is_converted_by_no_rate() -> None:
    rows = bars([("^TNX", THURSDAY, 4.2, "USD"), ("^GSPC", THURSDAY, 5400.0, "USD")])
    frame, without = convert(rows, euro_rates({THURSDAY: {"USD": 1.08}}), "EUR", ["close"])
    found = frame.select("close", "currency", "fx_rate").rows()
    assert (found[0], found[1][:2], without) == ((4.2, None, None), (pytest.approx(5000.0), "EUR"), [])


def test_pence_in_pounds_need_no_rate() -> None:
    frame, without = convert(bars([("VOD.L", THURSDAY, 70.0, "GBX")]), euro_rates({}), "GBP", ["close"])
    assert (frame["close"].to_list(), without) == ([pytest.approx(0.7)], [])


def test_no_bars_are_no_bars() -> None:
    frame, without = convert(bars([]), euro_rates({}), "GBP", ["close"])
    assert (frame.columns[-3:], frame.height, without) == (["fx_rate", "fx_date", "fx_source"], 0, [])


@pytest.mark.parametrize("text", ["EUR", "EURUS", "EUROUSD", "USDUSD", "GBXUSD", "EUR-USD", ""])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_pair(text)


@pytest.mark.parametrize("text", ["dollar", "US", "GBX", "U$D"])
def test_what_is_no_currency_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_currency(text)
