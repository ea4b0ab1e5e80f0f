"""Compute features of the newest rows alone: a tail of the bars, and the last stored values of recursive features.

A tail is enough where it has as many rows up to the last stored one as each feature remembers (its `memory`). A
recursion over the whole series (an exponential mean, a sum) goes on from its stored value.

So the rows before a tail do not matter, and those of another symbol may stand there: TA-Lib's kernels run over blocks
of symbols (quantx.core.features.blocks) instead of once per symbol.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import polars as pl

from quantx.core.features.blocks import in_blocks
from quantx.core.features.compute import compute, forward_factor
from quantx.core.features.feature import BARS, CarriedMemory, Feature, Memory
from quantx.core.features.kernels import Talib

_WINDOWS = (64, 260)  # rows: features that remember fewer are computed over shorter tails, which is quicker
_LAST, _AGE = "last stored date", "rows to the last"  # of the stored row: 1; of the new ones: 0, -1, …
_WANTED = "wanted"  # the stored row and the new ones
_FACTORS = ("split_factor", "total_factor")


def rows_before(features: Sequence[Feature]) -> int:
    """Return how many rows up to the last stored one a tail needs."""
    return max((each.memory.count for each in features), default=0)


def carried_names(features: Sequence[Feature]) -> list[str]:
    """Return the features whose last stored value a tail needs."""
    return [each.name for each in features if isinstance(each.memory, CarriedMemory)]


def compute_tail(features: Sequence[Feature], bars: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return the features of the rows after each symbol's stored one: symbol, date and a column per feature.

    `bars` are as for `compute`, cut to the newest rows: `rows_before` of them up to the stored row, or all there are.
    `stored` has one row per symbol, the last one before those wanted: symbol, date and the columns `carried_names`.
    The values equal those of the whole series to 1e-9, for the symbols that `short_tails` does not return.
    """
    dated = _dated(bars, stored)
    new = (pl.col("date") > pl.col(_LAST)).sum()
    rows = dated.with_columns((pl.len() - pl.int_range(pl.len()) - new).over("symbol").alias(_AGE))
    rows = rows.with_columns((pl.col(_AGE) <= 1).alias(_WANTED)).drop(_LAST)
    joined = in_blocks(rows)
    result = rows.filter(pl.col(_AGE) <= 0).select("symbol", "date")
    for count, chosen in _by_memory(features):
        in_block = [each for each in chosen if isinstance(each.kernel, Talib)]
        alone = [each for each in chosen if each not in in_block]
        for given, some in ((joined, in_block), (rows, alone)):
            if some:
                carried = _newest(some, given.filter(pl.col(_AGE) <= max(count, 1)), stored)
                result = result.with_columns(carried.select(each.name for each in some).get_columns())
    return result.select("symbol", "date", *(each.name for each in features))


def _newest(features: Sequence[Feature], tail: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return features of the new rows of a tail."""
    computed = compute([*features, *_decays(features)], tail, wanted=_WANTED)
    values = pl.concat([computed, tail.filter(_WANTED).select(*_FACTORS, _AGE)], how="horizontal")
    return _carry_on(features, values, stored).filter(pl.col(_AGE) <= 0)


def short_tails(features: Sequence[Feature], bars: pl.DataFrame, stored: pl.DataFrame) -> list[str]:
    """Return the symbols of `stored` whose tail has too few rows, or that have no stored value to go on from.

    Their features must be computed from the whole series. Rows without a feature's inputs do not count.
    """
    known = _dated(bars, stored).filter(pl.col("date") <= pl.col(_LAST))
    gappy = {name for name in BARS if not known[name].is_finite().fill_null(False).all()}
    needs = {
        (tuple(name for name in each.inputs if name in gappy), each.memory, length)
        for length, chosen in _by_memory(features)
        for each in chosen
    }
    enough = [_enough(inputs, memory, length) for inputs, memory, length in needs]
    whole = (
        known.group_by("symbol", maintain_order=True)
        .agg(pl.all_horizontal(enough).alias("whole"))
        .filter("whole")["symbol"]
    )
    valued = stored.filter(pl.all_horizontal(pl.lit(True), pl.col(carried_names(features)).is_not_null()))["symbol"]
    return sorted(set(stored["symbol"]) - (set(whole) & set(valued)))


def _dated(bars: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return the bars of symbols that have a stored row, with its date."""
    dates = stored.select("symbol", pl.col("date").alias(_LAST))
    return bars.join(dates, on="symbol", how="inner", maintain_order="left")


def _by_memory(features: Sequence[Feature]) -> Iterator[tuple[int, list[Feature]]]:
    """Group features by the length of the tail that they need."""
    needed = rows_before(features)
    lengths = [*(each for each in _WINDOWS if each < needed), needed]
    for shorter, length in pairwise([-1, *lengths]):
        if chosen := [each for each in features if shorter < each.memory.count <= length]:
            yield length, chosen


def _decays(features: Sequence[Feature]) -> list[Feature]:
    """Return features whose values are the decays that change from row to row."""
    return [
        replace(each, name=_decay_of(each), kernel=each.memory.decay, output=None, unit="ratio")
        for each in features
        if isinstance(each.memory, CarriedMemory) and callable(each.memory.decay)
    ]


def _decay_of(feature: Feature) -> str:
    return f"decay of {feature.name}"


def _enough(inputs: Sequence[str], memory: Memory, length: int) -> pl.Expr:
    """Return whether a symbol's last `length` rows, of those with values in `inputs`, are as many as a memory needs."""
    valued = pl.all_horizontal(pl.lit(True), *(pl.col(name).is_finite() for name in inputs)).fill_null(False)
    enough = pl.len() >= memory.count if not inputs else valued.tail(length).sum() >= memory.count
    if isinstance(memory, CarriedMemory):
        return enough & (valued & (pl.col("date") == pl.col(_LAST))).any()
    if not memory.moves:
        return enough
    return enough & ((valued & (pl.col("close") != pl.col("close").shift(1))).sum() >= memory.moves)


def _carry_on(features: Sequence[Feature], values: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Move the recursive features of rows from the stored one on to its values, in forward-adjusted units."""
    carried = [each for each in features if isinstance(each.memory, CarriedMemory)]
    if not carried:
        return values
    known = stored.select("symbol", "date", *(pl.col(each.name).alias(f"stored {each.name}") for each in carried))
    rows = values.join(known, on=["symbol", "date"], how="left", maintain_order="left")
    return rows.with_columns(_carried(each) for each in carried)


def _carried(feature: Feature) -> pl.Expr:
    """Return a tail's values of a recursive feature, less what is left of its difference at the stored row."""
    value, factor = pl.col(feature.name), forward_factor(feature)
    difference = ((pl.col(f"stored {feature.name}") - value) * factor).max().over("symbol").fill_null(0.0)
    new = value.is_not_null() & (pl.col(_AGE) <= 0)
    decay = feature.memory.decay if isinstance(feature.memory, CarriedMemory) else 0.0
    each_row = pl.col(_decay_of(feature)) if callable(decay) else pl.lit(decay)
    left = pl.when(new).then(each_row).otherwise(1.0).cum_prod().over("symbol")
    return (value + difference * left / factor).alias(feature.name)
