"""What the proofs of adjustments, and the comparisons between vendors, come to in sum."""

from __future__ import annotations

import polars as pl

_PAIR = ("source_a", "source_b", "market", "month")


def proofs_by_source(proofs: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return source, series, proven, disagrees and nothing_to_prove (numbers of series), by source.

    `proofs` are rows of adjustment_proofs, `series` has the source and symbol of all series with daily bars. A series
    with one step that disagrees disagrees; one without any step, since it had no event, has nothing to prove.
    """
    judged = proofs.group_by("source", "symbol").agg((pl.col("verdict") == "agree").all().alias("agrees"))
    joined = series.select("source", "symbol").unique().join(judged, on=["source", "symbol"], how="left")
    agrees = pl.col("agrees")
    counts = joined.group_by("source").agg(
        pl.len().alias("series"),
        agrees.sum().alias("proven"),
        agrees.not_().sum().alias("disagrees"),
        agrees.is_null().sum().alias("nothing_to_prove"),
    )
    return counts.sort("source")


def disagreements(proofs: pl.DataFrame) -> pl.DataFrame:
    """Return source, symbol, ex_date, ours, vendors and verdict of the steps that disagree, the newest first."""
    found = proofs.filter(pl.col("verdict") != "agree")
    order = ("ex_date", "symbol", "source")
    return found.select("source", "symbol", "ex_date", "ours", "vendors", "verdict").sort(
        order, descending=[True, False, False]
    )


def agreement_by_month(agreements: pl.DataFrame) -> pl.DataFrame:
    """Return source_a, source_b, market, month, sessions (compared), agreed, share and worst (relative difference)."""
    summed = agreements.group_by(_PAIR).agg(pl.col("sessions", "agreed").sum(), pl.col("worst").max())
    return summed.with_columns(_share("agreed", "sessions")).sort(_PAIR)


def vendor_scores(agreements: pl.DataFrame) -> pl.DataFrame:
    """Return source, market, year, sessions (compared with another vendor), right and score, by source.

    The score is the share of the compared sessions on which a vendor agreed with the other one, or was found right
    where they differed. Where nobody could decide, it was not found right.
    """
    sides = []
    for side, other in (("a", "b"), ("b", "a")):
        found_right = (
            pl.when(pl.col("verdict") == f"{other}_wrong").then(pl.col("sessions")).otherwise(pl.col("agreed"))
        )
        sides.append(
            agreements.select(
                pl.col(f"source_{side}").alias("source"),
                "market",
                (pl.col("month") // 100).alias("year"),
                "sessions",
                found_right.alias("right"),
            )
        )
    keys = ["source", "market", "year"]
    summed = pl.concat(sides).group_by(keys).agg(pl.col("sessions", "right").sum())
    return summed.with_columns((pl.col("right") / pl.col("sessions")).alias("score")).sort(keys)


def _share(part: str, whole: str) -> pl.Expr:
    return (pl.col(part) / pl.col(whole)).alias("share")
