"""Each row rule of facts on one fact that breaks it, and on facts that break none."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from quantx.core.fact_datasets import FUNDAMENTALS_DATASET, fact_table
from quantx.core.fact_tables import FUNDAMENTALS_FACTS
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import INSTANT
from quantx.core.tables import DECISIONS
from quantx.pipeline.curating.fact_rows import check_facts, public_rows

GOOD: dict[str, Any] = {
    "source": "sec",
    "symbol": "CIK0000320193",
    "cik": 320193,
    "taxonomy": "us-gaap",
    "tag": "NetIncomeLoss",
    "unit": "USD",
    "start": date(2023, 10, 1),
    "end": date(2024, 9, 28),
    "value": 93736e6,
    "form": "10-K",
    "accession": "0000320193-24-000123",
    "fy": 2024,
    "fp": "FY",
    "filed": date(2024, 11, 1),
    "raw": "01J",
    "payload_sha256": "0" * 64,
    "known_from": datetime(2024, 11, 2, tzinfo=UTC),
}


def facts(*changes: dict[str, Any]) -> pl.DataFrame:
    schema = {name: FUNDAMENTALS_FACTS.schema.get(name, pl.String) for name in GOOD}
    return pl.DataFrame([GOOD | change for change in changes], schema=schema)


def check(*changes: dict[str, Any], decisions: pl.DataFrame | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
    policy = RowPolicy() if decisions is None else RowPolicy(decisions=decisions)
    return check_facts(facts(*changes), FUNDAMENTALS_DATASET, policy)


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"value": float("nan")}, "fact_value_finite"),
        ({"value": float("inf")}, "fact_value_finite"),
        ({"value": None}, "fact_value_finite"),
        ({"start": date(2024, 9, 29)}, "fact_dates_possible"),
        ({"start": date(202, 9, 30)}, "fact_dates_possible"),
        ({"end": None}, "fact_dates_possible"),
        ({"start": date(201, 10, 1), "end": date(202, 9, 28)}, "fact_dates_possible"),
        ({"filed": None}, "fact_filed_known"),
        ({"unit": "", "tag": "Cost"}, "fact_unit_present"),
        ({"end": date(2024, 11, 2)}, "fact_ended_before_filed"),
        ({"unit": "shares"}, "fact_unit_kind"),
        ({"tag": "EarningsPerShareDiluted"}, "fact_unit_kind"),
        ({"tag": "CommonStockSharesOutstanding", "start": None}, "fact_unit_kind"),
        ({"value": None, "filed": None}, "fact_value_finite,fact_filed_known"),
    ],
)
def test_a_fact_that_breaks_a_rule_is_rejected(change: dict[str, Any], rules: str) -> None:
    accepted, rejected = check(GOOD | change, {"tag": "Revenues"})
    assert accepted["tag"].to_list() == ["Revenues"]
    assert rejected.select("dataset", "rules").rows() == [("fundamentals_facts", rules)]
    assert rejected["date"].null_count() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"value": -1.0},
        {"tag": "EarningsPerShareDiluted", "unit": "USD/shares", "value": -0.5},
        {"tag": "WeightedAverageNumberOfDilutedSharesOutstanding", "unit": "shares"},
        {"start": None, "tag": "Assets", "unit": "COP"},
        {"start": date(2020, 9, 1)},  # a sum since the beginning of a project: 1,490 days have been filed
        {"tag": "CustomCount", "unit": "pure"},
        {"form": None, "fy": None, "fp": None, "cik": None, "taxonomy": "ecd"},
    ],
)
def test_an_unusual_fact_is_accepted(change: dict[str, Any]) -> None:
    accepted, rejected = check(change, {"tag": "Cost", "value": None})
    assert accepted.height == 1
    assert rejected["rules"].to_list() == ["fact_value_finite"]


def test_of_equal_repetitions_one_is_kept_and_of_different_ones_none() -> None:
    accepted, rejected = check({}, {}, {"tag": "Revenues"}, {"tag": "Revenues", "value": 1.0}, {"tag": "Assets"})
    assert accepted["tag"].to_list() == ["NetIncomeLoss", "Assets"]
    assert rejected["rules"].to_list() == ["fact_once_per_filing"] * 2


def test_a_decision_accepts_one_of_two_values() -> None:
    both = ({"tag": "Assets", "start": None}, {"tag": "Assets", "start": None, "value": 1.0})
    _, rejected = check(*both)
    decided = rejected.head(1).with_columns(
        decision=pl.lit("accept"),
        reason=pl.lit("as in the filing"),
        by=pl.lit("ada"),
        known_from=pl.lit(datetime(2024, 11, 5, tzinfo=UTC)).cast(INSTANT),
    )
    accepted, still = check(*both, decisions=decided.select(list(DECISIONS.schema)))
    assert accepted.select("value", "known_from").rows() == [(93736e6, datetime(2024, 11, 5, tzinfo=UTC))]
    assert still.equals(rejected)


def test_a_row_without_an_instant_is_public_at_the_end_of_its_day_of_filing() -> None:
    table = fact_table("carbon", {"scope": pl.String}, key=["scope"])
    at = datetime(2024, 5, 1, 9, tzinfo=UTC)
    rows = pl.DataFrame(
        {"symbol": ["AAPL", "7203.T", "AAPL"], "filed": [date(2024, 5, 1)] * 3, "public_at": [None, None, at]},
        schema={name: table.schema[name] for name in ("symbol", "filed", "public_at")},
    )
    public = public_rows(rows).sort("symbol", "public_at")
    assert public["public_at"].to_list() == [
        datetime(2024, 5, 1, 15, tzinfo=UTC),  # midnight in Tokyo
        at,
        datetime(2024, 5, 2, 4, tzinfo=UTC),  # midnight in New York
    ]
    assert public["public_how"].to_list() == ["filed_day", "vendor", "filed_day"]
