"""A long-short portfolio of predictions, held from each date's entry to the next one's, after costs.

At each date of the table the highest quantile is bought and the lowest sold, with equal weights, each side with the
whole capital. Entries are closes `entry_lag` sessions later; a new position in a halted security waits for its first
bar. The weights drift until the next date's entry, in shares of the capital by then; the cost is that of the traded
difference to the drifted weights, per side.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from quantx.research.labels import carried, entries, price_matrix
from quantx.research.metrics import quantile_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from quantx.research.preprocessing import Matrix


@dataclass(frozen=True)
class LongShort:
    """A portfolio over time, one value per period from an entry to the next."""

    frame: pl.DataFrame  # date, sessions, gross, cost, net, turnover
    long_turnover: float | None  # mean share of the long side that is replaced at a date


def long_short(
    rows: pl.DataFrame, prices: pl.DataFrame, *, quantiles: int, lag: int, bps: float, ended: Collection[int]
) -> LongShort:
    """Return the portfolio of predictions (date, symbol, prediction), with closes of a panel.

    A held security without a bar keeps its last price, and one that has no bar in a period is not bought in it; the
    last period ends at the last session of the panel. `turnover` is the traded amount by capital: 2 for a first entry
    of both sides, 4 where all is replaced.
    """
    graded = quantile_of(rows, quantiles)
    days = graded["date"].unique().sort().to_list()
    place = {day: at for at, day in enumerate(prices["date"].to_list())}
    entered = [(day, place[day] + lag) for day in days if place[day] + lag < prices.height - 1]
    last = prices.height - 1
    matrix = price_matrix(prices)
    closes, (bought, first) = carried(matrix, ended), entries(matrix)
    columns = {symbol: at for at, symbol in enumerate(prices.columns[1:])}
    weights = _weights(graded, quantiles, columns)
    held = np.zeros(len(columns))
    found: list[tuple[date, int, float, float, float, float]] = []
    replaced: list[float] = []
    for number, (day, start) in enumerate(entered):
        end = entered[number + 1][1] if number + 1 < len(entered) else min(last, start + _usual(entered))
        opened = np.sign(weights[day]) != np.sign(held)
        target = np.where(opened & (first[start] >= end), 0.0, weights[day])
        traded = float(np.abs(target - held).sum())
        if number:
            replaced.append(float(np.maximum(np.maximum(target, 0) - np.maximum(held, 0), 0).sum()))
        moves = _moves(np.where(opened, bought[start], closes[start]), closes[end])
        gross, cost = float(target @ moves), traded * bps / 10_000
        found.append((day, end - start, gross, cost, gross - cost, traded))
        value = 1 + gross - cost
        held = target * (1 + moves) / value if value > 0 else np.zeros(len(columns))
    schema = {"date": pl.Date, "sessions": pl.Int64, **dict.fromkeys(("gross", "cost", "net", "turnover"), pl.Float64)}
    frame = pl.DataFrame(found, schema=schema, orient="row")
    return LongShort(frame, float(np.mean(replaced)) if replaced else None)


def _usual(entered: list[tuple[date, int]]) -> int:
    """Return the usual number of sessions between two entries."""
    gaps = [b - a for (_, a), (_, b) in pairwise(entered)]
    return int(np.median(gaps)) if gaps else 1


def _moves(bought: Matrix, sold: Matrix) -> Matrix:
    """Return the return of each security between two prices; 0 where one is not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        moves = sold / bought - 1
    return np.where(np.isfinite(moves), moves, 0.0)


def _weights(graded: pl.DataFrame, quantiles: int, columns: dict[str, int]) -> dict[date, Matrix]:
    """Return the weights of each date: +1 over the highest quantile, −1 over the lowest, in equal parts."""
    found: dict[date, Matrix] = {}
    for (day,), rows in graded.group_by("date"):
        weights = np.zeros(len(columns))
        for quantile, side in ((quantiles, 1.0), (1, -1.0)):
            own = rows.filter(pl.col("quantile") == quantile)["symbol"].to_list()
            weights[[columns[symbol] for symbol in own]] = side / len(own)
        found[day] = weights
    return found
