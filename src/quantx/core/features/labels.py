"""The set `labels`: forward returns, for training only. A feature must never be made of them.

A row knows the bar of its session, so that the first trade is in the next row: at its open, or at its close. Both
returns hold the same number of rows after that. A label is null where the data end before it does, and where one of
its prices is not above zero; a security that is delisted has no label across its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature, FeatureSet, RowMemory
from quantx.core.features.kernels import return_of

HORIZONS = (1, 5, 21)


@dataclass(frozen=True)
class ForwardReturn:
    """The kernel of a return from the next row's price on."""

    entry: str
    last: int  # rows ahead of the last close

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        return return_of(pl.col("close").shift(-self.last), pl.col(self.entry).shift(-1))


@dataclass(frozen=True)
class DayAhead:
    """The kernel of the day of a later row, in days since 1970."""

    rows: int

    def __call__(self) -> pl.Expr:
        """Return the expression."""
        return pl.col("date").cast(pl.Int32).cast(pl.Float64).shift(-self.rows)


def _label(entry: str, rows: int) -> Feature:
    last = rows if entry == "open" else rows + 1
    return Feature(
        f"forward_return_{rows}" if entry == "close" else f"forward_return_{rows}_open",
        ForwardReturn(entry, last),
        inputs=tuple(dict.fromkeys((entry, "close"))),
        formula=f"close {last} rows ahead / {entry} of the next row − 1, dividends included",
        source="definition",
        memory=RowMemory(0),
        kind="label",
        horizon=last,
        version=2,  # null where a price is not above zero
    )


LABELS = FeatureSet(
    "labels",
    "Forward returns for training",
    tuple(_label(entry, rows) for entry in ("close", "open") for rows in HORIZONS),
)


def label_ends(labels: Sequence[Feature], bars: pl.DataFrame, values: pl.DataFrame) -> pl.Series:
    """Return the session of the last bar that any label of a row uses; null where all of them are null.

    `values` are the labels that `compute` made of `bars`. A training row must end before the test rows begin.
    """
    days = compute([_end_of(each) for each in labels], bars)
    known = [pl.when(values[each.name].is_not_null()).then(pl.col(each.name)) for each in labels]
    latest = pl.max_horizontal(known).cast(pl.Int32).cast(pl.Date)
    return days.select(latest.alias("label_end")).to_series()


def _end_of(label: Feature) -> Feature:
    return replace(label, kernel=DayAhead(label.horizon), output=None, unit="ratio", basis="traded")


def longest_horizon(features: Iterable[Feature]) -> int:
    """Return how many rows before a changed one have labels that use it."""
    return max((each.horizon for each in features), default=0)
