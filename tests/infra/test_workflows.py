"""The workflows: no stored secret, nothing that can change under its name, no more rights than are used."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text("utf-8"))  # type: ignore[no-any-return]


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", ROOT / ".github"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_by_commit_and_say_their_version(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text("utf-8"))
    assert [u for u in used if not re.fullmatch(r"[\w-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)] == []


def test_one_action_has_one_commit_everywhere() -> None:
    used = {u for path in WORKFLOWS for u in re.findall(r"uses: (.+)", path.read_text("utf-8"))}
    assert len({u.split("@")[0] for u in used}) == len(used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_rights_are_given_per_job_and_only_to_read_sign_or_release(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]
    assert workflow["defaults"]["run"]["shell"] == "bash"  # which ends where a pipe's first command fails
    for name, job in workflow["jobs"].items():
        writes = {right for right, level in job["permissions"].items() if level == "write"}
        allowed = {
            "what-if": {"id-token"},
            "deploy": {"id-token"},
            "ready": {"id-token"},
            "provenance": {"id-token", "attestations"},
            "release": {"contents"},  # of a tag that a maintainer pushed
        }
        assert writes == allowed.get(name, set()), name
        assert job["timeout-minutes"] <= 90
        # Who signs in to Azure does so as an environment, whose rules in GitHub say who must agree.
        if any(str(step.get("uses", "")).startswith("azure/login@") for step in job["steps"]):
            assert job["environment"] in ("${{ inputs.environment }}", "${{ vars.NIGHTLY_ENVIRONMENT }}")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_no_secret_is_asked_for(path: Path) -> None:
    assert "secrets." not in path.read_text("utf-8")


def test_the_tests_run_on_every_python_that_is_supported() -> None:
    matrix = read(ROOT / ".github/workflows/pull-request.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert matrix == supported


def test_the_tests_find_the_last_release() -> None:
    checkout = read(ROOT / ".github/workflows/pull-request.yml")["jobs"]["test"]["steps"][0]
    assert checkout["uses"].startswith("actions/checkout@")
    assert checkout["with"]["fetch-depth"] == 0  # all history and tags: github.com/actions/checkout, "Usage"


def test_nothing_is_deployed_that_was_not_looked_at_first() -> None:
    jobs = read(ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert jobs["deploy"]["needs"] == "what-if"
    assert jobs["deploy"]["if"] == "${{ inputs.apply && github.ref == 'refs/heads/main' }}"


def test_only_main_is_deployed() -> None:
    jobs = read(ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert all("github.ref == 'refs/heads/main'" in job["if"] for job in jobs.values())
    first = next(step for step in jobs["what-if"]["steps"] if "run" in step)
    assert "deploy/github.sh" in first["run"]  # the rule is checked before the sign-in


def test_libraries_actions_and_base_image_are_updated_by_pull_requests() -> None:
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text("utf-8"))["updates"]
    assert {update["package-ecosystem"]: update["directory"] for update in updates} == {
        "github-actions": "/",
        "docker": "/container",
        "pip": "/requirements",
    }
    assert {update["schedule"]["interval"] for update in updates} == {"weekly"}


def test_what_runs_is_scanned_again_each_week() -> None:
    jobs = read(ROOT / ".github/workflows/weekly.yml")["jobs"]
    scans = {
        name: [s["with"]["sbom"] for s in job["steps"] if "scan-action" in s.get("uses", "")]
        for name, job in jobs.items()
    }
    assert scans == {"built": ["dist/${{ matrix.part }}.cdx.json"], "locks": ["build/locks.cdx.json"]}
    assert jobs["built"]["strategy"]["matrix"]["part"] == ["image", "functions"]
    named = re.search(r"for name in (.+); do", str(jobs["locks"]["steps"]))
    assert named is not None
    assert {"run", "azure", "functions"} <= set(named[1].split())
    assert all((ROOT / "requirements" / f"{name}.txt").is_file() for name in named[1].split())
