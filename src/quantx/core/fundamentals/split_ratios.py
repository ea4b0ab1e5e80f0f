"""Facts that a filing restates by the ratio of a split: share counts are multiplied, figures per share divided."""

from __future__ import annotations

import polars as pl

SPLIT_COLUMNS = ("nth", "symbol", "accession", "public_at", "unit", "value", "before")
_EXACT = 2e-3  # the largest relative difference of a ratio of share counts from that of the split
_ROUNDED = 5e-3  # of a share count that is written in millions
_CENT, _PERCENT = 0.0051, 0.01  # of a figure per share; a year's dividend is a sum of rounded ones
_DAYS = 600  # the comparatives of the filings of so many days after the first one are restated, too
_LARGEST = 250
# Numerators and denominators of ratios that are no whole numbers: 3 for 2, a stock dividend of 5 %.
_FRACTIONS = (2, 3, 4, 10, 20)


def restated_by_splits(changes: pl.DataFrame) -> pl.DataFrame:
    """Return `nth` and `split` (true) of the facts that their filing restates by the ratio of a split.

    `changes`: SPLIT_COLUMNS; `before` is the value filed before. A ratio is that of a split if two facts of one filing
    share it, one of them a share count: ratios of rounded figures per share prove nothing by themselves. The filings
    of the 600 days after it may restate by the same ratio.
    """
    changed = changes.filter((pl.col("value") != pl.col("before")) & (pl.col("value") != 0) & (pl.col("before") != 0))
    counts = changed.filter(pl.col("unit") == "shares").with_columns(
        split_ratio(pl.col("value") / pl.col("before")).alias("ratio")
    )
    filing = ["symbol", "accession", "public_at"]
    ratios = counts.filter(pl.col("ratio").is_not_null()).select(*filing, "ratio").unique()
    fitting = changed.join(ratios, on=filing).filter(_fits())
    shared = fitting.group_by(*filing, "ratio").len().filter(pl.col("len") >= 2)
    known = shared.group_by("symbol", "ratio").agg(pl.col("public_at").alias("since")).explode("since")
    days = (pl.col("public_at") - pl.col("since")).dt.total_days()
    found = changed.join(known, on="symbol").filter(
        days.is_between(0, _DAYS) & (pl.col("public_at") >= pl.col("since"))
    )
    return found.filter(_fits()).select("nth", pl.lit(True).alias("split")).unique("nth")


def _fits() -> pl.Expr:
    """Return whether a value is the one before, restated by `ratio`."""
    value, restated = pl.col("value"), pl.col("before") / pl.col("ratio")
    return (
        pl.when(pl.col("unit") == "shares")
        .then((value / (pl.col("before") * pl.col("ratio")) - 1).abs() <= _ROUNDED)
        .when(pl.col("unit").str.ends_with("/shares"))
        .then((restated - value).abs() <= _CENT + _PERCENT * value.abs())
        .otherwise(False)
    )


def split_ratio(ratio: pl.Expr) -> pl.Expr:
    """Return the ratio of a split (7, 1.5, 0.1 …) near a quotient of share counts; null where there is none."""
    large = pl.when(ratio >= 1).then(ratio).otherwise(1 / ratio)
    nearest = [
        pl.when(((large * n).round() / (large * n) - 1).abs() <= _EXACT).then((large * n).round() / n)
        for n in (1, *_FRACTIONS)
    ]
    # Of a stock dividend each step is near to some quotient with 20: only ratios from 1.05 on, and small fractions.
    found = pl.when(large.is_between(1.04, 3)).then(pl.coalesce(*nearest)).otherwise(nearest[0])
    plausible = found.is_between(1.049, _LARGEST)
    return pl.when(plausible & (ratio > 0)).then(pl.when(ratio >= 1).then(found).otherwise(1 / found))
