"""Of several vendors' rows about one thing, which are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl


def order_of(sources: Mapping[str, Mapping[str, Sequence[str]]]) -> tuple[str, ...]:
    """Return all vendors that the settings declare, those of daily bars first, each where it is named first."""
    return tuple(
        dict.fromkeys(s for timeframe in sorted(sources) for order in sources[timeframe].values() for s in order)
    )


def preferred(rows: pl.DataFrame, key: Sequence[str], order: Sequence[str]) -> pl.DataFrame:
    """Keep one row per key: that of the source which stands first in `order`; unknown ones come last, by name."""
    if rows["source"].n_unique() <= 1:
        return rows
    return rows.sort(rank(order), "source").unique(list(key), keep="first", maintain_order=True)


def of_one_source(rows: pl.DataFrame, group: Sequence[str], order: Sequence[str]) -> pl.DataFrame:
    """Keep the rows of the preferred source of each group: those that it lacks are not filled from another."""
    if rows["source"].n_unique() <= 1:
        return rows
    sources = rows.unique(["source", *group]).sort(rank(order), "source")
    return rows.join(sources.unique(list(group), keep="first", maintain_order=True), on=["source", *group], how="semi")


def rank(order: Sequence[str]) -> pl.Expr:
    """Return the place of the column `source` in `order`."""
    ranks = {source: i for i, source in enumerate(order)}
    return pl.col("source").replace_strict(ranks, default=len(ranks), return_dtype=pl.Int32)


def events_of_shown_bars(actions: pl.DataFrame, bars: pl.DataFrame, order: Sequence[str]) -> pl.DataFrame:
    """Keep the events of the vendor whose bar is shown on the ex-date; without a bar, those of the preferred vendor.

    Two vendors may date one event differently: to take both would adjust prices twice. `bars` has source, symbol, date.
    """
    shown = preferred(bars, ("symbol", "date"), order).select("symbol", pl.col("date").alias("ex_date"), "source")
    told = actions.join(
        shown.rename({"source": "__shown"}), on=["symbol", "ex_date"], how="left", maintain_order="left"
    )
    first = pl.col("source").sort_by(rank(order), "source").first().over("symbol", "ex_date")
    return told.filter(pl.col("source") == pl.coalesce("__shown", first)).drop("__shown")
