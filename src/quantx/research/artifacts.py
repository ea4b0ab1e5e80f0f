"""The trained model of a study in its folder: with the hash of the dataset, of the code, and of each file.

A model is a pickle, and reading a pickle runs code. Only the file that `quantx research train` wrote into the study's
folder is read: its hash must be the recorded one. A user who can write to the folder can run code here.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx import __version__
from quantx.errors import ConfigError
from quantx.research.models import FittedModel
from quantx.research.study import OF_DATASET
from quantx.research.train import FoldSummary, Training

if TYPE_CHECKING:
    from quantx.research.dataset import Dataset
    from quantx.research.study import Study

MODEL, PREDICTIONS, FACTS = "model.pickle", "predictions.parquet", "model.json"
_OF_MODEL = (*OF_DATASET, "splits", "preprocessing", "model", "seed")
_ABOUT = ("model", "study", "study_hash", "dataset", "program", "versions")
_FACTS = frozenset((*_ABOUT, "features", "definitions", "last_date", "trained_through", "folds", "sha256"))
_LIBRARIES = ("polars", "numpy", "scikit-learn", "lightgbm")
_DAYS = ("train_first", "train_last", "test_first", "test_last")


@dataclass(frozen=True)
class TrainedModel:
    """A model of a study, and what it was made of."""

    study: str
    model_id: str
    features: tuple[str, ...]
    definitions: str  # hash of the definitions of the features
    last_date: date  # the last date of its training rows
    trained_through: date  # the last session whose close is in a label
    fitted: FittedModel


def model_id_of(study: Study, dataset: Dataset) -> str:
    """Return the id of the model that a study makes of a dataset with this code: the same again is the same id."""
    made_of = [dataset.hash, study.part_hash(*_OF_MODEL), __version__, versions()]
    return f"{study.name}-{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]}"


def versions() -> dict[str, str]:
    """Return the versions of Python and the libraries that make a model."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def save_training(folder: Path, study: Study, dataset: Dataset, training: Training) -> dict[str, Any]:
    """Write the model, the out-of-sample predictions and their facts; return the facts."""
    model, table = pickle.dumps(training.final, protocol=5), io.BytesIO()
    training.predictions.write_parquet(table, compression="zstd", compression_level=3)
    labelled = dataset.table.filter(pl.col("label").is_not_null())
    facts = {
        "model": model_id_of(study, dataset),
        "study": study.name,
        "study_hash": study.part_hash(*_OF_MODEL),
        "dataset": dataset.hash,
        "program": __version__,
        "versions": versions(),
        "features": dataset.features,
        "definitions": dataset.facts["features"],
        "last_date": str(labelled["date"].max()),
        "trained_through": str(training.trained_through),
        "folds": [asdict(each) | {day: str(getattr(each, day)) for day in _DAYS} for each in training.folds],
        "sha256": {
            name: hashlib.sha256(body).hexdigest() for name, body in ((MODEL, model), (PREDICTIONS, table.getvalue()))
        },
    }
    try:
        (folder / MODEL).write_bytes(model)
        (folder / PREDICTIONS).write_bytes(table.getvalue())
        (folder / FACTS).write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {folder}: {error.strerror}; choose another folder with --folder") from error
    return facts


def model_facts(folder: Path, study: Study) -> Mapping[str, Any]:
    """Return the facts of the trained model of a study; ConfigError where there is none."""
    try:
        facts: Any = json.loads((folder / FACTS).read_text("utf-8"))
    except (OSError, ValueError):
        raise ConfigError(f"{folder} has no model of the study {study.name}; run `quantx research train`") from None
    if not isinstance(facts, dict) or facts.keys() != _FACTS:
        raise ConfigError(f"{folder / FACTS} is not what this program wrote; run `quantx research train` again")
    if facts["study_hash"] != study.part_hash(*_OF_MODEL):
        raise ConfigError(
            f"the model in {folder} was trained for another version of the study; run `quantx research train` again"
        )
    return facts


def load_predictions(folder: Path, study: Study, dataset: Dataset) -> tuple[pl.DataFrame, list[FoldSummary]]:
    """Return the out-of-sample predictions of a dataset, and the folds; ConfigError where they are of another one."""
    facts = model_facts(folder, study)
    if facts["dataset"] != dataset.hash:
        raise ConfigError(f"the model in {folder} was trained on another dataset; run `quantx research train` again")
    table = pl.read_parquet(io.BytesIO(_checked(folder, PREDICTIONS, facts)))
    folds = [
        FoldSummary(**{**each, **{day: date.fromisoformat(each[day]) for day in _DAYS}}) for each in facts["folds"]
    ]
    return table, folds


def load_model(folder: Path, study: Study) -> TrainedModel:
    """Read the trained model of a study; ConfigError where the file is not the one that training wrote."""
    facts = model_facts(folder, study)
    body = _checked(folder, MODEL, facts)
    try:
        fitted = pickle.loads(body)  # noqa: S301 – written by this program, see above
    except (pickle.UnpicklingError, ImportError, AttributeError, EOFError) as error:
        raise ConfigError(
            f"the model in {folder} needs other versions of its libraries; run `quantx research train` again"
        ) from error
    if not isinstance(fitted, FittedModel):
        raise ConfigError(f"{folder / MODEL} is no model of this program; run `quantx research train` again")
    return TrainedModel(
        study=study.name,
        model_id=facts["model"],
        features=tuple(facts["features"]),
        definitions=facts["definitions"],
        last_date=date.fromisoformat(facts["last_date"]),
        trained_through=date.fromisoformat(facts["trained_through"]),
        fitted=fitted,
    )


def _checked(folder: Path, name: str, facts: Mapping[str, Any]) -> bytes:
    """Return a file of the folder; ConfigError where it is missing, or its hash is not the recorded one."""
    try:
        body = (folder / name).read_bytes()
    except OSError:
        raise ConfigError(f"{folder} has no {name}; run `quantx research train` again") from None
    if hashlib.sha256(body).hexdigest() != facts["sha256"][name]:
        raise ConfigError(f"{folder / name} was changed after training; run `quantx research train` again")
    return body
