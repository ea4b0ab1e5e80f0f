"""Summaries of adjustment proofs and of vendor comparisons."""

from __future__ import annotations

import polars as pl

from quantx.core.quality.adjustments import AGREEING

_PAIR = ("source_a", "source_b", "market", "month")


PROVEN, DISAGREES, NOTHING_TO_PROVE = "proven", "disagrees", "nothing to prove"


def proofs_by_symbol(proofs: pl.DataFrame, series: pl.DataFrame) -> pl.DataFrame:
    """Return the verdict on each series with daily bars, by source and symbol.

    `proofs` are rows of adjustment_proofs, `series` has the source and symbol of all series. A series with one step
    that disagrees has the verdict `disagrees`; a series without steps, because it has no events, has nothing to prove.

    Columns: source, symbol, events, agree (how many of them), worst (the largest relative difference of the two steps),
    verdict (proven, disagrees, nothing to prove), first_disagreement (ex-date).
    """
    agrees = pl.col("verdict").is_in(AGREEING)
    # Two factors of 1 are no event: the vendor withdrew it.
    no_event = agrees & (pl.col("ours") == 1) & (pl.col("vendors") == 1)
    counts = (
        proofs.filter(~no_event)
        .group_by("source", "symbol")
        .agg(
            pl.len().alias("events"),
            agrees.sum().alias("agree"),
            (pl.col("vendors") / pl.col("ours") - 1).abs().max().alias("worst"),
            pl.col("ex_date").filter(~agrees).min().alias("first_disagreement"),
        )
    )
    joined = series.select("source", "symbol").unique().join(counts, on=["source", "symbol"], how="left")
    verdict = (
        pl.when(pl.col("events") == 0)
        .then(pl.lit(NOTHING_TO_PROVE))
        .when(pl.col("agree") == pl.col("events"))
        .then(pl.lit(PROVEN))
        .otherwise(pl.lit(DISAGREES))
    )
    columns = ("source", "symbol", "events", "agree", "worst", "verdict", "first_disagreement")
    return (
        joined.with_columns(pl.col("events", "agree").fill_null(0))
        .with_columns(verdict.alias("verdict"))
        .select(columns)
        .sort("source", "symbol")
    )


def proofs_by_source(by_symbol: pl.DataFrame) -> pl.DataFrame:
    """Return source, series, proven, disagrees and nothing_to_prove (numbers of series), given `proofs_by_symbol`."""
    verdict = pl.col("verdict")
    counts = by_symbol.group_by("source").agg(
        pl.len().alias("series"),
        (verdict == PROVEN).sum().alias("proven"),
        (verdict == DISAGREES).sum().alias("disagrees"),
        (verdict == NOTHING_TO_PROVE).sum().alias("nothing_to_prove"),
    )
    return counts.sort("source")


def disagreements(proofs: pl.DataFrame) -> pl.DataFrame:
    """Return source, symbol, ex_date, ours, vendors and verdict of the steps that disagree, the latest first."""
    steps = proofs.filter(~pl.col("verdict").is_in(AGREEING))
    order = ("ex_date", "symbol", "source")
    return steps.select("source", "symbol", "ex_date", "ours", "vendors", "verdict").sort(
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
