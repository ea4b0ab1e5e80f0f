"""Labels: what a position earned after each session, from a panel of adjusted closes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from quantx.research.preprocessing import Matrix


def price_matrix(prices: pl.DataFrame) -> Matrix:
    """Return the closes of a panel (date and a column per symbol) as sessions × symbols; NaN: no bar."""
    return prices.drop("date").to_numpy().astype(np.float64)


def carried(closes: Matrix, ended: Collection[int]) -> Matrix:
    """Return the last close up to each session: through halts, and after the last bar of the columns `ended`.

    A column that merely has no bar yet at the end has NaN there: its price is not known.
    """
    rows = np.arange(closes.shape[0])[:, None]
    known = ~np.isnan(closes)
    last = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    filled = np.where(last >= 0, np.take_along_axis(closes, np.maximum(last, 0), axis=0), np.nan)
    final = np.where(known, rows, -1).max(axis=0)
    open_end = ~np.isin(np.arange(closes.shape[1]), list(ended))
    return np.where((rows > final) & open_end, np.nan, filled)


def entries(closes: Matrix) -> tuple[Matrix, Matrix]:
    """Return the first close at or after each session, and its row: a halted security is entered when it trades."""
    count = closes.shape[0]
    rows = np.arange(count)[:, None]
    first = np.where(~np.isnan(closes), rows, count)
    first = np.minimum.accumulate(first[::-1], axis=0)[::-1]
    found = first < count
    return np.where(found, np.take_along_axis(closes, np.minimum(first, count - 1), axis=0), np.nan), first


def forward_returns(closes: Matrix, horizon: int, lag: int, ended: Collection[int] = ()) -> Matrix:
    """Return exit / entry − 1 for each session: entered at the close `lag` sessions later, held `horizon` sessions.

    The entry waits for the first bar, the exit does not: it is at the last price by then. NaN: the exit lies after the
    last session, or there is no bar between the two.
    """
    result = np.full(closes.shape, np.nan)
    count = closes.shape[0] - lag - horizon
    if count <= 0:
        return result
    bought, row = entries(closes)
    sold = carried(closes, ended)
    starts = slice(lag, lag + count)
    exits = np.arange(lag + horizon, closes.shape[0])[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        gained = sold[lag + horizon :] / bought[starts] - 1
    result[:count] = np.where((row[starts] < exits) & np.isfinite(gained), gained, np.nan)
    return result


def ended_columns(closes: Matrix, sessions: int) -> list[int]:
    """Return the columns whose last bar lies more than some sessions before the last row, and that have any bar."""
    known = ~np.isnan(closes)
    final = np.where(known, np.arange(closes.shape[0])[:, None], -1).max(axis=0)
    return [int(column) for column in np.flatnonzero((final >= 0) & (final < closes.shape[0] - 1 - sessions))]
