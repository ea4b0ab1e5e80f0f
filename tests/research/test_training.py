"""Training: deterministic, allowed models alone, files that nobody changed."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from quantx.errors import ConfigError
from quantx.reader import Lake
from quantx.research.artifacts import load_model, load_predictions, save_training
from quantx.research.dataset import Dataset, build_dataset, save_dataset
from quantx.research.models import fit_model, regressor_of
from quantx.research.predict import predicted_rows
from quantx.research.study import Study
from quantx.research.train import matrix_of, train_study

StudyOf = Callable[..., Study]

_PROCESS = """
import json, sys
from pathlib import Path
from quantx.research.dataset import load_dataset
from quantx.research.artifacts import save_training
from quantx.research.study import Study
from quantx.research.train import train_study
study = Study.model_validate(json.loads(sys.argv[2]))
folder = Path(sys.argv[1])
dataset = load_dataset(folder, study)
facts = save_training(folder, study, dataset, train_study(study, dataset))
print(json.dumps([facts["model"], facts["sha256"]]))
"""


@pytest.fixture
def dataset(study_lake: Lake, study_of: StudyOf) -> Dataset:
    return build_dataset(study_lake, study_of())


@pytest.mark.slow
def test_two_processes_train_the_same_model(dataset: Dataset, study_of: StudyOf, tmp_path: Path) -> None:
    study = study_of(
        model={"kind": "lightgbm", "parameters": {"n_estimators": 20, "subsample": 0.7, "subsample_freq": 1}}
    )
    save_dataset(dataset, tmp_path)
    found = []
    for threads in ("1", "2"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        command = [sys.executable, "-c", _PROCESS, str(tmp_path), json.dumps(study.model_dump(mode="json"))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]


def test_predictions_are_of_rows_that_training_did_not_see(dataset: Dataset, study_of: StudyOf) -> None:
    """A model that remembers its rows finds none of them again."""
    nearest = {"kind": "estimator", "name": "sklearn.neighbors.KNeighborsRegressor", "parameters": {"n_neighbors": 1}}
    training = train_study(study_of(model=nearest), dataset)
    same = (pl.col("prediction") - pl.col("label")).abs() < 1e-12
    known = training.predictions.drop_nulls("label").filter(pl.col("symbol") != "FLAT")
    assert known.filter(same).height < known.height * 0.01
    for fold in training.folds:
        tested = training.predictions.filter(pl.col("fold") == fold.fold)["date"]
        assert fold.train_last < tested.min()  # type: ignore[operator]


def test_combinatorial_splits_predict_each_row_once_per_path(dataset: Dataset, study_of: StudyOf) -> None:
    splits = {"method": "combinatorial_purged", "groups": 4, "test_groups": 2}
    predictions = train_study(study_of(splits=splits), dataset).predictions
    assert predictions["path"].unique().sort().to_list() == [0, 1, 2]
    assert predictions.select("path", "date", "symbol").is_duplicated().sum() == 0
    counts = predictions.group_by("path").len()["len"].unique().to_list()
    labelled = dataset.table.drop_nulls("label")["date"].n_unique()
    assert len(counts) == 1
    assert predictions["date"].n_unique() == labelled


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"kind": "estimator", "name": "os.path.join"}, "the package os is not allowed to run"),
        ({"kind": "estimator", "name": "sklearn.linear_model.Nothing"}, "there is no sklearn.linear_model.Nothing"),
        ({"kind": "estimator", "name": "sklearn.no_module.Ridge"}, "there is no sklearn.no_module.Ridge"),
        ({"kind": "estimator", "name": "sklearn.preprocessing.StandardScaler"}, "no estimator of scikit-learn with"),
        ({"kind": "estimator", "name": "sklearn.base.clone"}, "no estimator of scikit-learn with"),
        ({"kind": "estimator", "name": "sklearn.cluster.KMeans"}, "KMeans is no regressor; a label is a number"),
        (
            {"kind": "estimator", "name": "sklearn.linear_model.LogisticRegression"},
            "LogisticRegression is no regressor",
        ),
        ({"kind": "estimator", "name": "sklearn.pipeline.Pipeline"}, "Pipeline needs steps, and a study has no models"),
        ({"kind": "estimator", "name": "sklearn.linear_model._base.LinearModel"}, "is the base of other models"),
        ({"kind": "ridge", "parameters": {"random_state": None}}, "random_state can't be null"),
        (
            {"kind": "lightgbm", "parameters": {"n_estimator": 1}},
            "no parameter n_estimator; did you mean n_estimators?",
        ),
        ({"kind": "ridge", "parameters": {"alfa": 1}}, "Ridge has no parameter alfa; it has alpha"),
        ({"kind": "ridge", "parameters": {"alpha": "much"}}, "refuses these rows or its parameters"),
        ({"kind": "lightgbm", "parameters": {"deterministic": False}}, "deterministic is set by this program"),
        ({"kind": "lightgbm", "parameters": {"num_leaves": 0}}, "refuses these rows or its parameters"),
    ],
)
def test_models_that_cannot_be_are_refused(
    dataset: Dataset, study_of: StudyOf, model: dict[str, object], message: str
) -> None:
    rows = dataset.table.drop_nulls("label").head(50)
    with pytest.raises(ConfigError, match=message):
        fit_model(study_of(model=model), matrix_of(rows, dataset.features), rows["label"].to_numpy())


def test_a_model_without_nulls_names_the_setting(dataset: Dataset, study_of: StudyOf) -> None:
    study = study_of(preprocessing={"fill": "none"})
    with pytest.raises(ConfigError, match=r"set preprocessing.fill to median or zero"):
        train_study(study, dataset)
    trees = study_of(preprocessing={"fill": "none"}, model={"kind": "lightgbm", "parameters": {"n_estimators": 2}})
    assert train_study(trees, dataset).predictions["prediction"].is_not_nan().all()


def test_the_seed_is_that_of_the_study(study_of: StudyOf) -> None:
    forest = {"kind": "estimator", "name": "sklearn.ensemble.ExtraTreesRegressor"}
    assert regressor_of(study_of(model=forest, seed=3)).random_state == 3


def test_files_that_training_did_not_write_are_refused(dataset: Dataset, study_of: StudyOf, tmp_path: Path) -> None:
    study = study_of()
    training = train_study(study, dataset)
    facts = save_training(tmp_path, study, dataset, training)
    model = load_model(tmp_path, study)
    rows = matrix_of(dataset.table, dataset.features)
    assert model.model_id == facts["model"]
    assert np.array_equal(model.fitted.predict(rows), training.final.predict(rows))
    assert load_predictions(tmp_path, study, dataset)[0].equals(training.predictions)
    with pytest.raises(ConfigError, match="another version of the study"):
        load_model(tmp_path, study_of(seed=8))
    with pytest.raises(ConfigError, match="another version of the study"):
        load_model(tmp_path, study_of(universe="v"))
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(print))
    with pytest.raises(ConfigError, match=r"model.pickle was changed after training"):
        load_model(tmp_path, study)
    with pytest.raises(ConfigError, match="run `quantx research train`"):
        load_model(tmp_path / "none", study)
    for text in ("[]", json.dumps({name: facts[name] for name in ("model", "study_hash")})):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(ConfigError, match=r"model.json is not what this program wrote; run"):
            load_model(tmp_path, study)


def test_a_model_is_not_used_with_other_definitions_of_its_features(
    dataset: Dataset, study_of: StudyOf, study_lake: Lake, tmp_path: Path
) -> None:
    study = study_of()
    save_training(tmp_path, study, dataset, train_study(study, dataset))
    model = replace(load_model(tmp_path, study), definitions="0")
    with pytest.raises(ConfigError, match="or earlier definitions of them; run `quantx research train` again"):
        predicted_rows(study_lake, study, model, study.start, study.end)
