"""Judge the out-of-sample predictions of a study: how well they order securities, and what a portfolio earns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx.research.dataset import ended_of
from quantx.research.labels import forward_returns, price_matrix
from quantx.research.metrics import (
    SESSIONS_A_YEAR,
    SeriesStatistics,
    drawdown,
    information_coefficients,
    overlap_lag,
    quantile_returns,
    rank_autocorrelation,
    statistics,
)
from quantx.research.portfolio import LongShort, long_short
from quantx.research.splits import paths_of

if TYPE_CHECKING:
    from quantx.research.dataset import Dataset
    from quantx.research.leaks import LeakCheck
    from quantx.research.study import Study
    from quantx.research.train import FoldSummary

HORIZONS = (1, 5, 10, 20, 40, 60, 120)  # sessions, of the decay


@dataclass(frozen=True, kw_only=True)
class PortfolioSummary:
    """The figures of a long-short portfolio; shares of the capital. None: too few periods."""

    periods: int
    gross: float | None  # mean return a year, not compounded
    net: float | None  # after costs
    volatility: float | None  # a year
    sharpe: float | None  # net / volatility
    drawdown: float | None  # largest loss from a peak of the net value
    turnover: float | None  # mean share of the long side that is replaced at a date
    total: float | None  # compounded net return


@dataclass(frozen=True, kw_only=True)
class Score:
    """The measures of some out-of-sample rows."""

    name: str
    rows: int
    ic: SeriesStatistics
    rank_ic: SeriesStatistics
    portfolio: PortfolioSummary


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All measures of a study."""

    overall: Score
    parts: Sequence[Score]  # by fold, or by path of combinatorial splits
    folds: Sequence[FoldSummary]
    quantiles: pl.DataFrame  # quantile, mean, dates
    decay: Sequence[tuple[int, SeriesStatistics]]  # by horizon
    autocorrelation: float | None
    coefficients: pl.DataFrame  # date, ic, rank_ic, count
    portfolio: LongShort
    checks: Sequence[LeakCheck]

    @property
    def leaks(self) -> list[str]:
        """Return the names of the checks that found look-ahead."""
        return [each.name for each in self.checks if each.status == "leak"]

    def as_facts(self) -> dict[str, Any]:
        """Return the measures as plain values for JSON."""
        return {
            "overall": asdict(self.overall),
            "parts": [asdict(each) for each in self.parts],
            "folds": [{k: v if isinstance(v, int) else str(v) for k, v in asdict(f).items()} for f in self.folds],
            "quantiles": self.quantiles.to_dicts(),
            "decay": [{"horizon": horizon, **found.as_dict()} for horizon, found in self.decay],
            "autocorrelation": self.autocorrelation,
            "checks": [asdict(each) for each in self.checks],
        }


def evaluate_study(
    study: Study,
    dataset: Dataset,
    predictions: pl.DataFrame,
    folds: Sequence[FoldSummary],
    checks: Sequence[LeakCheck],
) -> Evaluation:
    """Return the measures of predictions (fold, path, date, symbol, prediction, label).

    With several paths, the overall measures are those of the mean prediction over the paths, and `parts` has each path.
    """
    every = predictions.group_by("date", "symbol").agg(pl.col("prediction").mean(), pl.col("label").first())
    every = every.sort("date", "symbol")
    ended = ended_of(dataset)
    by = "fold" if paths_of(study.splits) == 1 else "path"
    parts = [
        _score(study, dataset, f"{by} {number}", rows, ended)[0]
        for (number,), rows in predictions.group_by(by, maintain_order=True)
    ]
    overall, portfolio = _score(study, dataset, "out of sample", every, ended)
    return Evaluation(
        overall=overall,
        parts=parts,
        folds=folds,
        quantiles=quantile_returns(every, study.quantiles),
        decay=_decay(study, dataset, every, ended),
        autocorrelation=rank_autocorrelation(every),
        coefficients=information_coefficients(every),
        portfolio=portfolio,
        checks=checks,
    )


def _score(
    study: Study, dataset: Dataset, name: str, rows: pl.DataFrame, ended: Sequence[int]
) -> tuple[Score, LongShort]:
    lag = overlap_lag(study.label.horizon, study.every)
    coefficients = information_coefficients(rows)
    portfolio = long_short(
        rows,
        dataset.prices,
        quantiles=study.quantiles,
        lag=study.label.entry_lag,
        bps=study.costs.bps,
        ended=ended,
    )
    score = Score(
        name=name,
        rows=rows.height,
        ic=statistics(coefficients["ic"], lag),
        rank_ic=statistics(coefficients["rank_ic"], lag),
        portfolio=_summary(portfolio),
    )
    return score, portfolio


def _summary(portfolio: LongShort) -> PortfolioSummary:
    frame = portfolio.frame
    periods, sessions = frame.height, int(frame["sessions"].sum())
    if periods < 2 or not sessions:
        nothing = dict.fromkeys(("gross", "net", "volatility", "sharpe", "drawdown", "turnover", "total"))
        return PortfolioSummary(periods=periods, **nothing)
    a_year = SESSIONS_A_YEAR / sessions  # of the whole sum
    gross, net = (float(frame[name].sum()) * a_year for name in ("gross", "net"))
    volatility = float(statistics(frame["net"]).deviation or 0.0) * sqrt(SESSIONS_A_YEAR * periods / sessions)
    values = frame["net"].to_list()
    return PortfolioSummary(
        periods=periods,
        gross=gross,
        net=net,
        volatility=volatility,
        sharpe=net / volatility if volatility else None,
        drawdown=drawdown(values),
        turnover=portfolio.long_turnover,
        total=float((1 + frame["net"]).clip(lower_bound=0.0).product()) - 1,
    )


def _decay(
    study: Study, dataset: Dataset, rows: pl.DataFrame, ended: Sequence[int]
) -> list[tuple[int, SeriesStatistics]]:
    """Return the rank IC of the predictions with returns over several horizons, from the same entry."""
    closes = price_matrix(dataset.prices)
    place = dataset.prices.select("date").with_row_index("__row")
    columns = {symbol: at for at, symbol in enumerate(dataset.prices.columns[1:])}
    at = rows.join(place, on="date", how="left", maintain_order="left")["__row"].to_numpy()
    column = rows["symbol"].replace_strict(columns, return_dtype=pl.Int64).to_numpy()
    found = []
    for horizon in sorted({*HORIZONS, study.label.horizon}):
        returns = forward_returns(closes, horizon, study.label.entry_lag, ended)[at, column]
        measured = rows.select("date", "prediction", pl.Series("label", returns, nan_to_null=True))
        values = information_coefficients(measured)["rank_ic"]
        found.append((horizon, statistics(values, overlap_lag(horizon, study.every))))
    return found
