"""Vendors' splits and dividends are reconciled as their bars are."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from quantx.core.model import Window
from quantx.pipeline.inspecting.compare_actions import compare_vendor_actions, event_days
from quantx.pipeline.inspecting.comparison import events_of

from ..conftest import Desk
from .test_reconcile import DAYS, Market, reconciled

EX_DATE, LATER = DAYS[20], DAYS[40]


@pytest.fixture
def payers(desk: Desk) -> Market:
    """Two vendors of AAA with one dividend, which the second has twice as high."""
    market = Market(desk)
    for name, amount in (("tape", 0.5), ("other", 1.0)):
        market.vendors[name].pays["AAA"] = [(EX_DATE, "dividend", amount, None)]
    market.fetch("tape", "other", symbols=("AAA",))
    return market


def found(market: Market) -> list[tuple[Any, ...]]:
    rows = market.platform.state.findings.listed(100, status="open")
    return [(r["rule"], r["severity"], r["subject"], r["source"], r["dataset"], r["first_day"]) for r in rows]


def verdicts(market: Market) -> list[tuple[Any, ...]]:
    columns = ("ex_date", "kind", "source", "verdict", "rule", "against", "decided_by", "value", "other_value")
    return market.rows("action_verdicts").select(columns).rows()


def test_a_doubled_dividend_is_a_finding_with_both_amounts_until_the_vendors_agree(payers: Market) -> None:
    done = reconciled(payers.platform)
    assert done is not None
    assert (done.events, done.findings) == (2, 1)
    disagree = "vendor_events_disagree"
    assert verdicts(payers) == [
        (EX_DATE, "dividend", "other", "doubtful", disagree, "tape", None, 1.0, 0.5),
        (EX_DATE, "dividend", "tape", "doubtful", disagree, "other", None, 0.5, 1.0),
    ]
    assert found(payers) == [(disagree, "warn", "AAA", "", "actions", EX_DATE)]
    (finding,) = payers.platform.state.findings.open(disagree)
    assert "other has a dividend of 1 on 2023-10-30, tape of 0.5 (a factor of 2)" in finding.message
    assert [(e["source"], e["ex_date"], e["value"]) for e in finding.facts["events"]] == [
        ("other", str(EX_DATE), 1.0),
        ("tape", str(EX_DATE), 0.5),
    ]
    versions = payers.desk.versions()
    reconciled(payers.platform)
    assert payers.desk.versions() == versions
    payers.vendors["other"].pays["AAA"] = [(EX_DATE, "dividend", 0.5, None)]
    payers.fetch("other", symbols=("AAA",))
    reconciled(payers.platform)
    assert (found(payers), verdicts(payers)) == ([], [])


def test_a_third_vendor_names_the_one_that_is_wrong(payers: Market) -> None:
    payers.vendors["third"].pays["AAA"] = [(EX_DATE, "dividend", 0.5, None)]
    payers.fetch("third", symbols=("AAA",))
    reconciled(payers.platform)
    assert ("vendor_events_disagree", "warn", "AAA", "other", "actions", EX_DATE) in found(payers)
    assert [v[2:4] for v in verdicts(payers)] == [("other", "wrong")]


def test_a_special_dividend_that_one_vendor_misses_is_found_only_where_it_was_requested(payers: Market) -> None:
    payers.vendors["tape"].pays["AAA"] += [(LATER, "dividend", 3.0, None), (date(2023, 12, 29), "dividend", 0.1, None)]
    payers.vendors["other"].pays["AAA"] = [(EX_DATE, "dividend", 0.5, None)]
    payers.fetch("tape", symbols=("AAA",))
    payers.fetch("other", symbols=("AAA",), window=Window(DAYS[0], DAYS[50]))
    reconciled(payers.platform)
    lacks = [(v[0], v[2], v[3], v[7], v[8]) for v in verdicts(payers)]
    assert lacks == [
        (LATER, "tape", "doubtful", 3.0, None),
        (date(2023, 12, 29), "tape", "doubtful", 0.1, None),
    ]
    (finding,) = payers.platform.state.findings.open("vendor_lacks_event")
    assert "tape has a dividend of 3 on 2023-11-28, other has none, and 1 more by 2023-12-29" in finding.message
    assert finding.facts["times"] == 2


def test_a_vendor_that_was_not_requested_for_a_day_lacks_nothing(desk: Desk) -> None:
    market = Market(desk)
    market.vendors["tape"].pays["AAA"] = [(EX_DATE, "dividend", 0.5, None), (DAYS[-1], "split", 2.0, None)]
    market.fetch("tape", symbols=("AAA",))
    market.fetch("other", symbols=("AAA",), window=Window(DAYS[30], DAYS[-1]))
    reconciled(market.platform)
    assert verdicts(market) == []  # the first before its bars, the last one so new that it may come


def test_the_comparison_lists_the_events_that_differ_with_both_amounts(payers: Market) -> None:
    platform = payers.platform
    days = event_days(platform.state.series, platform.providers, platform.clock.now())
    compared = events_of(compare_vendor_actions(platform.tables, days, ["AAA"]))
    assert compared["AAA", "other", "tape"] == {
        "events": 1,
        "event_differences": [
            {
                "ex_date": EX_DATE,
                "kind": "dividend",
                "rule": "vendor_events_disagree",
                "value_a": 1.0,
                "value_b": 0.5,
                "other_date": None,
                "wrong": None,
                "decided_by": None,
            }
        ],
    }
