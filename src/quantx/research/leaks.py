"""Checks for look-ahead: what a study could know only from the future. A strong result is first of all suspicious."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from quantx.errors import IncompleteData
from quantx.research.feature_rows import computed_features, study_features
from quantx.research.labels import carried, price_matrix
from quantx.research.metrics import SeriesStatistics, information_coefficients, overlap_lag, statistics
from quantx.research.models import ALLOWED
from quantx.research.train import cross_predictions

if TYPE_CHECKING:
    from quantx.reader.lake import Lake
    from quantx.research.dataset import Dataset
    from quantx.research.study import Study

Status = Literal["passed", "suspicious", "leak", "not checked"]
Recompute = Callable[[date], pl.DataFrame]  # symbol, date and features, as if there were nothing after the day

TOO_GOOD = 0.15  # mean rank IC of one feature; published factors of shares have less than a tenth
FORESIGHT = 0.05  # mean rank IC above which a feature must not know the future better than the past
SURE = 4.0  # absolute t, with overlap
CUTS = 5  # dates at which features are computed again
_SAME = 1e-9  # relative difference


@dataclass(frozen=True)
class LeakCheck:
    """The result of a check."""

    name: str
    status: Status
    message: str
    columns: tuple[str, ...] = ()  # the features that it is about


def leak_checks(
    study: Study, dataset: Dataset, recompute: Recompute | None, packages: Collection[str] = ALLOWED
) -> list[LeakCheck]:
    """Return the results of all checks; `recompute` None: there is no lake to compute features from."""
    return [
        shuffled_label(study, dataset, packages),
        *foresight(study, dataset),
        future_cut_off(study, dataset, recompute),
    ]


def shuffled_label(study: Study, dataset: Dataset, packages: Collection[str] = ALLOWED) -> LeakCheck:
    """Train on labels that are shuffled among the securities of each date: the predictions must be worth nothing."""
    random = np.random.default_rng(study.seed)
    table = dataset.table
    order = table.select(
        "date", pl.col("label").is_null().alias("null"), pl.Series("random", random.random(table.height))
    ).with_row_index("row")
    # The k-th labelled row of a date takes the label of the row with the k-th smallest random number.
    taken = order.sort("date", "null", "random")["row"]
    given = order.sort("date", "null", "row")["row"]
    labels = pl.repeat(None, table.height, dtype=pl.Float64, eager=True).scatter(given, table["label"].gather(taken))
    shuffled = table.with_columns(labels.alias("label"))
    predictions, _ = cross_predictions(study, dataset, shuffled, packages)
    found = statistics(information_coefficients(predictions)["rank_ic"])
    text = f"mean rank IC {_number(found.mean)} (t {_number(found.t, 1)}) after the labels of each date were shuffled"
    if found.t is None:
        return LeakCheck("shuffled label", "passed", f"{text}: no prediction differs")
    if abs(found.t) > SURE:
        return LeakCheck("shuffled label", "leak", f"{text}; it should be near 0: training sees its test rows")
    return LeakCheck("shuffled label", "passed", f"{text}; it should be near 0")


def foresight(study: Study, dataset: Dataset) -> list[LeakCheck]:
    """Return features that are too good, and those that know the future better than the past."""
    past = _past_returns(study, dataset)
    lag = overlap_lag(study.label.horizon, study.every)
    good, seeing = [], []
    for name in dataset.features:
        ahead = _feature_ic(dataset.table, name, "label", lag)
        # Without a t there is no spread: the rank IC is the same on each date, as of the label itself.
        if ahead.mean is None or (ahead.t is not None and abs(ahead.t) < SURE):
            continue
        if abs(ahead.mean) >= TOO_GOOD:
            good.append((name, ahead.mean))
        behind = _feature_ic(past, name, "past", lag)
        if abs(ahead.mean) >= FORESIGHT and abs(ahead.mean) > abs(behind.mean or 0.0):
            seeing.append((name, ahead.mean))
    return [
        _named(
            LeakCheck("too good", "leak", f"a mean rank IC of {TOO_GOOD} or more by itself: check its inputs"),
            f"no feature has a mean rank IC of {TOO_GOOD} or more by itself",
            good,
        ),
        _named(
            LeakCheck(
                "foresight", "suspicious", "closer related to later returns than to earlier ones: check its inputs"
            ),
            f"no feature with a rank IC of {FORESIGHT} or more is closer related to later returns than to earlier ones",
            seeing,
        ),
    ]


def future_cut_off(study: Study, dataset: Dataset, recompute: Recompute | None) -> LeakCheck:
    """Compute features again on some dates, as if there were nothing later: each value must be the same."""
    name = "future cut off"
    if recompute is None:
        return LeakCheck(name, "not checked", "the lake was not read; run `quantx research evaluate` where it is")
    days = dataset.table["date"].unique().sort()
    chosen = np.random.default_rng(study.seed).choice(days.len(), min(CUTS, days.len()), replace=False)
    changed: set[str] = set()
    compared = 0
    for day in sorted(days.gather(chosen.tolist())):
        again = recompute(day).filter(pl.col("date") == day)
        known = dataset.features
        rows = dataset.table.filter(pl.col("date") == day).select("symbol", *known)
        # A member that was renamed later has its former symbol there, and is not compared.
        both = rows.join(again.select("symbol", *known), on="symbol", how="inner", suffix="__again")
        compared += both.height * len(known)
        changed |= {column for column in known if _differs(both[column], both[f"{column}__again"])}
    if changed:
        names = [column for column in dataset.features if column in changed]
        return LeakCheck(
            name, "leak", f"{', '.join(names)}: other values when the bars after the session are cut off", tuple(names)
        )
    return LeakCheck(name, "passed", f"{compared:,} values of {len(chosen)} dates are the same without later data")


def recompute_from(lake: Lake, study: Study) -> Recompute:
    """Return the function that computes the features of a study from the bars of a lake up to a day."""
    chosen = study_features(study.features)

    def recompute(day: date) -> pl.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteData)  # the dataset has them as remarks
            return computed_features(lake, study, chosen, day)

    return recompute


def _feature_ic(rows: pl.DataFrame, feature: str, label: str, lag: int) -> SeriesStatistics:
    return statistics(information_coefficients(rows, feature, label)["rank_ic"], lag)


def _past_returns(study: Study, dataset: Dataset) -> pl.DataFrame:
    """Return the table with `past`: the return over as many sessions before the date as the label has after it."""
    closes = carried(price_matrix(dataset.prices), ())
    horizon = min(study.label.horizon, closes.shape[0] - 1)
    before = np.full(closes.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        before[horizon:] = closes[horizon:] / closes[:-horizon] - 1
    symbols = dataset.prices.columns[1:]
    frame = dataset.prices.select("date").with_columns(
        pl.Series(symbol, before[:, column], nan_to_null=True) for column, symbol in enumerate(symbols)
    )
    long = frame.unpivot(index="date", variable_name="symbol", value_name="past")
    return dataset.table.join(long, on=["date", "symbol"], how="left", maintain_order="left")


def _named(check: LeakCheck, passed: str, found: Sequence[tuple[str, float]]) -> LeakCheck:
    """Return a check with the features that it found, or as passed where there are none."""
    if not found:
        return LeakCheck(check.name, "passed", passed)
    listed = ", ".join(f"{column} ({_number(value)})" for column, value in found)
    return LeakCheck(check.name, check.status, f"{listed}: {check.message}", tuple(column for column, _ in found))


def _differs(a: pl.Series, b: pl.Series) -> bool:
    """Return whether two columns differ beyond rounding, or one has a value where the other has none."""
    first, second = (each.cast(pl.Float64).fill_null(float("nan")).to_numpy() for each in (a, b))
    scale = np.fmax(np.fmax(np.abs(first), np.abs(second)), 1e-12)
    with np.errstate(invalid="ignore"):
        same = (np.isnan(first) & np.isnan(second)) | (np.abs(first - second) <= _SAME * scale + 1e-12)
    return not bool(same.all())


def _number(value: float | None, places: int = 3) -> str:
    return "–" if value is None else f"{value:.{places}f}"
