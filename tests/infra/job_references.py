"""Check the expressions `${{…}}` in job specifications of Azure Machine Learning, which its SDK leaves to the service.

An expression names an input or an output of its job, or of the pipeline around it, or an output of another step of that
pipeline. A fault is one that names nothing, an input that no command reads, or steps that wait for each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

Job = Mapping[str, Any]
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_OF_STEP = re.compile(r"parent\.jobs\.(\w+)\.outputs\.(\w+)")
_TEXTS = ("command", "environment_variables", "arguments")


def faults_of(path: Path) -> list[str]:
    """Return what is wrong with the expressions of a file: a command job, a pipeline, or a schedule of either."""
    document = yaml.safe_load(path.read_text("utf-8"))
    if "create_job" in document:
        return [f"{path.name}: {fault}" for fault in _of_schedule(path, document["create_job"])]
    found = _of_pipeline(document) if document.get("type") == "pipeline" else _of_command(document)
    return [f"{path.name}: {fault}" for fault in found]


def _of_schedule(path: Path, created: Job | str) -> Iterator[str]:
    job = created if isinstance(created, str) else created["job"]
    called = path.parent / str(job)
    if not called.is_file():
        yield f"create_job: there is no {job}"
        return
    declared = yaml.safe_load(called.read_text("utf-8")).get("inputs") or {}
    given = {} if isinstance(created, str) else created.get("inputs") or {}
    for name in given.keys() - declared.keys():
        yield f"create_job: {job} has no input {name}"
    yield from faults_of(called)


def _of_command(job: Job, where: str = "command") -> Iterator[str]:
    """Yield the faults of a command's own expressions."""
    declared = {f"{kind}.{name}" for kind in ("inputs", "outputs") for name in job.get(kind) or {}}
    used = {each for text in _TEXTS for each in _expressions(job.get(text))}
    for name in sorted(used - declared):
        yield f"{where}: ${{{{{name}}}}} is not declared"
    for name in sorted(declared - used):
        yield f"{where}: {name} is not used"


def _of_pipeline(pipeline: Job) -> Iterator[str]:
    """Yield the faults of a pipeline and of its steps."""
    steps: Mapping[str, Job] = pipeline.get("jobs") or {}
    declared = {f"parent.{kind}.{name}" for kind in ("inputs", "outputs") for name in pipeline.get(kind) or {}}
    used: set[str] = set()
    waits: dict[str, set[str]] = {}
    for step, job in steps.items():
        yield from _of_command(job, f"jobs.{step}")
        bound = {each for kind in ("inputs", "outputs") for each in _expressions(job.get(kind))}
        used |= bound
        waits[step] = set()
        for name in sorted(bound):
            of_step = _OF_STEP.fullmatch(name)
            if of_step is None:
                if name not in declared:
                    yield f"jobs.{step}: ${{{{{name}}}}} is not declared"
            elif of_step[2] not in (steps.get(of_step[1], {}).get("outputs") or {}):
                yield f"jobs.{step}: ${{{{{name}}}}} is no output of a step"
            else:
                waits[step].add(of_step[1])
    for name in sorted(declared - used):
        yield f"{name} is not used"
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        yield f"the steps {' → '.join(error.args[1])} wait for each other"


def _expressions(value: Any) -> Iterator[str]:
    """Yield the expressions in a text, or in the texts of a mapping or list."""
    if isinstance(value, str):
        yield from _EXPRESSION.findall(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _expressions(each)
    elif isinstance(value, list):
        for each in value:
            yield from _expressions(each)
