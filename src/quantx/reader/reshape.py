"""Reshape rows by symbol into a frame with a column per symbol."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def wide(
    rows: pl.DataFrame, index: str, fields: Sequence[str], symbols: Sequence[str], *, prefixed: bool | None = None
) -> pl.DataFrame:
    """Return one row per value of `index`, in order, and a column per symbol; null without a row.

    `rows` have symbol, `index` and the fields, and each symbol and index once. Columns are named by their symbol, or
    with `prefixed` by field and symbol, as in `close_AAPL`; by default where there are several fields.
    """
    prefixed = len(fields) > 1 if prefixed is None else prefixed
    days = rows[index].unique().sort()
    order = sorted(symbols)
    place = pl.DataFrame({"symbol": order}, schema={"symbol": pl.String}).with_row_index("__column")
    cells = rows.select("symbol", index).join(place, on="symbol", how="left", maintain_order="left")
    # One dense array of all columns, one after another, into which the values go at once: a pivot would hash each row.
    at = cells["__column"].cast(pl.Int64) * days.len() + days.search_sorted(cells[index], side="left").cast(pl.Int64)
    columns = [days.alias(index)]
    for field in fields:
        dense = pl.repeat(None, days.len() * len(order), dtype=rows.schema[field], eager=True).scatter(at, rows[field])
        prefix = f"{field}_" if prefixed else ""
        columns += [dense.slice(n * days.len(), days.len()).alias(prefix + name) for n, name in enumerate(order)]
    return pl.DataFrame(columns)
