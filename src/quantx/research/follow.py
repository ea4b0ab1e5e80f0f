"""Predictions that follow the data by themselves: after each run, for the studies that the setting `studies` names."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import structlog

from quantx.core.model import Finding
from quantx.core.quality.operational_rules import PREDICTIONS_FAILED
from quantx.errors import IncompleteData, QuantxError
from quantx.pipeline.runtime.platform import Platform
from quantx.research.artifacts import load_model
from quantx.research.predict import predict_study
from quantx.research.study import read_study

log = structlog.get_logger()

_NEXT = "`quantx research predict {}` shows the reason again, and the next run repeats it"


def follow_studies(platform: Platform, *, stopping: Callable[[], bool] = lambda: False) -> list[str]:
    """Predict the new sessions of the enabled studies; return the paths of those that failed.

    A failure is a finding about the study. No study starts once `stopping` returns true.
    """
    failed: dict[str, str] = {}
    done: list[str] = []
    for path in platform.settings.studies:
        if stopping():
            break
        done.append(str(path))
        try:
            study = read_study(path)
            model = load_model(platform.settings.studies_dir / study.name, study)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", IncompleteData)  # members without a bar have no prediction
                found = predict_study(platform, study, model)
            log.info("study.predicted", study=study.name, model=found.model, rows=found.rows, last=str(found.last))
        except QuantxError as error:
            log.error("study.failed", study=str(path), error=str(error))
            failed[str(path)] = f"no predictions of {path}: {error}; {_NEXT.format(path)}"
    findings = [Finding(PREDICTIONS_FAILED, "error", name, message) for name, message in failed.items()]
    if done:
        platform.state.findings.restate(
            [PREDICTIONS_FAILED], None, None, findings, "the prediction has succeeded since", subjects=done
        )
    return sorted(failed)
