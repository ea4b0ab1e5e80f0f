"""Kernels that run over the tails of several symbols at once give each symbol the values of its own series."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from tests.core.features.bars import constant, invented

from quantx.core.features.blocks import in_blocks
from quantx.core.features.compute import compute
from quantx.core.features.sets import SETS
from quantx.core.features.tail import carried_names, compute_tail, rows_before, short_tails

TECHNICAL = SETS["technical"].features
PRICES = ("open", "high", "low", "close")
NEED = rows_before(TECHNICAL)
SHORT = {"B penny", "E never moves", "O gaps", "P gaps in the newest rows", "T short"}
ALONE = {
    "F halted at the end",
    "G quiet",
    "H without volume",
    "I with days without volume",
    "J rose tenfold",
    "K fell",
    "Q volume came",
}


def scaled(bars: pl.DataFrame, price: float, volume: float) -> pl.DataFrame:
    return bars.with_columns(*(pl.col(name) * price for name in PRICES), pl.col("volume") * volume)


def in_ticks(bars: pl.DataFrame, tick: float) -> pl.DataFrame:
    return bars.with_columns(((pl.col(name) / tick).round() * tick).alias(name) for name in PRICES)


def split_in_the_tail(bars: pl.DataFrame, ratio: float, ago: int) -> pl.DataFrame:
    """Divide the newest prices by a ratio, with the factors of that split and of a dividend of 3 %."""
    row, height = pl.int_range(pl.len()), bars.height
    after, paid = row >= height - ago, row >= height - 2 * ago
    return bars.with_columns(
        *(pl.when(after).then(pl.col(name) / ratio).otherwise(pl.col(name)).alias(name) for name in PRICES),
        pl.when(after).then(pl.col("volume") * ratio).otherwise("volume").alias("volume"),
        split_factor=pl.when(after).then(ratio).otherwise(1.0),
        total_factor=pl.when(after).then(ratio).otherwise(1.0) / pl.when(paid).then(0.97).otherwise(1.0),
    )


def awkward() -> dict[str, pl.DataFrame]:
    """Return series of 900 rows that differ in everything that a neighbour could leave behind."""
    row, walk = pl.int_range(pl.len()), [invented(900, seed=n) for n in range(20)]
    bounce = pl.lit(1.0) + 0.01 * (row % 2)
    quiet = 91.5 * (1 + 0.000_002 * row)
    return {
        "A berkshire": scaled(walk[0], 2_500.0, 1e-4),
        "B penny": in_ticks(scaled(walk[1], 0.01, 1e3), 0.01),
        "C bounces between two ticks": walk[2].with_columns(bounce.alias(name) for name in PRICES),
        "D ticks": in_ticks(walk[3], 0.01),
        "E never moves": constant(900),
        "F halted at the end": walk[5].with_columns(
            pl.when(row > 870).then(30.0).otherwise(name).alias(name) for name in PRICES
        ),
        "G quiet": walk[6].with_columns((quiet + 0.001 * (row % 3)).alias(name) for name in PRICES),
        "H without volume": walk[7].with_columns(volume=pl.lit(0.0)),
        "I with days without volume": walk[8].with_columns(volume=pl.when(row % 7 > 0).then("volume").otherwise(0.0)),
        "J rose tenfold": walk[9].with_columns((pl.col(n) * pl.lit(1.006) ** row).alias(n) for n in PRICES),
        "K fell": walk[10].with_columns((pl.col(n) * pl.lit(0.994) ** row).alias(n) for n in PRICES),
        "L negative": walk[11].with_columns(pl.col(n) - 100 for n in PRICES),
        "M split": split_in_the_tail(walk[12], 20.0, 30),
        "N reverse split": split_in_the_tail(walk[13], 0.01, 2),
        "O gaps": walk[14].with_columns(volume=pl.when(row % 9 > 0).then("volume")),
        "P gaps in the newest rows": walk[15].with_columns(close=pl.when(~row.is_between(850, 880)).then("close")),
        "Q volume came": walk[16].with_columns(volume=pl.when(row > 860).then(1e9).otherwise(3.0)),
        "R as usual": walk[17],
        "S as usual": walk[18],
        "T short": walk[19].tail(300),
    }


def assert_equal(found: pl.DataFrame, right: pl.DataFrame, bars: pl.DataFrame) -> None:
    """Compare each feature to 1e-9 of its value, or of the size that it has for this symbol."""
    assert found.select("symbol", "date").equals(right.select("symbol", "date"))
    price, volume = bars["close"].abs() / 1_000, bars["volume"].fill_null(0.0)
    sizes = {"ratio": 1.0, "price": price, "shares": volume, "currency": price * volume}
    for each in TECHNICAL:
        now, then = found[each.name], right[each.name]
        assert now.is_null().equals(then.is_null()), (each.name, found.filter(now.is_null() != then.is_null()))
        off = ((now - then).abs() / (then.abs() + sizes[each.unit] + 1e-12)).fill_null(0.0)
        worst = int(np.argmax(off.to_numpy()))
        assert off[worst] < 1e-9, (each.name, found["symbol"][worst], now[worst], then[worst])


def joined(bars: pl.DataFrame) -> set[str]:
    """Return the symbols that share a block with another one."""
    blocks = in_blocks(bars).select("symbol", "block").unique()
    return set(blocks.filter(pl.col("block").is_duplicated())["symbol"].str.slice(3))


@pytest.mark.parametrize(("new", "order"), [(1, 1), (3, -1)])
def test_awkward_neighbours_change_no_value(new, order):
    series = [*awkward().items()][::order]
    bars = pl.concat(each.with_columns(symbol=pl.lit(f"{n:02} {name}")) for n, (name, each) in enumerate(series))
    groups = bars.group_by("symbol", maintain_order=True)
    whole, tail = compute(TECHNICAL, bars), groups.tail(new + NEED)
    last = groups.agg(pl.col("date").get(-new - 1))
    stored = last.join(whole, on=["symbol", "date"]).select("symbol", "date", *carried_names(TECHNICAL))
    short = short_tails(TECHNICAL, tail, stored)
    enough = ~pl.col("symbol").is_in(short)
    assert {name[3:] for name in short} == SHORT
    assert_equal(
        compute_tail(TECHNICAL, tail.filter(enough), stored.filter(enough)),
        whole.group_by("symbol", maintain_order=True).tail(new).filter(enough),
        groups.tail(new).filter(enough),
    )
    assert set(awkward()) - SHORT - joined(tail.filter(enough)) == ALONE


def test_values_that_lack_in_a_window_make_a_tail_short():
    """A mean of 50 rows over a tail of 64 has too few of them where 20 have no close, though 400 are read."""
    gaps = invented(900).with_columns(close=pl.when(~pl.int_range(pl.len()).is_between(860, 880)).then("close"))
    chosen = [each for each in TECHNICAL if each.name in ("sma_50", "sma_200")]
    last = gaps.select("symbol", pl.col("date").get(-2)).head(1)
    assert short_tails(chosen, gaps.tail(401), last) == ["QZAA"]
