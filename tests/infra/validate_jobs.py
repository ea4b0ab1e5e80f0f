"""Validate files of Azure Machine Learning with its SDK, without a network; print the fault of each, or null, as JSON.

Runs in the environment of requirements/azureml.sh.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path


def _refuse(*_: object) -> None:
    raise OSError("no network")


socket.socket.connect = _refuse  # type: ignore[assignment, method-assign]

from azure.ai.ml import load_environment, load_job  # type: ignore[import-not-found]  # noqa: E402
from azure.ai.ml.entities._load_functions import load_schedule  # type: ignore[import-not-found]  # noqa: E402

LOADERS = {"schedule": load_schedule, "environment": load_environment}


def fault_of(path: Path) -> str | None:
    """Return what the SDK says against a file; None: nothing."""
    try:
        entity = LOADERS.get(path.stem, load_job)(path)
        validate = getattr(entity, "_validate", None)
        result = None if validate is None else validate()
    except Exception as error:  # noqa: BLE001 - the SDK raises many
        return f"{type(error).__name__}: {error}"
    return None if result is None or result.passed else json.dumps(result.error_messages)


print(json.dumps({path: fault_of(Path(path)) for path in sys.argv[1:]}))
