"""Two vendors' splits and dividends: which differ, why, and who is right."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from quantx.core.quality.action_comparison import comparable_events, compare_actions
from quantx.core.quality.action_verdicts import EventWitness, decide_events, price_steps

DAY = date(2024, 5, 10)
Event = tuple[date, str, float] | tuple[date, str, float, str]


def events(*listed: Event) -> pl.DataFrame:
    rows = [("AAA", day, kind, value, *(currency or ("USD",))) for day, kind, value, *currency in listed]
    schema = {"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "value": pl.Float64, "currency": pl.String}
    return comparable_events(pl.DataFrame(rows, schema=schema, orient="row"))


def days_later(days: int) -> date:
    return DAY + timedelta(days=days)


DIVIDEND, SPLIT = (DAY, "dividend", 0.25), (DAY, "split", 4.0)

DIFFERENCES = [
    ("equal", [DIVIDEND, SPLIT], [DIVIDEND, SPLIT], []),
    ("rounded", [(DAY, "dividend", 0.2475)], [(DAY, "dividend", 0.25)], []),
    ("a rounded cent", [(DAY, "dividend", 0.004)], [(DAY, "dividend", 0.0048)], []),
    ("doubled", [DIVIDEND], [(DAY, "dividend", 0.5)], [("vendor_events_disagree", DAY, 0.25, 0.5, None)]),
    ("another ratio", [SPLIT], [(DAY, "split", 3.0)], [("vendor_events_disagree", DAY, 4.0, 3.0, None)]),
    ("upside down", [SPLIT], [(DAY, "split", 0.25)], [("vendor_events_disagree", DAY, 4.0, 0.25, None)]),
    ("only one", [SPLIT, DIVIDEND], [DIVIDEND], [("vendor_lacks_event", DAY, 4.0, None, None)]),
    ("only the other", [], [DIVIDEND], [("vendor_lacks_event", DAY, None, 0.25, None)]),
    (
        "another ex-date",
        [DIVIDEND],
        [(days_later(3), "dividend", 0.25)],
        [("vendor_event_date", DAY, 0.25, 0.25, days_later(3))],
    ),
    (
        "another ex-date and amount: two events",
        [DIVIDEND],
        [(days_later(3), "dividend", 0.35)],
        [("vendor_lacks_event", DAY, 0.25, None, None), ("vendor_lacks_event", days_later(3), None, 0.35, None)],
    ),
    (
        "pence as pounds",
        [(DAY, "dividend", 17.0, "GBP")],
        [(DAY, "dividend", 0.17, "GBP")],
        [("vendor_event_hundredfold", DAY, 17.0, 0.17, None)],
    ),
    ("pence and pounds", [(DAY, "dividend", 17.0, "GBX")], [(DAY, "dividend", 0.17, "GBP")], []),
    ("in another currency", [(DAY, "foreign_dividend", 30.0, "JPY")], [(DAY, "dividend", 0.2)], []),
    (
        "a special dividend on the same day",
        [(DAY, "dividend", 0.25), (DAY, "capital_gain", 1.0)],
        [(DAY, "dividend", 1.25)],
        [],
    ),
    ("nothing paid", [(DAY, "dividend", 0.0), (DAY, "split", 1.0)], [], []),
    (
        "one of two weekly dividends",
        [DIVIDEND, (days_later(7), "dividend", 0.25)],
        [(days_later(7), "dividend", 0.25)],
        [("vendor_lacks_event", DAY, 0.25, None, None)],
    ),
]


@pytest.mark.parametrize(("a", "b", "found"), [case[1:] for case in DIFFERENCES], ids=[case[0] for case in DIFFERENCES])
def test_each_difference_has_its_cause(a: list[Event], b: list[Event], found: list[object]) -> None:
    odd = compare_actions(events(*a), events(*b))
    assert odd.select("rule", "ex_date", "value", "value_b", "other_date").rows() == found


def steps_of(closes: dict[int, float]) -> pl.DataFrame:
    """The steps of a price that hardly moves, and falls to `closes` on the days after DAY."""
    rows, level = [], 100.0
    for at in range(-40, 41):
        level = closes.get(at, level)
        rows.append(("vendor", "AAA", days_later(at), level * (1.001 if at % 2 else 1.0)))
    return price_steps(pl.DataFrame(rows, schema=["source", "symbol", "date", "close"], orient="row"))


def judged(
    a: list[Event],
    b: list[Event],
    *,
    third: list[Event] | None = None,
    contradicted: str = "",
    closes: dict[int, float] | None = None,
) -> tuple[str | None, str | None]:
    odd = compare_actions(events(*a), events(*b))
    witnesses = [] if third is None else [EventWitness("third", events(*third), odd)]
    days = odd.select("symbol", "ex_date")
    wrong = (days if contradicted == "a" else days.clear(), days if contradicted == "b" else days.clear())
    steps = steps_of(closes or {})
    row = decide_events(odd, witnesses, wrong, (steps, steps)).row(0, named=True)
    return row["outcome"], row["decided_by"]


BIG = (DAY, "dividend", 20.0)
DECISIONS = [
    ("nothing decides", {"a": [DIVIDEND], "b": [(DAY, "dividend", 0.5)]}, (None, None)),
    ("a third vendor", {"a": [DIVIDEND], "b": [(DAY, "dividend", 0.5)], "third": [DIVIDEND]}, ("b_wrong", "third")),
    ("a third vendor without it", {"a": [DIVIDEND], "b": [], "third": []}, ("a_wrong", "third")),
    ("a third vendor with it", {"a": [DIVIDEND], "b": [], "third": [DIVIDEND]}, ("b_wrong", "third")),
    (
        "a third vendor on the other day",
        {"a": [DIVIDEND], "b": [(days_later(2), *DIVIDEND[1:])], "third": [(days_later(2), *DIVIDEND[1:])]},
        ("a_wrong", "third"),
    ),
    (
        "a third vendor on its own day",
        {"a": [DIVIDEND], "b": [(days_later(2), *DIVIDEND[1:])], "third": [DIVIDEND]},
        ("b_wrong", "third"),
    ),
    ("its adjusted close", {"a": [DIVIDEND], "b": [], "contradicted": "b"}, ("b_wrong", "adjusted closes")),
    ("the price shows a split", {"a": [SPLIT], "b": [], "closes": {0: 25.0}}, ("b_wrong", "price")),
    ("the price shows none", {"a": [], "b": [SPLIT]}, ("b_wrong", "price")),
    (
        "the price shows its ratio",
        {"a": [(DAY, "split", 3.0)], "b": [SPLIT], "closes": {0: 25.0}},
        ("a_wrong", "price"),
    ),
    ("the price shows a special dividend", {"a": [], "b": [BIG], "closes": {0: 80.0}}, ("a_wrong", "price")),
    ("the price is at another step", {"a": [], "b": [BIG], "closes": {0: 90.0}}, (None, None)),
    ("no price tells a small dividend", {"a": [DIVIDEND], "b": [], "closes": {0: 99.75}}, (None, None)),
    (
        "the price steps on the day of the second",
        {"a": [SPLIT], "b": [(days_later(3), "split", 4.0)], "closes": {3: 25.0}},
        ("a_wrong", "price"),
    ),
]


@pytest.mark.parametrize(("case", "said"), [case[1:] for case in DECISIONS], ids=[case[0] for case in DECISIONS])
def test_the_decision_and_what_it_rests_on(case: dict[str, list[Event]], said: tuple[str | None, str | None]) -> None:
    assert judged(**case) == said  # type: ignore[arg-type]
