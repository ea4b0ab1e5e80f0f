"""`concept_values` against a replay in plain Python of the filings known at random instants, and against itself."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import polars as pl
import pytest
from tests.core.fundamentals.histories import restated_split_and_moved
from tests.core.fundamentals.recorded import RECORDED, facts_of, recorded_facts
from tests.core.fundamentals.replay import replay

from quantx.core.fundamentals.concepts import concept_values
from quantx.core.fundamentals.revisions import revision_classes
from quantx.settings.concepts import shipped_concepts

SLOT = ["concept", "period", "end"]


def known(rows: pl.DataFrame, public_by: datetime) -> pl.DataFrame:
    """Return the last version of each slot that was public."""
    return rows.filter(pl.col("public_at") <= public_by).sort("public_at").group_by(SLOT).last().sort(SLOT)


def histories(name: str) -> pl.DataFrame:
    if name == "invented":
        return facts_of(restated_split_and_moved())
    if not RECORDED[name].exists():
        pytest.skip(f"there is no recording {RECORDED[name].name}")
    return recorded_facts(name)


def instants(facts: pl.DataFrame, name: str, how_many: int) -> list[datetime]:
    times = facts["public_at"].unique().sort().to_list()
    return random.Random(name).sample(times, min(how_many, len(times)))


@pytest.mark.parametrize("name", ["invented", *RECORDED])
def test_rows_are_what_the_filings_of_any_instant_make(name: str) -> None:
    facts, concepts = histories(name), shipped_concepts()
    rows = concept_values(facts, concepts)
    every = name in ("invented", "LPA")
    for instant in [*instants(facts, name, 100 if every else 2), datetime(2030, 1, 1, tzinfo=UTC)]:
        expected = replay(facts.filter(pl.col("public_at") <= instant).to_dicts(), concepts)
        got = {
            (concept, period, end): value
            for concept, period, end, value in known(rows, instant).select(*SLOT, "value").iter_rows()
            if value is not None
        }
        assert got.keys() == expected.keys()
        assert {slot: got[slot] for slot in got if got[slot] != pytest.approx(expected[slot], rel=1e-12)} == {}


@pytest.mark.parametrize("name", ["invented", *RECORDED])
def test_later_filings_change_nothing_of_what_was_public(name: str) -> None:
    facts, concepts = histories(name), shipped_concepts()
    rows = concept_values(facts, concepts)
    for instant in instants(facts, name, 3):
        early = facts.filter(pl.col("public_at") <= instant)
        classes = revision_classes(early)
        assert classes.equals(early["revision"], null_equal=True)
        then = concept_values(early, concepts)
        assert known(then, instant).equals(known(rows, instant))
