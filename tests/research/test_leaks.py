"""Look-ahead that is planted in a study is found, and an honest study passes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantx.core.features.feature import Feature, RowMemory
from quantx.core.features.sets import SETS
from quantx.core.table import INSTANT
from quantx.core.tables import BARS_1D, TABLES
from quantx.errors import ConfigError
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.curating.restate import read_stored, restate
from quantx.reader import Lake
from quantx.research.dataset import Dataset, build_dataset
from quantx.research.leaks import LeakCheck, foresight, future_cut_off, label_ends, leak_checks, recompute_from
from quantx.research.study import Study
from quantx.research.study_features import study_features
from quantx.research.train import train_study

from .conftest import KNOWN, RENAMED_AT, SESSIONS

StudyOf = Callable[..., Study]


def _feature(name: str, kernel: Callable[[], pl.Expr], kind: str = "series") -> Feature:
    return Feature(
        name,
        kernel,
        inputs=("close",),
        formula="planted",
        source="planted",
        memory=RowMemory(0),
        kind=kind,  # type: ignore[arg-type]
    )


@pytest.fixture
def planted() -> Iterator[None]:
    """The set `technical` with features that look forward, in ways that are seen in real code."""
    close, honest = pl.col("close"), SETS["technical"]
    looking = (
        _feature("next", lambda: close.shift(-3) / close - 1),
        _feature("whole_mean", lambda: close / close.mean()),  # over the whole series
        _feature("centred", lambda: close / close.rolling_mean(5, center=True)),
        _feature("honest", lambda: close / close.shift(5) - 1),
        _feature("future_return", lambda: close.shift(-5) / close - 1, kind="label"),
    )
    SETS["technical"] = replace(honest, features=(*honest.features, *looking))
    yield
    SETS["technical"] = honest


def by_name(checks: list[LeakCheck]) -> dict[str, LeakCheck]:
    return {each.name: each for each in checks}


def test_an_honest_study_passes(study_lake: Lake, study_of: StudyOf) -> None:
    study = study_of(features=["technical"])
    checks = leak_checks(study, build_dataset(study_lake, study), recompute_from(study_lake, study))
    assert {each.status for each in checks} == {"passed"}
    assert [each.name for each in checks] == [
        *("shuffled label", "too good", "foresight", "label ends", "future cut off")
    ]


def test_members_that_were_renamed_later_are_no_leak(study_lake: Lake, study_of: StudyOf) -> None:
    study = study_of(features=["cross_section.return_5_rank", "return_5"])
    whole = build_dataset(study_lake, study)
    before = replace(whole, table=whole.table.filter(pl.col("date") < SESSIONS[RENAMED_AT]))
    check = future_cut_off(study, before, recompute_from(study_lake, study))
    assert check.status == "passed"
    assert check.message.startswith("144 values of 5 dates")  # without OLD, which is NEW in the table


@pytest.mark.usefixtures("planted")
def test_kernels_that_look_forward_are_found_when_the_future_is_cut_off(study_lake: Lake, study_of: StudyOf) -> None:
    study = study_of(features=["next", "whole_mean", "centred", "honest"])
    check = future_cut_off(study, build_dataset(study_lake, study), recompute_from(study_lake, study))
    assert (check.status, check.columns) == ("leak", ("next", "whole_mean", "centred"))


@pytest.mark.usefixtures("planted")
def test_a_label_is_no_feature(study_of: StudyOf, study_lake: Lake) -> None:
    with pytest.raises(ConfigError, match=r"technical.future_return is a label: it looks into the future"):
        study_features(["technical.future_return"])
    with pytest.raises(ConfigError, match="a label can't be an input"):
        build_dataset(study_lake, study_of(features=["technical"]))


@pytest.mark.parametrize(("share", "found"), [(1.0, {"too good", "foresight"}), (0.25, {"too good", "foresight"})])
def test_a_column_with_the_future_in_it_is_found(
    study_lake: Lake, study_of: StudyOf, share: float, found: set[str]
) -> None:
    """The column is noise with a share of the label: a study with it would earn a fortune."""
    study = study_of()
    honest = build_dataset(study_lake, study)
    spread = honest.table["label"].std()
    noise = pl.Series(np.random.default_rng(1).normal(0, 1, honest.table.height))
    column = share * pl.col("label") / spread + (1 - share) * noise
    dataset = replace(honest, table=honest.table.with_columns(column.alias("rsi_14")))
    checks = by_name(foresight(study, dataset))
    assert {name for name, each in checks.items() if each.columns} == found
    assert checks["too good"].status == "leak"
    assert checks["too good"].columns == ("rsi_14",)


def test_what_can_not_be_compared_is_not_passed(study_lake: Lake, study_of: StudyOf) -> None:
    study = study_of(universe=None, symbols=["SA"])
    dataset = build_dataset(study_lake, study)
    planted = replace(dataset, table=dataset.table.with_columns(pl.col("label").alias("rsi_14")))
    checks = by_name(leak_checks(study, planted, recompute_from(study_lake, study)))
    assert {checks[name].status for name in ("shuffled label", "too good", "foresight")} == {"not checked"}
    assert checks["future cut off"].status == "leak"


def test_shuffled_labels_leave_nothing_to_learn(study_lake: Lake, study_of: StudyOf) -> None:
    """Even where the features have the label in them: the shuffled ones are others."""
    study = study_of()
    honest = build_dataset(study_lake, study)
    dataset = Dataset(honest.table.with_columns(pl.col("label").alias("rsi_14")), honest.prices, honest.facts)
    checks = by_name(leak_checks(study, dataset, None))
    assert checks["shuffled label"].status == "passed"
    assert checks["future cut off"].status == "not checked"


def test_features_that_have_the_future_only_together_are_found(study_lake: Lake, study_of: StudyOf) -> None:
    study = study_of()
    honest = build_dataset(study_lake, study)
    noise = pl.Series(np.random.default_rng(1).normal(0, 30, honest.table.height)) * honest.table["label"].std()
    table = honest.table.with_columns(noise.alias("return_1"), (pl.col("label") + noise).alias("rsi_14"))
    dataset = replace(honest, table=table)
    assert {each.status for each in foresight(study, dataset)} == {"passed"}
    checks = by_name(foresight(study, dataset, train_study(study, dataset).predictions))
    assert (checks["too good"].status, checks["too good"].columns) == ("leak", ("the prediction",))


@pytest.mark.parametrize("name", ["forward_return", "forward_excess"])
def test_labels_that_end_later_than_the_purge_goes_by_are_found(study_lake: Lake, study_of: StudyOf, name: str) -> None:
    study = study_of(label={"name": name, "horizon": 5})
    honest = build_dataset(study_lake, study)
    assert label_ends(study, honest).status == "passed"
    sooner = honest.table.with_columns(pl.col("label_end") - pl.duration(days=1))
    assert label_ends(study, replace(honest, table=sooner)).status == "leak"


def test_a_correction_after_the_dataset_is_no_leak(study_lake_folder: Path, study_of: StudyOf, tmp_path: Path) -> None:
    folder = shutil.copytree(study_lake_folder, tmp_path / "lake")
    location, study = open_location(str(folder)), study_of()
    dataset = build_dataset(Lake(location), study)
    tables, now = open_tables(location, TABLES), KNOWN + timedelta(days=30)
    stored = read_stored(tables["bars_1d"], pl.col("symbol") == "SB")
    corrected = stored.rows.with_columns(pl.col("close").reverse(), known_from=pl.lit(now).cast(INSTANT))
    restate(tables, BARS_1D, stored, corrected, now, None)
    check = future_cut_off(study, dataset, recompute_from(Lake(location), study))
    assert (check.status, check.columns) == ("not checked", ("return_1", "rsi_14"))
    assert "by corrections since it was built; run `quantx research dataset` again" in check.message
    # In a lake without changes since, a column with other values is a leak.
    planted = dataset.table.with_columns(pl.col("label").mean().over("symbol").alias("rsi_14"))
    honest_lake = Lake(open_location(str(study_lake_folder)))
    check = future_cut_off(study, replace(dataset, table=planted), recompute_from(honest_lake, study))
    assert (check.status, check.columns) == ("leak", ("rsi_14",))
