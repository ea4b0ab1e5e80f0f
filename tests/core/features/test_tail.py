"""Features of a tail equal those of the whole series, as far as each feature's declared memory reaches."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.core.features.bars import constant, invented, recorded
from tests.market_data import either

from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature
from quantx.core.features.sets import SETS
from quantx.core.features.tail import carried_names, compute_tail, rows_before, short_tails

TECHNICAL = SETS["technical"].features
SYMBOLS = either(("AAPL", "C", "GGP", "MNST"), ("QZAA", "QZBB"))


def cut(bars: pl.DataFrame, new: int, before: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the newest rows of each symbol, and the last date before the `new` ones."""
    last = bars.group_by("symbol", maintain_order=True).agg(pl.col("date").get(-new - 1))
    return bars.group_by("symbol", maintain_order=True).tail(new + before), last


def of_tail(
    bars: pl.DataFrame, new: int, before: int, features: Sequence[Feature] = TECHNICAL
) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Return features of the newest rows from a tail and from the whole series, and the symbols with a short tail."""
    whole = compute(features, bars)
    tail, last = cut(bars, new, before)
    stored = last.join(whole, on=("symbol", "date")).select("symbol", "date", *carried_names(features))
    short = short_tails(features, tail, stored)
    return (
        compute_tail(features, tail, stored).sort("symbol", "date"),
        whole.group_by("symbol", maintain_order=True).tail(new).sort("symbol", "date"),
        short,
    )


@pytest.mark.parametrize(("name", "new"), [("technical", 1), ("technical", 300), ("alpha158", 7)])
def test_a_tail_of_the_declared_memory_equals_the_whole_series(name, new):
    features, bars = SETS[name].features, pl.concat(recorded(symbol).tail(1500) for symbol in SYMBOLS)
    found, right, short = of_tail(bars, new, rows_before(features), features)
    assert short == []
    assert_frame_equal(found, right, rel_tol=1e-9, abs_tol=1e-9)


def test_a_tail_without_enough_moves_is_short():
    """Ratios of Wilder's means keep their value through a halt: the rows of the halt say nothing about it."""
    halted = invented(1500).with_columns(
        pl.when(pl.int_range(pl.len()) < 1000).then(pl.col(name)).otherwise(42.0)
        for name in ("open", "high", "low", "close")
    )
    _, _, short = of_tail(pl.concat([halted, invented(1500, symbol="QZBB")]), 1, rows_before(TECHNICAL))
    assert short == ["QZAA"]


def test_a_tail_without_a_value_to_go_on_from_is_short():
    volume = pl.when(pl.int_range(pl.len()) != 1498).then("volume")
    gap_at_the_stored_row = invented(1500).with_columns(volume.alias("volume"))
    _, _, short = of_tail(pl.concat([gap_at_the_stored_row, invented(1500, symbol="QZBB")]), 1, 400)
    assert short == ["QZAA"]


def test_a_whole_young_series_is_enough():
    """`short_tails` returns it, since it cannot know; its tail is the whole series, and right."""
    found, right, short = of_tail(pl.concat([invented(30), constant(1, symbol="QZBB")]).filter(symbol="QZAA"), 1, 400)
    assert short == ["QZAA"]
    assert_frame_equal(found, right)
