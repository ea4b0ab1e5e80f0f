"""The jobs of Azure Machine Learning: their expressions, their commands, and what the service's SDK says about them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from .job_references import faults_of

ROOT = Path(__file__).parents[2]
ML = ROOT / "infra" / "ml"
JOBS = ("train.yml", "daily.yml", "schedule.yml")
SDK = ROOT / ".venv" / "azureml" / "bin" / "python"


@pytest.mark.parametrize("name", JOBS)
def test_every_expression_names_something(name: str) -> None:
    assert faults_of(ML / name) == []


@pytest.mark.parametrize(
    ("name", "right", "wrong", "found"),
    [
        ("train.yml", "train ${{inputs.study}}", "train ${{inputs.studdy}}", "${{inputs.studdy}} is not declared"),
        ("train.yml", "--folder ${{outputs.study_folder}}", "--folder x", "outputs.study_folder is not used"),
        ("train.yml", "  lake: lake\n", "", "${{inputs.lake}} is not declared"),
        ("daily.yml", "${{parent.inputs.trained}}", "${{parent.inputs.model}}", "${{parent.inputs.model}} is not"),
        ("daily.yml", "jobs.features.outputs.done", "jobs.features.outputs.end", "is no output of a step"),
        ("daily.yml", "parent.jobs.features.", "parent.jobs.feature.", "is no output of a step"),
        ("daily.yml", "set ${{inputs.feature_set}}", "set technical", "jobs.features: inputs.feature_set is not used"),
        ("daily.yml", "  feature_set: technical\n", "", "${{parent.inputs.feature_set}} is not declared"),
        ("daily.yml", "  lake: lake\n", "  lake: lake\n  phase: phase_1\n", "parent.inputs.phase is not used"),
        (
            "daily.yml",
            "feature_set: ${{parent.inputs.feature_set}}",
            "feature_set: ${{parent.jobs.features.outputs.done}}",
            "the steps features → features wait for each other",
        ),
        ("schedule.yml", "./daily.yml", "./weekly.yml", "there is no ./weekly.yml"),
        ("schedule.yml", "./daily.yml", "./daily.yml\n  inputs:\n    stduy: x", "daily.yml has no input stduy"),
    ],
)
def test_a_seeded_fault_is_found(tmp_path: Path, name: str, right: str, wrong: str, found: str) -> None:
    shutil.copytree(ML, tmp_path, dirs_exist_ok=True)
    before = (tmp_path / name).read_text("utf-8")
    assert right in before
    (tmp_path / name).write_text(before.replace(right, wrong), "utf-8")
    assert [fault for fault in faults_of(tmp_path / name) if found in fault]


def test_jobs_run_where_the_template_has_machines_as_identities_without_a_key() -> None:
    clusters = set(re.findall(r"computes@[\d-]+' = \{\n  parent: workspace\n  name: '(\w+)'", _template()))
    train, daily = (yaml.safe_load((ML / name).read_text("utf-8")) for name in JOBS[:2])
    named = {train["compute"], daily["settings"]["default_compute"]}
    assert named == {f"azureml:{name}" for name in clusters}
    environment = yaml.safe_load((ML / "environment.yml").read_text("utf-8"))
    for job in (train, *daily["jobs"].values()):
        assert job["environment"] == f"azureml:{environment['name']}@latest"
        assert job["identity"] == {"type": "managed"}
        assert job["environment_variables"]["USE_MANAGED_IDENTITY"] == "true"
        assert job["limits"]["timeout"] > 0  # a job that hangs is not paid for ever


def test_the_deploy_script_sets_inputs_that_the_jobs_have() -> None:
    script = (ROOT / "deploy/ml.sh").read_text("utf-8")
    for pattern, name in (
        (r"create_job\.inputs\.(\w+)", "daily.yml"),
        (r"(?<!create_job\.)inputs\.(\w+)", "train.yml"),
    ):
        given = set(re.findall(pattern, script))
        assert given
        assert given <= yaml.safe_load((ML / name).read_text("utf-8"))["inputs"].keys()


def _template() -> str:
    return (ROOT / "infra/modules/ml.bicep").read_text("utf-8")


def test_a_model_is_computed_by_the_same_libraries_as_here() -> None:
    theirs, ours = (
        dict(re.findall(r"^([\w-]+)==(\S+)", path.read_text("utf-8"), re.MULTILINE))
        for path in (ML / "environment/requirements.txt", ROOT / "requirements/run.txt")
    )
    for name in ("polars", "polars-talib", "pyarrow", "deltalake", "scikit-learn", "lightgbm"):
        assert theirs[name] == ours[name]


# ------------------------------------------------------------------------------------------------ the service's SDK


def _validated(*paths: Path) -> dict[str, str | None]:
    """Return what the SDK says against each file, None where it has nothing to say; without a network."""
    if not (SDK.parents[1] / ".done").exists():
        pytest.skip("no SDK of Azure Machine Learning; `sh requirements/azureml.sh` installs it")
    done = subprocess.run(
        [SDK, Path(__file__).with_name("validate_jobs.py"), *paths], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, str | None] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.mark.slow
def test_the_sdk_accepts_the_jobs_and_finds_faults(tmp_path: Path) -> None:
    seeded = {
        "train.yml": ("timeout: 14400", "timeout: soon", "timeout"),
        "daily.yml": ("type: managed", "type: mananged", "identity"),
        "schedule.yml": ("type: cron", "type: crom", "trigger"),
        "environment.yml": ("image: REG", "imagge: REG", "imagge"),
    }
    wrong = []
    for name, (before, after, _) in seeded.items():
        text = (ML / name).read_text("utf-8")
        assert before in text
        wrong.append(tmp_path / name)
        wrong[-1].write_text(text.replace(before, after), "utf-8")
    answers = _validated(*(ML / name for name in (*JOBS, "environment.yml")), *wrong)
    for name, (_, _, found) in seeded.items():
        assert answers[str(ML / name)] is None
        assert found in str(answers[str(tmp_path / name)])
