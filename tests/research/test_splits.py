"""Splits: unique dates, purge by label_end and embargo, as skfolio and purgedcv make them."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pytest
from purgedcv import CombinatorialPurgedCV as PurgedCombinations
from purgedcv import apply_embargo, purge
from skfolio.model_selection import CombinatorialPurgedCV
from skfolio.model_selection import WalkForward as SkfolioWalkForward

from quantx.errors import ConfigError
from quantx.research.splits import Fold, folds_of, paths_of, training_rows
from quantx.research.study import CombinatorialPurged, WalkForward

FIRST = date(2024, 1, 1)


def dates_of(count: int) -> list[date]:
    return [FIRST + timedelta(days=n) for n in range(count)]


def one_asset(count: int, horizon: int) -> pl.DataFrame:
    days = dates_of(count)
    return pl.DataFrame({"date": days, "label": [1.0] * count}).with_columns(
        label_end=pl.col("date") + timedelta(days=horizon)
    )


def rows_of(table: pl.DataFrame, fold: Fold, embargo: int) -> list[int]:
    train = training_rows(table, fold, table["date"].to_list(), embargo)
    return train.arg_true().to_list()


def held_out(fold: Fold) -> list[list[int]]:
    return [list(range((each.first - FIRST).days, (each.last - FIRST).days + 1)) for each in fold.tests]


@pytest.mark.parametrize("expanding", [True, False])
def test_walk_forward_is_that_of_skfolio_with_the_horizon_purged(expanding: bool) -> None:
    horizon, train, test = 3, 20, 7
    table = one_asset(60, horizon)
    folds = folds_of(WalkForward(train=train, test=test, expanding=expanding), dates_of(60))
    theirs = SkfolioWalkForward(
        test_size=test, train_size=train - horizon, purged_size=horizon, expand_train=expanding, reduce_test=True
    )
    expected = [(a.tolist(), b.tolist()) for a, b in theirs.split(np.zeros((60, 1)))]
    assert [(rows_of(table, fold, 0), held_out(fold)[0]) for fold in folds] == expected


@pytest.mark.parametrize(("groups", "chosen", "horizon", "embargo"), [(5, 2, 2, 0), (6, 2, 3, 2), (6, 3, 1, 1)])
def test_combinatorial_splits_are_those_of_skfolio(groups: int, chosen: int, horizon: int, embargo: int) -> None:
    count = 62
    table = one_asset(count, horizon)
    spec = CombinatorialPurged(method="combinatorial_purged", groups=groups, test_groups=chosen, embargo=embargo)
    folds = folds_of(spec, dates_of(count))
    theirs = CombinatorialPurgedCV(n_folds=groups, n_test_folds=chosen, purged_size=horizon, embargo_size=embargo)
    split = [(a.tolist(), [part.tolist() for part in parts]) for a, parts in theirs.split(np.zeros((count, 1)))]
    assert [(rows_of(table, fold, embargo), held_out(fold)) for fold in folds] == split
    assert [[each.path for each in fold.tests] for fold in folds] == theirs.get_path_ids().tolist()
    assert paths_of(spec) == theirs.n_test_paths


def test_uneven_labels_are_purged_as_purgedcv_does() -> None:
    """Its intervals are half-open: ours end a day later, because a label knows the close of its last session."""
    count, random = 80, np.random.default_rng(3)
    ends = [FIRST + timedelta(days=int(n + random.integers(1, 9))) for n in range(count)]
    table = one_asset(count, 0).with_columns(label_end=pl.Series(ends))
    begin, end = pd.to_datetime(table["date"].to_list()), pd.to_datetime(ends) + pd.Timedelta(days=1)
    spec = CombinatorialPurged(method="combinatorial_purged", groups=4, test_groups=1)
    for fold in folds_of(spec, dates_of(count)):
        [test] = held_out(fold)
        # One range up to the last label of the test: a hole between its labels is no place to train.
        tested = np.arange(test[0], min(count, 1 + max((ends[n] - FIRST).days for n in test)))
        others = np.setdiff1d(np.arange(count), test)
        inside = np.intersect1d(others, tested)
        kept = np.setdiff1d(purge(others, np.array(test), begin, end), inside)
        assert rows_of(table, fold, 0) == kept.tolist()


def test_combinations_and_embargo_are_those_of_purgedcv() -> None:
    count, horizon, embargo = 60, 2, 3
    table = one_asset(count, horizon)
    begin = pd.Series(pd.to_datetime(table["date"].to_list()))
    end = begin + pd.Timedelta(days=horizon + 1)
    spec = CombinatorialPurged(method="combinatorial_purged", groups=6, test_groups=2, embargo=embargo)
    theirs = PurgedCombinations(
        n_splits=6, n_test_groups=2, prediction_times=begin, evaluation_times=end, embargo=pd.Timedelta(0)
    )
    folds = folds_of(spec, dates_of(count))
    for fold, (train, test) in zip(folds, theirs.split(np.zeros((count, 1))), strict=True):
        assert sorted(n for part in held_out(fold) for n in part) == sorted(test.tolist())
        # Their embargo begins at the label's end, ours at the first date after it.
        days = pd.Timedelta(days=embargo - 1)
        assert rows_of(table, fold, embargo) == apply_embargo(train, test, begin, end, days).tolist()


def test_a_row_of_many_securities_is_purged_by_its_own_label() -> None:
    days = dates_of(10)
    table = pl.DataFrame(
        {
            "date": [day for day in days for _ in range(2)],
            "label": [1.0] * 20,
            "label_end": [day + timedelta(days=length) for day in days for length in (1, 4)],
        }
    )
    [fold] = folds_of(WalkForward(train=6, test=4), days)
    kept = table.filter(training_rows(table, fold, days, 0))
    # The test begins on the seventh: labels of one day end before it from the fifth on, those of four on the second.
    assert kept.rows() == [
        (day, 1.0, day + timedelta(days=length)) for day in days for length in (1, 4) if (day - FIRST).days + length < 6
    ]


def test_rows_without_a_label_are_tested_and_not_trained_on() -> None:
    table = one_asset(12, 1).with_columns(
        label=pl.when(pl.col("date") == FIRST).then(None).otherwise("label"),
    )
    [fold] = folds_of(WalkForward(train=6, test=6), dates_of(12))
    assert rows_of(table, fold, 0) == [1, 2, 3, 4]


def test_too_few_dates_are_an_error_that_names_the_next_step() -> None:
    with pytest.raises(ConfigError, match=r"10 dates with labels, and splits.train needs 10"):
        folds_of(WalkForward(train=10, test=5), dates_of(10))
    with pytest.raises(ConfigError, match="fewer groups"):
        folds_of(CombinatorialPurged(method="combinatorial_purged", groups=6), dates_of(5))
