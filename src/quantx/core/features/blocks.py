"""Join the tails of symbols into blocks, so that a kernel of TA-Lib runs once per block and not once per symbol.

A feature forgets the rows before its memory, so it forgets another symbol as well as its own past. What has to hold
for it, and is checked here for each symbol:

* Neighbours have prices and volumes of one size, since sums over a window keep the rounding errors of the largest
  number that passed. The factors of forward adjustment are multiplied by a power of two, which changes no digit: the
  last close becomes about 1, and the mean volume about 2²⁰ (TA-Lib's MFI is 0 where the money flow is below 1).
* The step to a symbol's first close is small beside its own moves. Wilder's means of 14 rows weigh the step by
  (13/14)³⁴⁰ / 14 = 8e-13 at the end.
* A window has moves and volume: the result of a window without any depends on the rounding of exact zeros.
* A block has no more rows than a series of decades, whose rounding errors the whole build has as well.

Kernels other than TA-Lib's run over the rows of a symbol: log(volume + 1) of Alpha158 is no function of ratios.
A symbol for which one of these does not hold has a block of its own: its kernels run as over a whole series.
"""

from __future__ import annotations

import polars as pl

from quantx.core.features.compute import BLOCK
from quantx.core.features.feature import BARS

_SYMBOLS = 25  # of a block: at most 10,000 rows of the longest memory
_FIRST_VOLUME = 2.0**20
_SPAN = 10.0  # the highest price / the lowest one
_VOLUMES = 1e-4, 400.0  # the lowest and the highest volume / the mean
_STEP = 300.0  # the step to the first close / the mean move
_ROWS, _STILL = 64, 16  # closes of the last rows that may equal the one before


def in_blocks(tails: pl.DataFrame) -> pl.DataFrame:
    """Return tails with a column `block`, and with factors of a size that is common to the symbols of each block.

    `tails` are sorted by symbol, and have the columns that `compute` takes; only ratios between the factors of one
    symbol have a meaning.
    """
    close, volume = pl.col("close") * pl.col("total_factor"), pl.col("volume") / pl.col("split_factor")
    low, high = pl.col("low") * pl.col("total_factor"), pl.col("high") * pl.col("total_factor")
    prices = pl.min_horizontal("open", "high", "low", "close")
    symbols = tails.group_by("symbol", maintain_order=True).agg(
        close.last().alias("last"),
        volume.mean().alias("mean volume"),
        joinable=(prices.min() > 0)
        & pl.all_horizontal(pl.col(name).is_finite().fill_null(False).all() for name in BARS)
        & (high.max() < low.min() * _SPAN)
        & volume.min().gt(volume.mean() * _VOLUMES[0])
        & volume.max().lt(volume.mean() * _VOLUMES[1])
        & ((close.last() - close.first()).abs() + close.last() < close.diff().abs().mean() * _STEP)
        & (close.diff().tail(_ROWS).eq(0).sum() <= _STILL),
    )
    symbols = symbols.with_columns(joinable=pl.col("joinable").fill_null(False)).with_row_index("n")
    number = pl.col("n").cast(pl.Int64)
    joined = symbols.select(
        "symbol",
        pl.when("joinable").then(number // _SYMBOLS).otherwise(-number - 1).alias(BLOCK),
        pl.when("joinable").then(_power_of_two(pl.col("last"))).otherwise(1.0).alias("size"),
        pl.when("joinable").then(_power_of_two(pl.col("mean volume"))).otherwise(1.0).alias("size of volume"),
    )
    rows = tails.join(joined, on="symbol", how="left", maintain_order="left")
    return rows.with_columns(
        pl.col("total_factor") / pl.col("size"), pl.col("split_factor") * (pl.col("size of volume") / _FIRST_VOLUME)
    ).drop("size", "size of volume")


def _power_of_two(value: pl.Expr) -> pl.Expr:
    """Return the power of two that is next to a positive number."""
    return pl.lit(2.0) ** value.log(2).round()
