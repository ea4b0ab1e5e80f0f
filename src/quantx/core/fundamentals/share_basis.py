"""Restate values per share and counts of shares by the splits after their filing.

A filing states them in the shares of its day: a split between the end of a period and the filing is already in it (SEC
Staff Accounting Bulletin, Topic 4.C). A split with a later ex-date changes the unit.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

ShareBasis = Literal["reported", "split"]
SHARE_BASES = ("reported", "split")


def restated_by_splits(rows: pl.DataFrame, actions: pl.DataFrame) -> pl.DataFrame:
    """Return rows with `value` in the shares after all splits of `actions`, in their order.

    `rows` have symbol, unit, filed, value; `actions` symbol, ex_date, kind, value (new shares per old one). Only the
    units `shares` and those that end with `/shares` change.
    """
    splits = (
        actions.filter(pl.col("kind") == "split")
        .sort("symbol", "ex_date", descending=[False, True])
        .select("symbol", pl.col("ex_date"), pl.col("value").cum_prod().over("symbol").alias("__ratio"))
        .sort("ex_date")
    )
    if splits.is_empty():
        return rows
    numbered = rows.with_row_index("__row")
    factors = (
        numbered.select("__row", "symbol", (pl.col("filed") + pl.duration(days=1)).alias("__after"))
        .sort("__after")
        .join_asof(
            splits, left_on="__after", right_on="ex_date", by="symbol", strategy="forward", check_sortedness=False
        )
        .sort("__row")
    )
    ratio = factors["__ratio"].fill_null(1.0)
    unit = pl.col("unit")
    value = (
        pl.when(unit == "shares")
        .then(pl.col("value") * ratio)
        .when(unit.str.ends_with("/shares"))
        .then(pl.col("value") / ratio)
        .otherwise("value")
    )
    return rows.with_columns(value.alias("value"))
