"""The hard rules of daily bars: a table of cases, at least one per rule."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.quality.daily_rules import DAILY_RULES, check_daily_bars, mark_absurd

NAN, INFINITY = float("nan"), float("inf")
GOOD: dict[str, Any] = {
    "symbol": "AAPL",
    "date": date(2024, 1, 8),
    "open": 100.0,
    "high": 102.0,
    "low": 99.0,
    "close": 101.0,
    "volume": 1e6,
    "in_calendar": True,
    "in_past": True,
    "last_of_session": True,
    "absurd": False,
    "asset_class": "equity",
    "note": "carried along",
}
SCHEMA = {
    "symbol": pl.String,
    "date": pl.Date,
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
    **dict.fromkeys(("in_calendar", "in_past", "last_of_session", "absurd"), pl.Boolean),
    "asset_class": pl.String,
    "note": pl.String,
}

BROKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no close": ({"close": None}, {"prices_present"}),
    "no open": ({"open": None}, {"prices_present"}),
    "no high": ({"high": None}, {"prices_present"}),
    "no low": ({"low": None}, {"prices_present"}),
    "no price at all": (dict.fromkeys(("open", "high", "low", "close")), {"prices_present"}),
    "nothing at all": (dict.fromkeys(("open", "high", "low", "close", "volume")), {"prices_present", "volume_valid"}),
    "close NaN": ({"close": NAN}, {"prices_present"}),
    "low NaN": ({"low": NAN}, {"prices_present"}),
    "high infinite": ({"high": INFINITY}, {"prices_present"}),
    "high and close infinite": ({"high": INFINITY, "close": INFINITY}, {"prices_present"}),
    "low minus infinite": ({"low": -INFINITY}, {"prices_present", "prices_positive"}),
    "close negative": ({"close": -1.0, "low": -1.0}, {"prices_positive"}),
    "close zero": ({"close": 0.0, "low": 0.0}, {"prices_positive"}),
    "all zero": (dict.fromkeys(("open", "high", "low", "close"), 0.0), {"prices_positive"}),
    "high below low": ({"high": 98.0}, {"high_is_highest", "low_is_lowest", "open_in_range"}),
    "open above high": ({"open": 103.0}, {"open_in_range"}),
    "high below close": ({"close": 102.5}, {"high_is_highest"}),
    "low above close": ({"close": 98.5}, {"low_is_lowest"}),
    "open below low": ({"open": 98.5}, {"open_in_range"}),
    "a low in pounds among pence": ({"low": 0.99}, {"one_unit"}),
    "low and close in pounds": ({"low": 0.99, "close": 1.01}, {"one_unit"}),
    "volume −1": ({"volume": -1.0}, {"volume_valid"}),
    "volume 1e20": ({"volume": 1e20}, {"volume_valid"}),
    "volume 2^53": ({"volume": 2.0**53}, {"volume_valid"}),
    "volume NaN": ({"volume": NAN}, {"volume_valid"}),
    "volume infinite": ({"volume": INFINITY}, {"volume_valid"}),
    "no volume": ({"volume": None}, {"volume_valid"}),
    "a weekend": ({"in_calendar": False}, {"session_of_calendar"}),
    "the future": ({"in_past": False}, {"not_in_future"}),
    "a second row for the session": ({"last_of_session": False}, {"one_row_per_session"}),
    "a price out of any": ({"absurd": True}, {"price_possible"}),
    "a crypto currency for nothing": ({"asset_class": "crypto", "low": 0.0}, {"prices_positive"}),
    "an index below zero": ({"asset_class": "index", "low": -1.0}, {"prices_positive"}),
    "a crypto currency without a volume": ({"asset_class": "crypto", "volume": None}, {"volume_valid"}),
    "a pair whose high is below its low": ({"asset_class": "currency_pair", "high": 98.0}, {"pair_in_range"}),
    "a pair whose close is far above": ({"asset_class": "currency_pair", "close": 103.1}, {"pair_in_range"}),
    "a future whose high is below its close": (
        {"asset_class": "future", "open": -37.0, "high": -38.0, "low": -40.0, "close": -37.0},
        {"high_is_highest", "open_in_range"},
    ),
    "a future weekend, hollow": (
        {"in_calendar": False, "in_past": False, "close": None},
        {"session_of_calendar", "not_in_future", "prices_present"},
    ),
}

ALLOWED: dict[str, dict[str, Any]] = {
    "an ordinary bar": {},
    "no trade": {"volume": 0.0},
    "one price all day": dict.fromkeys(("open", "high", "low", "close"), 7.25),
    "a penny stock": {"open": 0.0001, "high": 0.0002, "low": 0.0001, "close": 0.0001},
    "a penny stock that rises a hundredfold on a busy day": {
        "open": 0.01,
        "high": 1.0,
        "low": 0.01,
        "close": 0.9,
        "volume": 8e6,
    },
    "a collapse to a hundredth, through all prices": {"open": 90.0, "high": 100.0, "low": 1.0, "close": 15.0},
    "a share of Berkshire Hathaway": {"open": 6e5, "high": 6.1e5, "low": 5.9e5, "close": 6.05e5, "volume": 3.0},
    "the largest exact volume": {"volume": 2.0**53 - 1},
    "a fraction of a share": {"volume": 0.5},
    "crude oil on 2020-04-20": {
        "asset_class": "future",
        "open": 17.73,
        "high": 17.85,
        "low": -40.32,
        "close": -37.63,
    },
    "a rate of zero": {"asset_class": "rate", "open": 0.01, "high": 0.02, "low": -0.1, "close": 0.0, "volume": None},
    "a yield that falls to a hundredth": {
        "asset_class": "rate",
        "open": 0.304,
        "high": 0.305,
        "low": 0.003,
        "close": 0.003,
    },
    "an index without a volume": {"asset_class": "index", "volume": None},
    "a pair whose close is a quote above the high": {"asset_class": "currency_pair", "close": 102.5, "volume": 0.0},
    "a high below the close by the last bit": {"high": 101.0, "close": 101.00000000000001},
    "a low above the open by the last bit": {"low": 100.00000000000001, "open": 100.0},
}


def frame(*differences: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([GOOD | d for d in differences], schema=SCHEMA)


@pytest.mark.parametrize(("difference", "rules"), BROKEN.values(), ids=BROKEN)
def test_a_bar_is_rejected_by_name(difference: dict[str, Any], rules: set[str]) -> None:
    checked = check_daily_bars(frame(difference))
    assert checked.accepted.is_empty()
    (named,) = checked.rejected["rules"].to_list()
    assert set(named.split(",")) == rules


@pytest.mark.parametrize("difference", ALLOWED.values(), ids=ALLOWED)
def test_a_bar_is_accepted(difference: dict[str, Any]) -> None:
    checked = check_daily_bars(frame(difference))
    assert checked.accepted.equals(frame(difference))
    assert checked.rejected.is_empty()


def test_a_price_out_of_any_is_one_that_both_neighbours_contradict() -> None:
    def closes(*prices: float) -> pl.DataFrame:
        of_one_price = (dict.fromkeys(("open", "high", "low", "close"), price) for price in prices)
        return frame(*of_one_price).drop("absurd")

    def absurd(bars: pl.DataFrame) -> list[bool]:
        return mark_absurd(bars, "symbol")["absurd"].to_list()

    assert absurd(closes(10, 1e7, 10)) == absurd(closes(10, 1e-5, 10)) == [False, True, False]
    assert absurd(closes(10, 1000, 10, 1e7, 1e7)) == [False] * 5
    assert absurd(closes(10, 10).with_columns(high=pl.lit(1e7))) == [True, True]
    other = closes(10, 1e7, 10).with_columns(symbol=pl.Series(["A", "B", "A"]))
    assert absurd(other) == [False] * 3  # they are neighbours of no other symbol


def test_each_rule_rejects_some_case_here() -> None:
    seen = set().union(*(rules for _, rules in BROKEN.values()))
    assert seen == {rule.id for rule in DAILY_RULES}


def test_each_rule_says_in_words_what_it_asks() -> None:
    for rule in DAILY_RULES:
        assert min(len(words.split()) for words in (rule.meaning, rule.why, rule.reference)) >= 4


def test_one_bad_row_does_not_take_a_good_one_with_it() -> None:
    mixed = frame(
        {"note": "a"}, {"note": "b", "close": None}, {"note": "c"}, {"note": "d", "volume": -1.0}, {"note": "e"}
    )
    checked = check_daily_bars(mixed)
    assert checked.accepted["note"].to_list() == ["a", "c", "e"]
    assert checked.rejected["note"].to_list() == ["b", "d"]
    assert checked.rejected["rules"].to_list() == ["prices_present", "volume_valid"]


def test_of_two_rows_for_a_session_the_first_is_kept() -> None:
    checked = check_daily_bars(frame({"close": 100.5}, {"close": 101.5, "last_of_session": False}))
    assert checked.accepted["close"].to_list() == [100.5]
    assert checked.rejected["rules"].to_list() == ["one_row_per_session"]


def test_an_empty_frame_is_neither_accepted_nor_rejected() -> None:
    checked = check_daily_bars(frame().clear())
    assert (checked.accepted.height, checked.rejected.height) == (0, 0)
    assert "rules" in checked.rejected.columns


@given(st.lists(st.sampled_from([*ALLOWED, *BROKEN]), min_size=1, max_size=40))
def test_every_row_comes_out_once_in_its_order_with_all_its_columns(names: list[str]) -> None:
    rows = [(ALLOWED[n] if n in ALLOWED else BROKEN[n][0]) | {"note": f"{i} {n}"} for i, n in enumerate(names)]
    checked = check_daily_bars(frame(*rows))
    notes = [r["note"] for r in rows]
    assert checked.accepted["note"].to_list() == [n for n in notes if n.split(" ", 1)[1] in ALLOWED]
    assert checked.rejected["note"].to_list() == [n for n in notes if n.split(" ", 1)[1] in BROKEN]
    assert checked.accepted.columns == list(SCHEMA)
    assert checked.rejected.columns == [*SCHEMA, "rules"]
