"""Choose the row to show among the rows of several vendors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

import polars as pl

from quantx.core.neighbours import COMES_BACK, beyond_neighbours
from quantx.core.symbols import venue_of

Order = Callable[[str], Sequence[str]]  # the vendors of a market, the first one first; others come last, by name
_PLACE = "__place"
_DOUBT = "__doubt"
BEST = "best"  # instead of a vendor's name: per session the bar that no other vendor contradicts
# A vendor with a missing or invented split is wrong before it, and so are its events.
_WRONG_EVENTS = ("vendor_split", "vendor_scale")
_PAUSE = timedelta(days=10)


def preferred(rows: pl.DataFrame, key: Sequence[str], order: Order) -> pl.DataFrame:
    """Keep one row per key: that of the first source in the order of the symbol's market."""
    if rows["source"].n_unique() <= 1:
        return rows
    placed = _placed(rows, order).sort(_PLACE, "source")
    return placed.unique(list(key), keep="first", maintain_order=True).drop(_PLACE)


def without_absurd(bars: pl.DataFrame) -> pl.DataFrame:
    """Drop the bars of each vendor that leave the level of its prices by a factor of 20 and come back."""
    ordered = bars.sort("source", "symbol", "date")
    return ordered.filter(~beyond_neighbours(["source", "symbol"], COMES_BACK))


def with_doubts(bars: pl.DataFrame, verdicts: pl.DataFrame) -> pl.DataFrame:
    """Add the degree of doubt about each bar, for `least_doubted`: none, doubtful, wrong."""
    doubt = pl.when(pl.col("verdict") == "wrong").then(2).otherwise(1).alias(_DOUBT)
    key = ["symbol", "date", "source"]
    marked = bars.join(verdicts.select(*key, doubt), on=key, how="left", maintain_order="left")
    return marked.with_columns(pl.col(_DOUBT).fill_null(0))


def least_doubted(rows: pl.DataFrame, key: Sequence[str], order: Order) -> pl.DataFrame:
    """Keep one row per key: the least doubted one, and of several the one of the first source."""
    placed = _placed(rows, order).sort(_DOUBT, _PLACE, "source")
    return placed.unique(list(key), keep="first", maintain_order=True).drop(_PLACE, _DOUBT)


def without_wrong_vendors(rows: pl.DataFrame, verdicts: pl.DataFrame, day: str) -> pl.DataFrame:
    """Drop events, or bars, of a vendor that was wrong by a factor on that day or on the session before."""
    wrong = verdicts.filter(pl.col("verdict") == "wrong", pl.col("rule").is_in(_WRONG_EVENTS))
    if wrong.is_empty():
        return rows
    before = wrong.select("symbol", "source", pl.col("date").alias("__wrong_on")).sort("__wrong_on")
    marked = rows.sort(day).join_asof(
        before,
        left_on=day,
        right_on="__wrong_on",
        by=["symbol", "source"],
        strategy="backward",
        tolerance=_PAUSE,
        check_sortedness=False,  # both sides were sorted just now
    )
    return marked.filter(pl.col("__wrong_on").is_null()).drop("__wrong_on")


def of_one_source(rows: pl.DataFrame, group: Sequence[str], order: Order) -> pl.DataFrame:
    """Keep the rows of the preferred source of each group; its gaps are not filled from another source."""
    if rows["source"].n_unique() <= 1:
        return rows
    sources = preferred(rows.unique(["source", *group]), group, order)
    return rows.join(sources, on=["source", *group], how="semi")


def with_first(source: str | None, order: Order) -> Order:
    """Return the order with this source, if any, before the others."""
    return order if source is None else lambda market: (source, *order(market))


def events_of_shown_bars(actions: pl.DataFrame, bars: pl.DataFrame, order: Order) -> pl.DataFrame:
    """Keep the events of the vendor whose bar is shown on the ex-date; without a bar, those of the preferred vendor.

    Two vendors may date one event differently; both together would adjust prices twice. `bars` has source, symbol,
    date.
    """
    shown = preferred(bars, ("symbol", "date"), order).select("symbol", pl.col("date").alias("ex_date"), "source")
    joined = _placed(actions, order).join(
        shown.rename({"source": "__shown"}), on=["symbol", "ex_date"], how="left", maintain_order="left"
    )
    first = pl.col("source").sort_by(_PLACE, "source").first().over("symbol", "ex_date")
    return joined.filter(pl.col("source") == pl.coalesce("__shown", first)).drop("__shown", _PLACE)


def _placed(rows: pl.DataFrame, order: Order) -> pl.DataFrame:
    """Add the rank of each row's source in the order of its symbol's market."""
    pairs = rows.select("symbol", "source").unique()
    places = []
    for symbol, source in pairs.iter_rows():
        vendors = list(order(venue_of(symbol).market))
        places.append(vendors.index(source) if source in vendors else len(vendors))
    pairs = pairs.with_columns(pl.Series(_PLACE, places, dtype=pl.Int32))
    return rows.join(pairs, on=["symbol", "source"], how="left", maintain_order="left")
