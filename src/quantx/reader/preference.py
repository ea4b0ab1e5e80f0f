"""Of several vendors' rows about one thing, which are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from quantx.core.symbols import venue_of

Order = Callable[[str], Sequence[str]]  # the vendors of a market, the first one first; others come last, by name
_PLACE = "__place"


def preferred(rows: pl.DataFrame, key: Sequence[str], order: Order) -> pl.DataFrame:
    """Keep one row per key: that of the source which stands first in the order of the symbol's market."""
    if rows["source"].n_unique() <= 1:
        return rows
    placed = _placed(rows, order).sort(_PLACE, "source")
    return placed.unique(list(key), keep="first", maintain_order=True).drop(_PLACE)


def of_one_source(rows: pl.DataFrame, group: Sequence[str], order: Order) -> pl.DataFrame:
    """Keep the rows of the preferred source of each group: those that it lacks are not filled from another."""
    if rows["source"].n_unique() <= 1:
        return rows
    sources = preferred(rows.unique(["source", *group]), group, order)
    return rows.join(sources, on=["source", *group], how="semi")


def with_first(source: str | None, order: Order) -> Order:
    """Return the order in which this source, if any, stands before the others."""
    return order if source is None else lambda market: (source, *order(market))


def events_of_shown_bars(actions: pl.DataFrame, bars: pl.DataFrame, order: Order) -> pl.DataFrame:
    """Keep the events of the vendor whose bar is shown on the ex-date; without a bar, those of the preferred vendor.

    Two vendors may date one event differently: to take both would adjust prices twice. `bars` has source, symbol, date.
    """
    shown = preferred(bars, ("symbol", "date"), order).select("symbol", pl.col("date").alias("ex_date"), "source")
    told = _placed(actions, order).join(
        shown.rename({"source": "__shown"}), on=["symbol", "ex_date"], how="left", maintain_order="left"
    )
    first = pl.col("source").sort_by(_PLACE, "source").first().over("symbol", "ex_date")
    return told.filter(pl.col("source") == pl.coalesce("__shown", first)).drop("__shown", _PLACE)


def _placed(rows: pl.DataFrame, order: Order) -> pl.DataFrame:
    """Add the place of each row's source in the order of its symbol's market."""
    pairs = rows.select("symbol", "source").unique()
    places = []
    for symbol, source in pairs.iter_rows():
        vendors = list(order(venue_of(symbol).market))
        places.append(vendors.index(source) if source in vendors else len(vendors))
    pairs = pairs.with_columns(pl.Series(_PLACE, places, dtype=pl.Int32))
    return rows.join(pairs, on=["symbol", "source"], how="left", maintain_order="left")
