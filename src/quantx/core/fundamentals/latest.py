"""The newest versions of facts and of standard concepts: which one was the last, and which period, at a moment.

A period is reported again by later filings, in another order than that of the periods: an annual report restates the
year before. The newest known value at a moment is therefore a running maximum over the periods in the order of their
publication. Rows are those of the tables of facts; `rank` is the place of a row's source, 0 for the preferred one.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.table import INSTANT

RANK = "rank"
_RANKS = 64  # more than there are sources


def last_versions(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return one row per key, sorted by it: of the best rank, and of these the last one that became public."""
    ordered = rows.sort(*key, pl.col(RANK), "public_at", "accession", descending=_falling(len(key)), nulls_last=False)
    return ordered.unique(list(key), keep="last", maintain_order=True)


def _falling(keys: int) -> list[bool]:
    """Return the directions of `last_versions`: the best rank, which is the lowest, comes last."""
    return [*[False] * keys, True, False, False]


def newest_values(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the steps of each symbol's newest value: its row from `public_at` on, until that of the next step.

    `rows` are versions of one concept and period, with symbol, end, public_at, accession and `rank`. At each moment the
    step is the last version of the best rank of the newest period that was public. Sorted by symbol and public_at; of
    the steps of one instant only the last one is returned.
    """
    place = pl.col("end").to_physical().cast(pl.Int64) * _RANKS - pl.col(RANK).cast(pl.Int64)
    ordered = rows.with_columns(place.alias("__place")).sort("symbol", "public_at", "__place", "accession")
    newest = ordered.filter(pl.col("__place") >= pl.col("__place").cum_max().over("symbol"))
    return newest.unique(["symbol", "public_at"], keep="last", maintain_order=True).drop("__place")


def values_by_day(steps: pl.DataFrame, days: pl.DataFrame, symbols: Sequence[str], column: str) -> pl.DataFrame:
    """Return a column of steps at the close of each day: a row per day, and a column per symbol in the given order.

    `steps` are those of `newest_values`, `days` has `close`, the instant of each day, in order. A step counts from the
    first day whose close comes after `public_at`; before the first step a value is null.
    """
    count = days.height
    place = pl.DataFrame({"symbol": symbols}, schema={"symbol": pl.String}).with_row_index("__column")
    of_symbols = steps.select("symbol", "public_at", pl.col(column).alias("__value")).join(
        place, on="symbol", maintain_order="left"
    )
    closes = days["close"].cast(INSTANT)
    rows = closes.search_sorted(of_symbols["public_at"], side="right").cast(pl.Int64)
    # The number of the step that counts from a cell on; the first cell of each column starts without one.
    cells = pl.DataFrame({"at": of_symbols["__column"].cast(pl.Int64) * count + rows, "row": rows}).with_row_index("n")
    cells = cells.filter(pl.col("row") < count).unique("at", keep="last", maintain_order=True)
    starts = pl.int_range(0, len(symbols) * count, max(count, 1), dtype=pl.Int64, eager=True)
    dense = pl.repeat(None, count * len(symbols), dtype=pl.Int64, eager=True)
    dense = dense.scatter(starts, -1).scatter(cells["at"], cells["n"].cast(pl.Int64)).forward_fill()
    values = pl.concat([of_symbols["__value"], pl.Series([None], dtype=of_symbols["__value"].dtype)])
    filled = values.gather(dense.replace(-1, of_symbols.height))
    return pl.DataFrame([filled.slice(n * count, count).alias(name) for n, name in enumerate(symbols)])
