"""Checks for look-ahead: what a study could know only from the future. A strong result is first of all suspicious."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from quantx.errors import IncompleteData
from quantx.reader.provenance import provenance
from quantx.research.dataset import ended_of
from quantx.research.feature_rows import computed_features
from quantx.research.labels import carried, forward_returns, price_matrix
from quantx.research.metrics import SeriesStatistics, information_coefficients, overlap_lag, statistics
from quantx.research.models import ALLOWED
from quantx.research.study_features import study_features
from quantx.research.train import cross_predictions

if TYPE_CHECKING:
    from quantx.reader.lake import Lake
    from quantx.research.dataset import Dataset
    from quantx.research.study import Study

Status = Literal["passed", "suspicious", "leak", "not checked"]
Recompute = Callable[[date, bool], pl.DataFrame]  # symbol, date and features of a day; True: with nothing after it

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
    study: Study,
    dataset: Dataset,
    recompute: Recompute | None,
    packages: Collection[str] = ALLOWED,
    predictions: pl.DataFrame | None = None,
) -> list[LeakCheck]:
    """Return the results of all checks; `recompute` None: there is no lake to compute features from.

    `predictions` are those of the model out of sample (date, symbol, prediction, label).
    """
    return [
        shuffled_label(study, dataset, packages),
        *foresight(study, dataset, predictions),
        label_ends(study, dataset),
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


def foresight(study: Study, dataset: Dataset, predictions: pl.DataFrame | None = None) -> list[LeakCheck]:
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
    if predictions is not None:  # features may have the future only together
        rows = predictions.group_by("date", "symbol").agg(pl.col("prediction").mean(), pl.col("label").first())
        found = _feature_ic(rows, "prediction", "label", lag)
        if abs(found.mean or 0.0) >= TOO_GOOD and (found.t is None or abs(found.t) >= SURE):
            good.append(("the prediction", found.mean or 0.0))
    return [
        _named(
            LeakCheck("too good", "leak", f"a mean rank IC of {TOO_GOOD} or more: check the inputs"),
            f"no feature by itself, and no prediction, has a mean rank IC of {TOO_GOOD} or more",
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
    known, days = dataset.features, _some_days(study, dataset.table)
    changed: set[str] = set()
    corrected: set[str] = set()
    compared = 0
    for day in days:
        again = recompute(day, True)
        rows = dataset.table.filter(pl.col("date") == day)
        count, other = _compared(rows, again, known)
        compared += count
        if other and _is_newer(dataset, again):  # a vendor may have corrected bars since
            leaking = set(_compared(recompute(day, False), again, known)[1])
            corrected |= set(other) - leaking
            other = sorted(leaking)
        changed |= set(other)
    if changed:
        names = [column for column in known if column in changed]
        return LeakCheck(
            name, "leak", f"{', '.join(names)}: other values when the bars after the session are cut off", tuple(names)
        )
    if corrected:
        names = [column for column in known if column in corrected]
        return LeakCheck(
            name,
            "not checked",
            f"the lake has other values of {', '.join(names)} than the dataset, by corrections since it was built; run"
            " `quantx research dataset` again",
            tuple(names),
        )
    return LeakCheck(name, "passed", f"{compared:,} values of {len(days)} dates are the same without later data")


def label_ends(study: Study, dataset: Dataset) -> LeakCheck:
    """Make labels again on some dates from the prices up to `label_end`: the purge of training rows goes by it."""
    closes, ended = price_matrix(dataset.prices), ended_of(dataset)
    place = {day: at for at, day in enumerate(dataset.prices["date"].to_list())}
    columns = {symbol: at for at, symbol in enumerate(dataset.prices.columns[1:])}
    labelled = dataset.table.drop_nulls("label")
    days = _some_days(study, labelled)
    for day in days:
        rows = labelled.filter(pl.col("date") == day)
        end: Any = rows["label_end"].min()
        returns = forward_returns(closes[: place.get(end, -1) + 1], study.label.horizon, study.label.entry_lag, ended)
        known = returns[place[day]] if place[day] < len(returns) else np.full(len(columns), np.nan)
        again = pl.Series(known[[columns[symbol] for symbol in rows["symbol"]]])
        if study.label.name == "forward_excess":
            again = again - again.mean()
        if _differs(rows["label"], again):
            fact = f"labels of {day} have other values than the prices up to {end} give: the purge is too short"
            return LeakCheck("label ends", "leak", fact)
    return LeakCheck("label ends", "passed", f"the labels of {len(days)} dates need no price after their end")


def _some_days(study: Study, table: pl.DataFrame) -> list[date]:
    """Return a few dates of a table in order, the same for the same study."""
    days = table["date"].unique().sort()
    chosen = np.random.default_rng(study.seed).choice(days.len(), min(CUTS, days.len()), replace=False)
    return sorted(days.gather(chosen.tolist()))


def _compared(rows: pl.DataFrame, again: pl.DataFrame, features: list[str]) -> tuple[int, list[str]]:
    """Return the number of values that two frames of a day have in common, and the features that differ.

    A member that was renamed later has its former symbol in the past, and is not compared.
    """
    both = rows.select("symbol", *features).join(
        again.select("symbol", *features), on="symbol", how="inner", suffix="__again"
    )
    other = [column for column in features if _differs(both[column], both[f"{column}__again"])]
    return both.height * len(features), other


def _is_newer(dataset: Dataset, again: pl.DataFrame) -> bool:
    """Return whether tables of the lake have changed since the dataset was built."""
    before: Mapping[str, int] = dataset.facts["tables"]
    return any(before.get(name, version) != version for name, version in provenance(again).tables.items())


def recompute_from(lake: Lake, study: Study) -> Recompute:
    """Return the function that computes the features of a study from the bars of a lake up to a day."""
    chosen = study_features(study.features)

    def recompute(day: date, cut: bool) -> pl.DataFrame:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteData)  # the dataset has them as remarks
            return computed_features(lake, study, chosen, day, cut=cut)

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
