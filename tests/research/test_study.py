"""The YAML of a study: what is wrong in it is named with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from quantx.errors import ConfigError
from quantx.research.study import CombinatorialPurged, read_study
from quantx.research.study_features import study_features

GOOD = """\
name: momentum
universe: us_sp500
start: 2015-01-01
end: 2024-12-31
features: [technical]
label: {horizon: 20}
splits:
  method: walk_forward
  train: 500
  test: 60
model:
  kind: lightgbm
  parameters: {n_estimators: 50}
"""


def read(folder: Path, text: str) -> str:
    path = folder / "study.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_study(path)
    return str(caught.value).removeprefix(str(path))


def test_a_study_is_read_and_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(GOOD)
    study = read_study(tmp_path / "study.yaml")
    assert (study.label.entry_lag, study.quantiles, study.splits.embargo) == (1, 5, 0)
    with pytest.raises(ValidationError):
        study.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: momentum", "name: a/b", ", line 1: name: does not have the form ^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"),
        ("horizon: 20", "horizon: 20, entry_lag: 0", ", line 6: label.entry_lag: must be 1 or more"),
        ("horizon: 20", "horizon: soon", ", line 6: label.horizon: is no whole number"),
        ("  train: 500\n", "", ", line 7: the field splits.train is missing"),
        ("method: walk_forward", "method: kfold", "splits.method: 'kfold' must be 'walk_forward', 'comb"),
        ("  train: 500", "  training: 500", ", line 9: splits.training is no field of a study"),
        ("kind: lightgbm", "kind: estimator", ", line 11: the field model.name is missing"),
        ("universe: us_sp500\n", "", ": the study: a study needs either `universe` or `symbols`"),
        ("end: 2024-12-31", "end: 2014-12-31", ": the study: the start 2015-01-01 must lie before the end 2014-12-31"),
        ("features: [technical]", "features: []", ", line 5: features: has fewer than 1 entries"),
        ("features: [technical]", "features: [technical, technical]", ", line 5: features: technical is there twice"),
        ("name: momentum", "nam: momentum", ", line 1: nam is no field of a study; the fields are name, universe,"),
        ("name: momentum", "name: mlruns", ", line 1: name: mlruns is the folder of the record of runs; choose"),
        ("end: 2024-12-31", "end: 2024-02-30", ", line 4: end: is no date, as in 2024-02-29"),
        ("[technical]", "[technical.rsi_15]", ", line 5: features: unknown feature 'technical.rsi_15'"),
        ("n_estimators: 50", "n_estimators: [50]", ", line 13: model.parameters.n_estimators: must be a number"),
        ("label: {horizon: 20}", "label: {horizon: 20", " is not valid YAML at line 7"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    found = read(tmp_path, GOOD.replace(old, new))
    assert message in found or message in found.replace(", line 1:", ":")


def test_splits_with_more_folds_than_any_machine_trains_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"10 of 20 groups make 184,756 folds, each with a model"):
        CombinatorialPurged(method="combinatorial_purged", groups=20, test_groups=10)


def test_a_file_that_is_no_study_is_an_error(tmp_path: Path) -> None:
    assert "must hold the fields of a study" in read(tmp_path, "- a\n- b\n")
    with pytest.raises(ConfigError, match="No such file"):
        read_study(tmp_path / "absent.yaml")


def test_names_of_features_are_found_or_refused() -> None:
    assert study_features(["rsi_14"]).columns == ["rsi_14"]
    every = study_features(["technical"])
    assert "technical.rsi_14" in every.names
    assert {each.unit for each in every.by_column.values()} == {"ratio"}  # levels are of one security
    with pytest.raises(ConfigError, match=r"unknown feature .rsi_15. \(did you mean"):
        study_features(["rsi_15"])
