"""Rows of a day from rows of exchanges: bars summed, open interest once per contract and for its session."""

from __future__ import annotations

from datetime import date

import polars as pl

from quantx.core.options.hours import session_before
from quantx.core.quality.option_rules import REPEATED_ROW
from quantx.pipeline.options.sorted_runs import RANK
from quantx.providers.options.protocol import OptionKind

_KEY = ["date", RANK]
_ENDS = ("open", "close")


def dated(kind: OptionKind, day: date, rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the session in `date`: open interest is of the session before the day of its publication."""
    return rows.with_columns(pl.lit(session_before(day) if kind == "open_interest" else day).alias("date"))


def with_places(rows: pl.DataFrame) -> pl.DataFrame:
    """Return bars of exchanges with what decides between their opening, and between their closing prices.

    `time`, the start of a bar shorter than a day, and `publisher`, the number of the exchange, may be missing.
    """
    time = pl.col("time") if "time" in rows.columns else pl.lit(None, pl.Datetime("us", "UTC"))
    publisher = pl.col("publisher") if "publisher" in rows.columns else pl.lit(0, pl.Int32)
    return rows.select(
        *_KEY,
        *("open", "high", "low", "close", "volume"),
        *(time.alias(f"{end}_time") for end in _ENDS),
        *(pl.col("volume").alias(f"{end}_volume") for end in _ENDS),
        *(publisher.alias(f"{end}_publisher") for end in _ENDS),
    )


def summed_bars(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Return one bar per contract and session; a sum of sums is the same.

    High and low are those of all exchanges, the volume is their sum. The opening price is that of the first interval,
    of the exchange with the largest volume in it (of equal ones the lower number); so is the closing price of the last.
    """
    rows = pl.concat(parts)

    def chosen(end: str, *, latest: bool) -> list[pl.Expr]:
        by = [f"{end}_time", f"{end}_volume", f"{end}_publisher"]
        names = [end, *by]
        return [pl.col(c).sort_by(by, descending=[latest, True, False], nulls_last=True).first() for c in names]

    return rows.group_by(_KEY, maintain_order=True).agg(
        *chosen("open", latest=False),
        pl.col("high").max(),
        pl.col("low").min(),
        *chosen("close", latest=True),
        pl.col("volume").sum(),
    )


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
