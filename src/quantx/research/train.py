"""Train the model of a study in each fold, and predict the rows that the fold did not see."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from quantx.errors import ConfigError
from quantx.research.models import ALLOWED, FittedModel, fit_model
from quantx.research.splits import Fold, folds_of, training_rows

if TYPE_CHECKING:
    from quantx.research.dataset import Dataset
    from quantx.research.preprocessing import Matrix
    from quantx.research.study import Study

_FEWEST = 2  # training rows per fold
OnFold = Callable[[int, int], None]  # folds done, all folds


@dataclass(frozen=True)
class FoldSummary:
    """The size of a fold, and the rows that were purged from its training."""

    fold: int
    train_rows: int
    purged_rows: int  # candidates that overlap a test range, or lie in its embargo
    train_first: date
    train_last: date
    test_first: date
    test_last: date


@dataclass(frozen=True)
class Training:
    """The result of training: out-of-sample predictions, and the model of all labelled rows."""

    predictions: pl.DataFrame  # fold, path, date, symbol, prediction, label, label_end; sorted by path, date, symbol
    folds: tuple[FoldSummary, ...]
    final: FittedModel
    trained_through: date  # the last label_end of the final model


def train_study(
    study: Study, dataset: Dataset, packages: Collection[str] = ALLOWED, on_fold: OnFold = lambda done, of: None
) -> Training:
    """Train a model per fold and the final one; the same dataset and study give the same predictions."""
    predictions, summaries = cross_predictions(study, dataset, dataset.table, packages, on_fold)
    labelled = dataset.table.filter(pl.col("label").is_not_null())
    final = fit_model(study, matrix_of(labelled, dataset.features), _labels(labelled), packages)
    through: Any = labelled["label_end"].max()
    return Training(predictions, tuple(summaries), final, through)


def cross_predictions(
    study: Study,
    dataset: Dataset,
    table: pl.DataFrame,
    packages: Collection[str] = ALLOWED,
    on_fold: OnFold = lambda done, of: None,
) -> tuple[pl.DataFrame, list[FoldSummary]]:
    """Return the predictions of the test rows of all folds of a table, and the sizes of the folds."""
    dates = table.filter(pl.col("label").is_not_null())["date"].unique().sort().to_list()
    folds = folds_of(study.splits, dates)
    every = table["date"].unique().sort().to_list()
    features = matrix_of(table, dataset.features)
    parts, summaries = [], []
    for fold in folds:
        train = training_rows(table, fold, every, study.splits.embargo)
        if int(train.sum()) < _FEWEST:
            raise ConfigError(
                f"fold {fold.number} has {int(train.sum())} training rows after the purge; use fewer test groups, more"
                " training dates, or a shorter horizon"
            )
        rows = train.to_numpy()
        model = fit_model(study, features[rows], _labels(table.filter(train)), packages)
        parts += [_predicted(table, features, model, fold.number, test) for test in fold.tests]
        summaries.append(_summary(table, fold, train))
        on_fold(len(summaries), len(folds))
    return pl.concat(parts).sort("path", "date", "symbol"), summaries


def matrix_of(table: pl.DataFrame, features: list[str]) -> Matrix:
    """Return the features of a table as rows × features; NaN is a null."""
    return table.select(pl.col(features).cast(pl.Float64).fill_null(float("nan"))).to_numpy()


def _labels(table: pl.DataFrame) -> Matrix:
    return np.asarray(table["label"].to_numpy(), dtype=np.float64)


def _predicted(table: pl.DataFrame, features: Matrix, model: FittedModel, number: int, test: Any) -> pl.DataFrame:
    inside = table["date"].is_between(test.first, test.last)
    rows = table.filter(inside).select("date", "symbol", "label", "label_end")
    values = model.predict(features[inside.to_numpy()])
    return rows.select(
        pl.lit(number, pl.Int32).alias("fold"),
        pl.lit(test.path, pl.Int32).alias("path"),
        "date",
        "symbol",
        pl.Series("prediction", values),
        "label",
        "label_end",
    )


def _summary(table: pl.DataFrame, fold: Fold, train: pl.Series) -> FoldSummary:
    candidates: Any = table["date"].is_in(list(fold.train)) & table["label"].is_not_null()
    dates: Any = table.filter(train)["date"]
    return FoldSummary(
        fold=fold.number,
        train_rows=int(train.sum()),
        purged_rows=int(candidates.sum() - train.sum()),
        train_first=dates.min(),
        train_last=dates.max(),
        test_first=min(each.first for each in fold.tests),
        test_last=max(each.last for each in fold.tests),
    )
