"""Detect weekly, monthly, quarterly and yearly bars in series of daily bars, by the days between their dates."""

from __future__ import annotations

import polars as pl

from quantx.core.quality.rule import Rule

# The days between two bars, with holidays: a week is dated by its first or its last session.
_DAYS = {"weekly": (5, 9), "monthly": (26, 36), "quarterly": (85, 98), "yearly": (355, 376)}
_FEWEST = 6  # intervals in a row
_MOST = 0.8  # of the intervals around each bar are of one frequency
_AROUND = 2 * _FEWEST - 1

FREQUENCY_RULES = tuple(
    Rule(
        f"{name}_bars",
        "reject",
        "bars_1d,bars_1d_adjusted",
        meaning=f"the bars are {name}, not daily",
        why="the range and the volume of a longer time are taken for those of a day; the sessions between seem to be"
        " missing",
        reference=f"{_MOST:.0%} of the intervals around each bar are {shortest} to {longest} days long; Stooq's long"
        " histories of indices begin with monthly bars",
        broken=pl.col("frequency") == name,
    )
    for name, (shortest, longest) in _DAYS.items()
)


def is_rare(day: pl.Expr) -> pl.Expr:
    """Return whether the interval from the day before in the column is one of rarer bars; days of one series."""
    interval = day.diff().dt.total_days()
    return pl.any_horizontal(interval.is_between(*span) for span in _DAYS.values()).fill_null(False)


def coarse_stretches(days: pl.DataFrame) -> pl.DataFrame:
    """Return the stretches of rarer bars in daily series: symbol, frequency, first_day, last_day, rows.

    `days` has symbol and date of all bars, also of rejected ones: a weekly bar may be dated on a holiday. Eighty per
    cent of the intervals around a bar must be of one frequency, so that a share that seldom trades is none.
    """
    rows = days.select("symbol", "date").unique().sort("symbol", "date")
    gap = pl.col("date").diff().over("symbol").dt.total_days()
    kinds = [pl.when(gap.is_between(*span)).then(pl.lit(name)) for name, span in _DAYS.items()]
    rows = rows.with_columns(pl.coalesce(kinds).alias("kind"))
    rows = rows.filter(pl.col("kind").is_not_null().any().over("symbol"))
    wide = pl.max_horizontal(gap, gap.shift(-1).over("symbol"))
    found = []
    for name, (shortest, _) in _DAYS.items():
        share = (pl.col("kind") == name).fill_null(False).cast(pl.Float64)
        most = share.rolling_mean(_AROUND, center=True, min_samples=_FEWEST).over("symbol") >= _MOST
        # At its ends a stretch has irregular intervals, as after a first week of two sessions.
        near = most.cast(pl.Int8).rolling_max(_AROUND, center=True, min_samples=1).over("symbol") == 1
        found.append(pl.when(near & (wide >= shortest / 2)).then(pl.lit(name)))
    rows = rows.with_columns(pl.coalesce(found).alias("frequency"))
    run = pl.col("frequency").rle_id().over("symbol")
    stretches = rows.with_columns(run.alias("run")).drop_nulls("frequency")
    return (
        stretches.group_by("symbol", "run", "frequency")
        .agg(pl.col("date").min().alias("first_day"), pl.col("date").max().alias("last_day"), pl.len().alias("rows"))
        .filter(pl.col("rows") >= _FEWEST)
        .drop("run")
        .sort("symbol", "first_day")
    )


def outside_of(gaps: pl.DataFrame, stretches: pl.DataFrame, first: str = "date", last: str = "date") -> pl.DataFrame:
    """Return the gaps (symbol, and the days `first` to `last`) that do not lie within a stretch of rarer bars."""
    if stretches.is_empty():
        return gaps
    spans = stretches.select("symbol", pl.col("first_day").alias("__from"), pl.col("last_day").alias("__to"))
    within = gaps.join(spans, on="symbol").filter(pl.col(first) >= pl.col("__from"), pl.col(last) <= pl.col("__to"))
    return gaps.join(within, on=["symbol", first], how="anti")
