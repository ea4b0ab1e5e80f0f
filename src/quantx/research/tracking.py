"""Record training and evaluation with MLflow: in a folder here, or where MLFLOW_TRACKING_URI points.

In a job of Azure Machine Learning that address is set, and its plug-in sends the record to the workspace.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantx.errors import ConfigError
from quantx.extras import extra

if TYPE_CHECKING:
    from quantx.research.evaluate import Evaluation
    from quantx.research.study import Study

RUNS = "mlruns"  # beside the folders of the studies


def record_run(
    study: Study, folder: Path, facts: Mapping[str, Any], evaluation: Evaluation | None, uri: str | None
) -> str | None:
    """Record a model, and its measures if there are any; return the id of the run. None: the study is not tracked.

    `uri` is the address of the tracking server; None: files in a folder beside that of the study.
    """
    if not study.tracking:
        return None
    # The library reads these only from the environment: it sends usage statistics, and refuses to keep files.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    with extra("ml", "tracking with MLflow"):
        import mlflow
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    try:
        mlflow.set_tracking_uri(uri or (folder.parent / RUNS).absolute().as_uri())
        of_job: Any = mlflow.environment_variables.MLFLOW_RUN_ID
        if of_job.get() is None:  # a job has its run already
            mlflow.set_experiment(study.name)
        with mlflow.start_run(run_name=facts["model"]) as run:
            mlflow.log_params(_params(study, facts))
            mlflow.log_dict(dict(facts), "model.json")
            if evaluation is not None:
                mlflow.log_metrics(_measures(evaluation))
                mlflow.log_dict(evaluation.as_facts(), "evaluation.json")
                mlflow.log_artifact(str(folder / "report.html"))
            return str(run.info.run_id)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise ConfigError(
            f"the run was not recorded at {uri or folder.parent / RUNS}; check MLFLOW_TRACKING_URI, or set"
            " `tracking: false` in the study"
        ) from error


def _params(study: Study, facts: Mapping[str, Any]) -> dict[str, Any]:
    model = study.model.model_dump(mode="json")
    parameters = {f"model.{name}": value for name, value in model.pop("parameters").items()}
    return {
        **{f"model.{name}": value for name, value in model.items()},
        **parameters,
        **{f"label.{name}": value for name, value in study.label.model_dump().items()},
        **{f"splits.{name}": value for name, value in study.splits.model_dump().items()},
        "universe": study.universe or f"{len(study.symbols)} symbols",
        "start": str(study.start),
        "end": str(study.end),
        "seed": study.seed,
        "dataset": facts["dataset"],
    }


def _measures(evaluation: Evaluation) -> dict[str, float]:
    overall = evaluation.overall
    named = {
        "ic": overall.ic.mean,
        "rank_ic": overall.rank_ic.mean,
        "rank_ic_t": overall.rank_ic.t,
        "net_return": overall.portfolio.net,
        "sharpe": overall.portfolio.sharpe,
        "drawdown": overall.portfolio.drawdown,
        "turnover": overall.portfolio.turnover,
        "leaks": float(len(evaluation.leaks)),
    }
    return {name: value for name, value in named.items() if value is not None}
