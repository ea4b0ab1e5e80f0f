"""The steps of a study, each of which makes what it needs of the ones before: dataset, training, evaluation."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantx.errors import ConfigError
from quantx.research import artifacts
from quantx.research.dataset import Dataset, build_dataset, is_dataset_of, load_dataset, save_dataset
from quantx.research.evaluate import Evaluation, evaluate_study
from quantx.research.leaks import leak_checks, recompute_from
from quantx.research.models import ALLOWED
from quantx.research.report import REPORT, write_report, write_text
from quantx.research.study import Study
from quantx.research.tracking import record_run
from quantx.research.train import OnFold, train_study

if TYPE_CHECKING:
    from collections.abc import Callable

    from polars import DataFrame

    from quantx.reader.lake import Lake

EVALUATION = "evaluation.json"


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """A study in its folder, and where its runs are recorded."""

    study: Study
    folder: Path
    lake: Callable[[], Lake]  # opened where a step reads it
    packages: Collection[str] = ALLOWED  # whose code a model may be
    tracking_uri: str | None = None
    on_fold: OnFold = lambda done, of: None

    def make_dataset(self) -> tuple[Dataset, str | None]:
        """Build and save the dataset; return it, and the hash of the one before, None without one."""
        before = self._hash_before()
        dataset = build_dataset(self.lake(), self.study)
        save_dataset(dataset, self.folder)
        return dataset, before

    def dataset(self) -> Dataset:
        """Return the dataset in the folder; where it has none of this study, build it."""
        facts = read_facts(self.folder / "dataset.json")
        made_before = facts is not None and is_dataset_of(facts, self.study)
        return load_dataset(self.folder, self.study) if made_before else self.make_dataset()[0]

    def train(self) -> Mapping[str, Any]:
        """Train the model on the dataset, save and record it; return its facts."""
        dataset = self.dataset()
        training = train_study(self.study, dataset, self.packages, self.on_fold)
        facts = artifacts.save_training(self.folder, self.study, dataset, training)
        self._forget_report()
        record_run(self.study, self.folder, facts, None, self.tracking_uri)
        return facts

    def evaluate(self) -> tuple[Evaluation, Path]:
        """Judge the trained model, write the report, and record the measures; where there is no model, train it."""
        if read_facts(self.folder / artifacts.FACTS) is None:
            self.train()
        dataset = load_dataset(self.folder, self.study)
        predictions, folds = artifacts.load_predictions(self.folder, self.study, dataset)
        facts = artifacts.model_facts(self.folder, self.study)
        evaluation = evaluate_study(self.study, dataset, predictions, folds, self._checks(dataset, predictions))
        text = json.dumps(evaluation.as_facts(), indent=2, default=str) + "\n"
        report = write_report(self.folder, self.study, dataset, facts, evaluation)
        write_text(self.folder / EVALUATION, text)
        record_run(self.study, self.folder, facts, evaluation, self.tracking_uri)
        return evaluation, report

    def _checks(self, dataset: Dataset, predictions: DataFrame) -> list[Any]:
        try:
            recompute = recompute_from(self.lake(), self.study)
        except ConfigError:  # the folder of a study is enough to judge it
            recompute = None
        return leak_checks(self.study, dataset, recompute, self.packages, predictions)

    def _hash_before(self) -> str | None:
        facts = read_facts(self.folder / "dataset.json")
        return None if facts is None else str(facts.get("hash"))

    def _forget_report(self) -> None:
        """Remove the report of another model."""
        for name in (REPORT, EVALUATION):
            (self.folder / name).unlink(missing_ok=True)


def read_facts(path: Path) -> dict[str, Any] | None:
    """Return the facts in a file; None where there is none that can be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
