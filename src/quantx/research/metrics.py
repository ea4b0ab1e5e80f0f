"""Measures of predictions: pure functions of frames and arrays. Each counts out-of-sample rows alone.

An information coefficient (IC) is the correlation across securities, on one date, of predictions and labels. Labels of
close dates overlap, so that their ICs are not independent: standard errors are those of Newey and West (1987), with
Bartlett weights 1 − l / (L + 1) up to the lag L, the number of following dates whose labels overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from quantx.research.preprocessing import Matrix

SESSIONS_A_YEAR = 252
_FEWEST = 3  # securities with prediction and label on a date; fewer have no correlation that means anything


@dataclass(frozen=True)
class SeriesStatistics:
    """The mean of a series over dates, and how sure it is."""

    dates: int
    mean: float | None
    deviation: float | None  # standard deviation (n − 1)
    t: float | None  # mean / its standard error, by Newey and West
    ratio: float | None  # mean / deviation: the information ratio of a date
    positive: float | None  # share of the dates on which it is positive

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name."""
        return asdict(self)


def information_coefficients(rows: pl.DataFrame, prediction: str = "prediction", label: str = "label") -> pl.DataFrame:
    """Return date, ic (Pearson), rank_ic (Spearman; ties have their mean rank) and count, of dates with enough rows.

    Nulls and NaN are left out. A date on which all predictions, or all labels, are equal has no correlation.
    """
    known = rows.with_columns(pl.col(prediction, label).cast(pl.Float64).fill_nan(None)).drop_nulls([prediction, label])
    ranked = known.with_columns(pl.col(name).rank().over("date").alias(f"__{name}") for name in (prediction, label))
    found = (
        ranked.group_by("date")
        .agg(
            pl.corr(prediction, label).alias("ic"),
            pl.corr(f"__{prediction}", f"__{label}").alias("rank_ic"),
            pl.len().cast(pl.Int64).alias("count"),
            _is_constant(prediction).alias("__constant"),
            _is_constant(label).alias("__constant_label"),
        )
        .filter(pl.col("count") >= _FEWEST, ~pl.col("__constant"), ~pl.col("__constant_label"))
    )
    return found.select("date", pl.col("ic", "rank_ic").fill_nan(None), "count").sort("date")


def _is_constant(name: str) -> pl.Expr:
    return pl.col(name).max() == pl.col(name).min()


def overlap_lag(horizon: int, every: int) -> int:
    """Return the number of following dates whose labels overlap that of a date.

    >>> overlap_lag(20, 1), overlap_lag(20, 5), overlap_lag(5, 5)
    (19, 3, 0)
    """
    return -(-horizon // every) - 1


def statistics(values: pl.Series, lag: int = 0) -> SeriesStatistics:
    """Return the statistics of a series in order of date; nulls are left out."""
    known = values.drop_nulls().to_numpy().astype(np.float64)
    count = known.size
    if count == 0:
        return SeriesStatistics(0, None, None, None, None, None)
    mean, positive = float(known.mean()), float((known > 0).mean())
    if count == 1:
        return SeriesStatistics(1, mean, None, None, None, positive)
    deviation, error = float(known.std(ddof=1)), newey_west(known, lag)
    tiny = 1e-12 * max(1.0, abs(mean))
    return SeriesStatistics(
        dates=count,
        mean=mean,
        deviation=deviation,
        t=mean / error if error > tiny else None,
        ratio=mean / deviation if deviation > tiny else None,
        positive=positive,
    )


def newey_west(values: Matrix, lag: int) -> float:
    """Return the standard error of a mean; lag 0 gives that of independent values, with n − 1.

    A negative variance can't be: Bartlett weights exclude it.
    """
    count = values.size
    centred = values - values.mean()
    variance = float(centred @ centred) / count
    for step in range(1, min(lag, count - 1) + 1):
        variance += 2 * (1 - step / (lag + 1)) * float(centred[step:] @ centred[:-step]) / count
    return sqrt(max(variance, 0.0) / (count - 1))


def quantile_of(rows: pl.DataFrame, quantiles: int) -> pl.DataFrame:
    """Return the rows with `quantile`: 1 has the lowest predictions of its date; dates with too few rows are left out.

    The rank decides, ties by symbol: equal predictions do not make one quantile larger than the others.
    """
    ordered = rows.drop_nulls("prediction").filter(pl.col("prediction").is_not_nan())
    ordered = ordered.sort("date", "prediction", "symbol")
    place, count = pl.int_range(pl.len()).over("date"), pl.len().over("date")
    return ordered.filter(count >= quantiles).with_columns(
        (place * quantiles // count + 1).cast(pl.Int32).alias("quantile")
    )


def quantile_returns(rows: pl.DataFrame, quantiles: int) -> pl.DataFrame:
    """Return quantile, mean label over dates (each date counts once), and the number of dates."""
    by_date = quantile_of(rows.drop_nulls("label"), quantiles).group_by("date", "quantile").agg(pl.col("label").mean())
    return (
        by_date.group_by("quantile").agg(pl.col("label").mean().alias("mean"), pl.len().alias("dates")).sort("quantile")
    )


def drawdown(returns: Sequence[float]) -> float:
    """Return the largest loss from a peak of the compounded value, as a share of the peak; 0 without a loss.

    A value that is lost whole stays 0: a loss of more than that can't be made good.

    >>> round(drawdown([0.1, -0.5, 0.2]), 3)
    0.5
    """
    value = np.cumprod(np.maximum(1 + np.asarray([0.0, *returns], dtype=np.float64), 0.0))
    peak = np.maximum.accumulate(value)
    return float((1 - value / peak).max())


def rank_autocorrelation(rows: pl.DataFrame) -> float | None:
    """Return the mean rank correlation of the predictions of a date with those of the date before."""
    wide = rows.select("date", "symbol", "prediction").pivot("symbol", index="date", values="prediction").sort("date")
    matrix = wide.drop("date").to_numpy().astype(np.float64)
    found = [value for a, b in pairwise(matrix) if (value := _rank_correlation(a, b)) is not None]
    return float(np.mean(found)) if found else None


def _rank_correlation(a: Matrix, b: Matrix) -> float | None:
    both = ~(np.isnan(a) | np.isnan(b))
    if both.sum() < _FEWEST:
        return None
    first, second = (pl.Series(each[both]).rank().to_numpy() for each in (a, b))
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
