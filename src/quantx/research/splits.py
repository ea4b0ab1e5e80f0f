"""Splits of a table into training and test rows by unique dates, without overlap of labels.

A row knows its features at the close of `date`, and its label uses prices up to `label_end`. A training row whose
[date, label_end] overlaps that of a test range is purged: it shares prices with a test label. An embargo removes the
training rows of some more dates after each test range, for features that remember.

Source: M. López de Prado, Advances in Financial Machine Learning, 2018, sections 7.4 and 12.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations, pairwise
from math import comb
from typing import Any

import polars as pl

from quantx.errors import ConfigError
from quantx.research.study import CombinatorialPurged, WalkForward


@dataclass(frozen=True)
class HeldOut:
    """Test dates in a row, both inclusive, and the backtest path that they belong to."""

    first: date
    last: date
    path: int


@dataclass(frozen=True)
class Fold:
    """One division of the table: candidates for training, and test ranges."""

    number: int
    train: frozenset[date]
    tests: tuple[HeldOut, ...]


def folds_of(splits: WalkForward | CombinatorialPurged, dates: Sequence[date]) -> list[Fold]:
    """Return the folds of unique sorted dates; ConfigError where there are too few of them."""
    if isinstance(splits, WalkForward):
        return _walk_forward(splits, dates)
    return _combinatorial(splits, dates)


def _walk_forward(splits: WalkForward, dates: Sequence[date]) -> list[Fold]:
    starts = range(splits.train, len(dates), splits.test)
    if not starts:
        raise ConfigError(
            f"the table has {len(dates):,} dates with labels, and splits.train needs {splits.train:,} before the first"
            " test; choose an earlier start, fewer training dates, or a smaller `every`"
        )
    folds = []
    for number, start in enumerate(starts):
        tested = dates[start : start + splits.test]
        train = dates[:start] if splits.expanding else dates[start - splits.train : start]
        folds.append(Fold(number, frozenset(train), (HeldOut(tested[0], tested[-1], 0),)))
    return folds


def _combinatorial(splits: CombinatorialPurged, dates: Sequence[date]) -> list[Fold]:
    """Return a fold for each choice of test groups; the n-th test of a group belongs to the n-th path."""
    size = len(dates) // splits.groups
    if size < 1:
        raise ConfigError(
            f"the table has {len(dates):,} dates with labels for {splits.groups} groups; choose an earlier start or"
            " fewer groups"
        )
    parts = [dates[n * size : (n + 1) * size] for n in range(splits.groups - 1)]
    parts.append(dates[(splits.groups - 1) * size :])
    seen = [0] * splits.groups
    folds = []
    for number, chosen in enumerate(combinations(range(splits.groups), splits.test_groups)):
        tests = []
        for group in chosen:
            tests.append(HeldOut(parts[group][0], parts[group][-1], seen[group]))
            seen[group] += 1
        train = frozenset(day for group, part in enumerate(parts) if group not in chosen for day in part)
        folds.append(Fold(number, train, tuple(tests)))
    return folds


def paths_of(splits: WalkForward | CombinatorialPurged) -> int:
    """Return the number of backtest paths: each tests every date that is tested, once."""
    return 1 if isinstance(splits, WalkForward) else comb(splits.groups - 1, splits.test_groups - 1)


def training_rows(table: pl.DataFrame, fold: Fold, dates: Sequence[date], embargo: int) -> pl.Series:
    """Return for each row of a table (date, label, label_end) whether the fold trains on it.

    `dates` are all dates of the table, in order. Rows without a label are no training rows.
    """
    keep = table["date"].is_in(list(fold.train)) & table["label"].is_not_null()
    for first, last in _blocks(fold.tests, dates):
        inside = table["date"].is_between(first, last)
        ends: Any = table.filter(inside)["label_end"].max()
        end = last if ends is None else max(last, ends)
        purged = (table["date"] <= end) & (table["label_end"].fill_null(date.min) >= first)
        after = [day for day in dates if day > end][:embargo]
        keep &= ~(purged | table["date"].is_in(after))
    return keep.alias("train")


def _blocks(tests: Sequence[HeldOut], dates: Sequence[date]) -> list[tuple[date, date]]:
    """Return the test ranges with those joined that follow each other."""
    following = dict(pairwise(dates))
    blocks: list[tuple[date, date]] = []
    for test in sorted(tests, key=lambda each: each.first):
        if blocks and following.get(blocks[-1][1]) == test.first:
            blocks[-1] = (blocks[-1][0], test.last)
        else:
            blocks.append((test.first, test.last))
    return blocks
