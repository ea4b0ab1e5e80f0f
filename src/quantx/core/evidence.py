"""What the proofs of adjustments, and the comparisons between vendors, come to in sum."""

from __future__ import annotations

import polars as pl

from quantx.core.quality.adjustments import AGREEING

_PAIR = ("source_a", "source_b", "market", "month")


def proofs_by_source(proofs: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return source, series, proven, disagrees and nothing_to_prove (numbers of series), by source.

    `proofs` are rows of adjustment_proofs, `series` has the source and symbol of all series with daily bars. A series
    with one step that disagrees disagrees; one without any step, since it had no event, has nothing to prove.
    """
    judged = proofs.group_by("source", "symbol").agg(pl.col("verdict").is_in(AGREEING).all().alias("agrees"))
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
    found = proofs.filter(~pl.col("verdict").is_in(AGREEING))
    order = ("ex_date", "symbol", "source")
    return found.select("source", "symbol", "ex_date", "ours", "vendors", "verdict").sort(
        order, descending=[True, False, False]
    )


def agreement_by_month(agreements: pl.DataFrame) -> pl.DataFrame:
    """Return source_a, source_b, market, month, sessions (compared), agreed, share and worst (relative difference)."""
    summed = agreements.group_by(_PAIR).agg(pl.col("sessions", "agreed").sum(), pl.col("worst").max())
    compared = summed.filter(pl.col("sessions") > 0)
    return compared.with_columns((pl.col("agreed") / pl.col("sessions")).alias("share")).sort(_PAIR)


def scores_by_year(scores: pl.DataFrame) -> pl.DataFrame:
    """Return source, market, year, compared and score, each month weighted by its compared sessions."""
    keys = ["source", "market", "year"]
    weighted = scores.with_columns((pl.col("month") // 100).alias("year"), pl.col("score") * pl.col("compared"))
    summed = weighted.group_by(keys).agg(pl.col("compared", "score").sum()).sort(keys)
    return summed.with_columns(pl.col("score") / pl.col("compared"))
