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
    numbered = rows.select("symbol", (pl.col("filed") + pl.duration(days=1)).alias("on"))
    ratio = _ratios(numbered, actions, "forward")
    unit = pl.col("unit")
    value = (
        pl.when(unit == "shares")
        .then(pl.col("value") * ratio)
        .when(unit.str.ends_with("/shares"))
        .then(pl.col("value") / ratio)
        .otherwise("value")
    )
    return rows.with_columns(value.alias("value"))


def held_shares(counts: pl.DataFrame, actions: pl.DataFrame) -> pl.Series:
    """Return counts of shares in the shares of a day: with the splits after their filing, up to and with the day.

    `counts` have symbol, date, filed, value; `actions` as in `restated_by_splits`.
    """
    until = _ratios(counts.select("symbol", pl.col("date").alias("on")), actions, "backward")
    before = _ratios(counts.select("symbol", pl.col("filed").alias("on")), actions, "backward")
    return counts["value"] * (until / before)


def _ratios(rows: pl.DataFrame, actions: pl.DataFrame, strategy: Literal["forward", "backward"]) -> pl.Series:
    """Return the product of the splits of each row's symbol from its day `on` on, or up to and with it."""
    splits = actions.filter(pl.col("kind") == "split").sort("ex_date", descending=strategy == "forward")
    ratio = pl.col("value").cum_prod().over("symbol").alias("__ratio")
    products = splits.select("symbol", "ex_date", ratio).sort("ex_date")
    if products.is_empty():
        return pl.repeat(1.0, rows.height, eager=True)
    joined = (
        rows.with_row_index("__row")
        .sort("on")
        .join_asof(products, left_on="on", right_on="ex_date", by="symbol", strategy=strategy, check_sortedness=False)
    )
    return joined.sort("__row")["__ratio"].fill_null(1.0)
