"""The hard rules of minute bars: a table of cases, at least one per rule."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from quantx.core.quality.minute_rules import MINUTE_RULES
from quantx.core.quality.rule import split_by

FACTS = ("in_calendar", "in_past", "aligned", "in_hours", "last_of_minute")
GOOD: dict[str, Any] = {"open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0, "volume": 500.0, "note": "carried"}
GOOD |= {**dict.fromkeys(FACTS, True), "asset_class": "equity"}
SCHEMA = {
    **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
    "note": pl.String,
    "asset_class": pl.String,
    **dict.fromkeys(FACTS, pl.Boolean),
}
BROKEN: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no close": ({"close": None}, {"prices_present"}),
    "NaN": ({"open": float("nan")}, {"prices_present"}),
    "zero": ({"low": 0.0}, {"prices_positive"}),
    "high below close": ({"high": 100.5}, {"high_is_highest"}),
    "open below low": ({"low": 100.5}, {"open_in_range"}),
    "low above close": ({"low": 101.2}, {"low_is_lowest", "open_in_range"}),
    "a low in pounds among pence": ({"low": 0.99}, {"one_unit"}),
    "volume −1": ({"volume": -1.0}, {"volume_valid"}),
    "no volume": ({"volume": None}, {"volume_valid"}),
    "a pair out of its range": ({"asset_class": "currency_pair", "low": 103.0}, {"pair_in_range"}),
    "a Sunday": ({"in_calendar": False}, {"session_of_calendar"}),
    "tomorrow": ({"in_past": False}, {"not_in_future"}),
    "with seconds": ({"aligned": False}, {"on_the_minute"}),
    "at lunch": ({"in_hours": False}, {"within_hours"}),
    "a second row": ({"last_of_minute": False}, {"one_row_per_minute"}),
    "a hollow one at night": ({"close": None, "in_hours": False}, {"prices_present", "within_hours"}),
}


def frame(*differences: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([GOOD | d for d in differences], schema=SCHEMA)


@pytest.mark.parametrize(("difference", "rules"), BROKEN.values(), ids=BROKEN)
def test_a_minute_is_rejected_by_name(difference: dict[str, Any], rules: set[str]) -> None:
    checked = split_by(frame(difference), MINUTE_RULES)
    assert checked.accepted.is_empty()
    assert [set(text.split(",")) for text in checked.rejected["rules"]] == [rules]


def test_good_minutes_are_accepted_as_they_are() -> None:
    good = frame({}, {"volume": 0.0}, dict.fromkeys(("open", "high", "low", "close"), 7.25))
    checked = split_by(good, MINUTE_RULES)
    assert checked.accepted.equals(good)
    assert checked.rejected.is_empty()


def test_each_rule_rejects_some_case_here_and_says_in_words_what_it_asks() -> None:
    assert set().union(*(rules for _, rules in BROKEN.values())) == {rule.id for rule in MINUTE_RULES}
    assert all(len(rule.meaning.split()) >= 4 for rule in MINUTE_RULES)


def test_rows_come_out_once_in_their_order() -> None:
    notes = [{"note": "a"}, {"note": "b", "close": None}, {"note": "c"}, {"note": "d", "aligned": False}, {"note": "e"}]
    checked = split_by(frame(*notes), MINUTE_RULES)
    assert (checked.accepted["note"].to_list(), checked.rejected["note"].to_list()) == (["a", "c", "e"], ["b", "d"])
