"""The known answers of recorded filers: the right value, and the day on which it was public first."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from functools import lru_cache

import polars as pl
import pytest
from tests.core.fundamentals.recorded import RECORDED, recorded_facts
from tests.market_data import FOLDER

from quantx.core.fundamentals.concepts import concept_values
from quantx.settings.concepts import shipped_concepts

ANSWERS = FOLDER / "known_answers/sec_fundamentals/known_answers.csv"
CONCEPTS = {
    "Revenue": "revenue",
    "NetIncomeLoss": "net_income",
    "EarningsPerShareDiluted": "eps_diluted",
    "Assets": "assets",
    "CommonStockSharesOutstanding": "shares_outstanding",
    "WeightedAverageNumberOfDilutedSharesOutstanding": "shares_diluted",
    # Not in the shipped map: one entry each.
    "PaymentsToAcquireInvestments": "investments_bought",
    "GoodwillPeriodIncreaseDecrease": "goodwill_change",
}
OWN = {
    "investments_bought": {
        "title": "Investments bought", "statement": "cash_flow", "tags": {"us-gaap": ["PaymentsToAcquireInvestments"]},
    },
    "goodwill_change": {
        "title": "Change of goodwill", "statement": "balance", "tags": {"us-gaap": ["GoodwillPeriodIncreaseDecrease"]},
    },
}  # fmt: skip

# The list has the day of the 10-K; in the recording the 10-Q of July reports the same value.
EARLIER = {("AAPL", "CommonStockSharesOutstanding", 6_294_494_000): date(2014, 7, 23)}


def answers() -> list[dict[str, str]]:
    if not ANSWERS.exists():
        return []
    with ANSWERS.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["entity"] in RECORDED]


@lru_cache(maxsize=8)
def rows_of(name: str) -> pl.DataFrame:
    return concept_values(recorded_facts(name), shipped_concepts().extended(OWN))


def history(answer: Mapping[str, str]) -> list[tuple[date, float | None, str | None]]:
    """Return the versions of the period of an answer: day, value, reason."""
    concept, _, ttm = answer["concept"].partition(" ")
    end = date.fromisoformat(answer["period_end"])
    length = (end - date.fromisoformat(answer["period_start"] or answer["period_end"])).days
    period = "ttm" if ttm else "annual" if length > 330 else "quarter"
    rows = rows_of(answer["entity"]).filter(
        (pl.col("concept") == CONCEPTS[concept]) & (pl.col("period") == period) & (pl.col("end") == end)
    )
    start = rows["start"].drop_nulls().unique().to_list()
    assert start == ([date.fromisoformat(answer["period_start"])] if answer["period_start"] and start else [])
    return rows.sort("public_at").select("filed", "value", "reason").rows()


@pytest.mark.parametrize("answer", answers(), ids=lambda a: f"{a['entity']}-{a['concept']}-{a['period_end']}")
def test_value_and_first_public_day(answer: dict[str, str]) -> None:
    versions = history(answer)
    if not answer["value"]:
        assert [(value, reason) for _, value, reason in versions] == [(None, "no_same_start")]
        return
    firsts = {value: filed for filed, value, _ in reversed(versions)}
    listed, value = date.fromisoformat(answer["known_from"]), float(answer["value"])
    assert firsts[value] == EARLIER.get((answer["entity"], answer["concept"], int(value)), listed)


def test_slips_of_scale_are_no_versions() -> None:
    if not ANSWERS.exists():
        pytest.skip(f"there are no known answers in {ANSWERS.parent}")
    values = {
        (a["entity"], a["concept"], a["period_end"]): [value for _, value, _ in history(a)]
        for a in answers()
        if "SharesOutstanding" in a["concept"]
    }
    assert values["AAPL", "CommonStockSharesOutstanding", "2013-09-28"] == [899_213_000, 6_294_494_000]
    assert values["NVDA", "WeightedAverageNumberOfDilutedSharesOutstanding", "2009-07-26"] == [546_639_000]
