"""Reshape long frames to wide ones: a row per day or minute, a column per symbol."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def dense(rows: pl.DataFrame, index: str, field: str, symbols: Sequence[str] | None = None) -> pl.DataFrame:
    """Return one row per value of `index` (sorted) and one column per symbol, with the values of `field`.

    `rows` has symbol, `index` and `field`, at most one row per symbol and index. The columns are `symbols`, or the
    sorted symbols of `rows`; null where there is no row. The result equals that of a pivot in a tenth of its time: the
    place of each row in a matrix is computed, and the matrix is filled at once.
    """
    moments, number = _numbered(rows[index])
    names = rows["symbol"].unique().sort().to_list() if symbols is None else list(symbols)
    height = moments.len()
    column = rows["symbol"].cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64)
    placed = pl.DataFrame({"place": column * height + number}).with_row_index("row")
    placed = placed.drop_nulls()  # the rows of a symbol that is not in `symbols`
    source = pl.repeat(None, height * len(names), dtype=pl.UInt32, eager=True)
    matrix = rows[field].gather(source.scatter(placed["place"], placed["row"])).to_frame()
    columns = [matrix.slice(at * height, height).to_series().alias(name) for at, name in enumerate(names)]
    return pl.DataFrame([moments, *columns])


def _numbered(values: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the sorted distinct values, and the number of each value among them."""
    if values.dtype != pl.Date or values.is_empty():
        moments = values.unique().sort()
        return moments, moments.search_sorted(values).cast(pl.Int64)
    days = values.to_physical()  # few: a table of all days from the first to the last is faster than a search
    first, last = days.min(), days.max()
    assert isinstance(first, int)
    assert isinstance(last, int)
    places = days - first
    present = pl.repeat(False, last - first + 1, dtype=pl.Boolean, eager=True).scatter(places.unique(), True)
    moments = (present.arg_true().cast(pl.Int32) + first).cast(pl.Date).alias(values.name)
    return moments, (present.cast(pl.Int64).cum_sum() - 1).gather(places)
