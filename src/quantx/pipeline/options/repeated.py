"""Rows of one contract and time that come twice: the same ones, or different ones."""

from __future__ import annotations

import polars as pl

from quantx.core.quality.option_rules import REPEATED_ROW


def once(rows: pl.DataFrame, key: list[str], values: list[str]) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Return the last row of each key, the earlier ones with other values (with `rules`), and how many are the same.

    `rows` are in order; those with one key are neighbours.
    """
    same_key = pl.all_horizontal(pl.col(c).eq_missing(pl.col(c).shift(-1)) for c in key)
    doubled = rows.select((same_key & (pl.int_range(pl.len()) < pl.len() - 1)).alias("__doubled"))["__doubled"]
    if not doubled.any():
        return rows, rows.clear().with_columns(pl.lit(REPEATED_ROW).alias("rules")), 0
    last = pl.struct(values).last().over(key)
    differs = rows.select((pl.struct(values) != last).alias("__differs"))["__differs"]
    earlier = rows.filter(doubled & differs).with_columns(pl.lit(REPEATED_ROW).alias("rules"))
    return rows.filter(~doubled), earlier, int((doubled & ~differs).sum())
