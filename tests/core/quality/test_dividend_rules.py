"""Dividends that can't be as they stand: each rule on made-up prices, and on recorded ones."""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.core.quality.recorded_daily import ACTIONS, repair_file, wiki_files, yahoo_files
from tests.market_data import either

from quantx.core.prices import to_as_traded
from quantx.core.quality.adjustments import prove
from quantx.core.quality.dividend_rules import doubtful_dividends

FIRST = date(2020, 1, 6)
DAYS, EX = 120, 60


def day(i: int) -> date:
    return FIRST + timedelta(i)


def bars(falls: dict[int, float], *, noise: float = 0.01, volume: float = 1000.0) -> pl.DataFrame:
    """A price of about 100 that moves by `noise` at random, and falls by a part of itself on some days."""
    moves, price, closes = random.Random(7), 100.0, []
    for i in range(DAYS):
        price *= (1 - falls[i]) if i in falls else (1 + moves.uniform(-noise, noise))
        closes.append(price)
    return pl.DataFrame(
        {"symbol": "A", "date": [day(i) for i in range(DAYS)], "close": closes, "volume": volume},
        schema_overrides={"volume": pl.Float64},
    )


def dividends(
    prices: pl.DataFrame, paid: dict[int, float], currency: str = "USD", kind: str = "dividend"
) -> pl.DataFrame:
    closes = prices["close"].to_list()
    rows = [("A", day(i), kind, value, closes[i - 1], currency) for i, value in paid.items()]
    schema = {**ACTIONS, "reference_close": pl.Float64, "currency": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def found(prices: pl.DataFrame, paid: dict[int, float], currency: str = "USD") -> list[tuple[int, str]]:
    rows = doubtful_dividends(prices, dividends(prices, paid, currency))
    return [((ex - FIRST).days, rule) for ex, rule in rows.select("ex_date", "rule").iter_rows()]


def test_a_dividend_that_the_price_shows_is_left_in_peace() -> None:
    assert found(bars({EX: 0.02, 90: 0.15}), {EX: 2.0, 90: 15.0}) == []


def test_a_dividend_above_the_price_can_not_be() -> None:
    assert found(bars({}), {EX: 150.0}) == [(EX, "dividend_below_price")]


UNIT = "dividend_in_unit_of_price"


@pytest.mark.parametrize(
    ("falls", "paid", "expected"),
    [
        ({EX: 0.002}, {EX: 20.0}, [(EX, UNIT)]),  # pence for pounds: the price hardly moved
        ({EX: 0.15}, {EX: 20.0}, []),  # it did, though not by all of it
        ({EX: 0.001}, {EX: 2.0}, []),  # the noise of a price is no proof about three per cent
        ({EX: 0.02, 90: 0.02}, {EX: 2.0, 90: 0.02}, [(90, UNIT)]),  # to the digit a hundredth of another one
        ({EX: 0.02, 90: 0.0}, {EX: 2.0, 90: 0.02}, []),  # and so it was, if the price says so
        ({EX: 0.02, 90: 0.02}, {EX: 2.0, 90: 0.0203}, []),  # a small one of another amount may be
        (
            {30: 0.015, EX: 0.01, 90: 0.02},
            dict.fromkeys((30, EX, 90), 0.00015),
            [],
        ),  # a hundredfold would not show either
    ],
)
def test_prices_decide_between_an_amount_and_its_hundredth(
    falls: dict[int, float], paid: dict[int, float], expected: list[tuple[int, str]]
) -> None:
    assert found(bars(falls), paid) == expected


def test_amounts_below_all_coins_are_a_hundredth_where_prices_fell_by_more() -> None:
    paid = dict.fromkeys((30, EX, 90), 0.0009)
    falls = dict.fromkeys(paid, 0.0009)
    assert found(bars(falls, noise=0.0002), paid) == [(i, UNIT) for i in paid]
    assert found(bars(dict.fromkeys(paid, 0.0), noise=0.0002), paid) == []
    pence = dict.fromkeys(paid, 0.05)
    assert found(bars(dict.fromkeys(paid, 0.05)), pence) == []
    assert found(bars(dict.fromkeys(paid, 0.05)), pence, "GBX") == [(i, UNIT) for i in paid]


def test_stale_prices_and_few_returns_are_no_witness() -> None:
    assert found(bars({EX: 0.0}), {EX: 20.0}) == [(EX, UNIT)]
    stale = bars(dict.fromkeys(range(EX, EX + 5), 0.0), volume=0.0)
    assert found(stale, {EX: 20.0}) == []
    assert found(bars({EX: 0.002}, volume=0.0), {EX: 20.0}) == [(EX, UNIT)]  # nothing was traded, but the quote moved
    few = bars({EX: 0.002}).filter(pl.col("date").is_between(day(EX - 10), day(EX + 5)))
    assert doubtful_dividends(few, dividends(bars({EX: 0.002}), {EX: 20.0})).is_empty()


def test_foreign_dividends_and_splits_are_not_judged() -> None:
    prices = bars({})
    for kind in ("foreign_dividend", "split"):
        assert doubtful_dividends(prices, dividends(prices, {EX: 150.0}, kind=kind)).is_empty()


ONCE = "dividend_paid_once"


@pytest.mark.parametrize(
    ("paid", "expected"),
    [
        ({20: 1.0, EX: 1.0, EX + 1: 1.0, 100: 1.0}, [(EX, ONCE), (EX + 1, ONCE)]),
        ({EX: 1.0, EX + 4: 1.05}, [(EX, ONCE), (EX + 4, ONCE)]),
        ({EX: 1.0, EX + 1: 1.5}, []),  # a special dividend beside the ordinary one
        ({EX: 1.0, EX + 8: 1.0}, []),
        (dict.fromkeys(range(10, 100, 7), 1.0), []),  # a fund that pays each week
    ],
)
def test_one_dividend_has_one_ex_date(paid: dict[int, float], expected: list[tuple[int, str]]) -> None:
    assert found(bars(dict.fromkeys(paid, 0.01)), paid) == expected


def recorded(folder: Path, name: str) -> list[tuple[str, str]]:
    sent, actions = repair_file(folder, name)
    series = pl.col("symbol").alias("series")
    traded, paid = to_as_traded(
        sent.filter(pl.col("close") > 0).with_columns(series, *_ohl()), actions.with_columns(series)
    )
    currency = "JPY" if "-T-" in name else "GBP"
    rows = doubtful_dividends(traded, paid.with_columns(currency=pl.lit(currency)), "series")
    return [(str(ex), rule.removeprefix("dividend_")) for ex, rule in rows.select("ex_date", "rule").iter_rows()]


def _ohl() -> list[pl.Expr]:
    return [pl.col("close").alias(c) for c in ("open", "high", "low")]


IN_UNIT, BELOW = "in_unit_of_price", "below_price"
RECORDED_REPAIRS: dict[str, dict[str, list[str]]] = {
    "ABDP-L-1d-bad-div": {IN_UNIT: ["2022-05-05", "2022-12-29", "2023-05-04", "2024-02-08", "2024-05-02"]},
    "ELCO-L-1d-bad-div": {IN_UNIT: ["2022-06-01", "2022-09-22", "2023-05-18", "2023-09-21", "2024-06-13"]},
    "KAP-IL-1d-bad-div": {"paid_once": ["2022-07-12", "2022-07-13"]},
    "KME-MI-1d-bad-div": {IN_UNIT: ["2023-05-22"]},
    "NVT-L-1d-bad-div": {IN_UNIT: ["2023-07-20"]},
    "REL-L-1d-bad-div": {
        BELOW: ["2022-04-28", "2023-04-27", "2024-05-02"],
        IN_UNIT: ["2022-08-04", "2023-08-03", "2024-08-01"],
    },
    "SAND-1d-bad-div": {"paid_once": ["2024-01-12", "2024-01-16"]},
    "TENT-L-1d-bad-div": {
        IN_UNIT: [
            "2022-03-03",
            "2022-06-23",
            "2022-09-08",
            "2022-12-15",
            "2023-03-16",
            "2023-06-29",
            "2023-09-14",
            "2023-12-21",
            "2024-03-21",
            "2024-07-04",
            "2024-09-05",
        ]
    },
    "TEP-PA-1d-bad-div": {"paid_once": ["2023-04-20", "2023-04-21"]},
}
SAMPLE_REPAIRS = {
    "QZPN-L-1d-bad-div": {IN_UNIT: ["2022-03-03", "2022-06-09", "2022-09-01"]},
    "QZBP-L-1d-bad-div": {BELOW: ["2022-06-09"]},
    "QZTW-1d-bad-div": {"paid_once": ["2022-06-09", "2022-06-10"]},
}
REPAIRS = either(RECORDED_REPAIRS, SAMPLE_REPAIRS)
GOOD = either(
    [f"{name}-no-bad-divs" for name in ("CALM-1d", "EA-15m", "HSBK-IL-1d", "IBE-MC-1d", "KMR-L-1d")],
    ["QZGD-1d-no-bad-divs"],
)


@pytest.mark.parametrize("name", REPAIRS)
def test_recorded_defects_are_found_on_their_days(market_data: Path, name: str) -> None:
    expected = sorted((d, rule) for rule, days in REPAIRS[name].items() for d in days)
    assert recorded(market_data, name) == expected


@pytest.mark.parametrize("name", [*GOOD, *(f"{name}-fixed" for name in REPAIRS)])
def test_recorded_good_dividends_are_left_in_peace(market_data: Path, name: str) -> None:
    assert recorded(market_data, name) == []


DOUBLES = either(
    [
        *(("AIG", "2001-12-04"), ("AIG", "2001-12-05"), ("BAC", "2001-12-04"), ("BAC", "2001-12-05")),
        *(("DIS", "2001-12-04"), ("DIS", "2001-12-05"), ("GGP", "2003-07-02"), ("GGP", "2003-07-08")),
        *(("VZ", "2015-01-07"), ("VZ", "2015-01-13"), ("XOM", "2017-02-07"), ("XOM", "2017-02-08")),
    ],
    [("QZFF", "2017-05-11"), ("QZFF", "2017-05-12")],
)


def test_recorded_clean_files_have_no_doubtful_dividends_but_doubles(market_data: Path) -> None:
    """In 680 symbol-years of as-traded files and 3,940 of Yahoo's: doubles are only told as good to know."""
    sent, actions = wiki_files(market_data)
    _, paid = _with_closes_before(sent, actions)
    rows = doubtful_dividends(sent, paid, "symbol")
    assert set(rows["rule"]) == {ONCE}
    assert rows.select("symbol", pl.col("ex_date").cast(pl.String)).rows() == DOUBLES
    yahoo = yahoo_files(market_data)
    steps = prove(yahoo, pl.DataFrame(schema=ACTIONS), split_in_close=True, key="symbol")
    share = (1 - pl.col("vendors")).alias("value")
    implied = steps.select("symbol", "ex_date", pl.lit("dividend").alias("kind"), share)
    sent, paid = _with_closes_before(yahoo, implied)
    paid = paid.with_columns(pl.col("value") * pl.col("reference_close"))
    rows = doubtful_dividends(sent, paid, "symbol")
    assert paid.height == either(12_303, 31)
    assert set(rows["rule"]) == {ONCE}
    assert set(rows["symbol"]) == either({"ARES", "CHRW", "HD"}, {"QZFF"})


def _with_closes_before(prices: pl.DataFrame, actions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The closes before the ex-dates, in the shares of the ex-date; every one of these files is in dollars."""
    splits = actions.filter(pl.col("kind") == "split").select("symbol", "ex_date", ratio="value")
    before = prices.select("symbol", ex_date="date", before=pl.col("close").shift(1).over("symbol"))
    known = actions.join(before, on=["symbol", "ex_date"], how="left").join(
        splits, on=["symbol", "ex_date"], how="left"
    )
    reference = (pl.col("before") / pl.col("ratio").fill_null(1.0)).alias("reference_close")
    return prices, known.with_columns(reference, pl.lit("USD").alias("currency"))
