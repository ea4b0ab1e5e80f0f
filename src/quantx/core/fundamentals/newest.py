"""The versions of facts and of standard concepts: which one was the last, and which period the newest, at a moment.

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
_INSTANTS = 1 << 55  # more than there are microseconds between 1970 and the year 3000


def last_versions(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return one row per key, sorted by it: of the best rank, and of these the last one that became public.

    Of two that became public at once it is the one with the greater accession number. `key` are columns of texts and
    dates.
    """
    if rows.is_empty():
        return rows
    instant = pl.col("public_at").to_physical()
    order = (_RANKS - rows[RANK].cast(pl.Int64)) * _INSTANTS + rows.select(instant).to_series()
    places = pl.DataFrame({"key": _packed(rows, key), "order": order}).with_row_index("n")
    last = places.filter(pl.col("order") == pl.col("order").max().over("key"))
    if last["key"].n_unique() < last.height:
        last = last.with_columns(accession=rows["accession"].gather(last["n"])).sort("accession", nulls_last=False)
        last = last.unique("key", keep="last")
    return rows[last.sort("key")["n"]]


def _packed(rows: pl.DataFrame, key: Sequence[str]) -> pl.Series:
    """Return one number per row with the order of some columns: a sort of texts takes ten times as long."""
    packed = pl.repeat(0, rows.height, dtype=pl.Int64, eager=True)
    for name in key:
        column = rows[name]
        if column.dtype == pl.String:
            values = column.unique().sort()
            codes = column.replace_strict(values, pl.int_range(values.len(), dtype=pl.Int64, eager=True))
        else:
            physical = column.to_physical().cast(pl.Int64)
            low, high = physical.min(), physical.max()
            assert isinstance(low, int), "a day of the key is never null"
            assert isinstance(high, int), "a day of the key is never null"
            codes, values = physical - low, pl.int_range(high - low + 1, eager=True)
        packed = packed * values.len() + codes
    return packed


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
    # The number of the step that counts from a cell on; each column starts with that of the null behind all steps.
    none = of_symbols.height
    cells = pl.DataFrame(
        {
            "at": of_symbols["__column"].cast(pl.Int64) * count + rows,
            "step": pl.int_range(none, dtype=pl.UInt32, eager=True),
            "row": rows,
        }
    )
    cells = cells.filter(pl.col("row") < count).unique("at", keep="last", maintain_order=True)
    starts = pl.int_range(0, len(symbols) * count, max(count, 1), dtype=pl.Int64, eager=True)
    dense = pl.repeat(None, count * len(symbols), dtype=pl.UInt32, eager=True)
    dense = dense.scatter(starts, none).scatter(cells["at"], cells["step"]).forward_fill()
    values = of_symbols["__value"].extend_constant(None, 1)
    filled = values.gather(dense)
    return pl.DataFrame([filled.slice(n * count, count).alias(name) for n, name in enumerate(symbols)])
