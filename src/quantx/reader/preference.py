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


def preferred_by_session(rows: pl.DataFrame, key: Sequence[str], order: Sequence[str]) -> pl.DataFrame:
    """Keep all rows of a key that are of its preferred source: what that one lacks is not filled from another."""
    if rows["source"].n_unique() <= 1:
        return rows
    sources = rows.unique(["source", *key]).select("source", *key)
    return rows.join(preferred(sources, key, order), on=["source", *key], how="semi", maintain_order="left")


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
