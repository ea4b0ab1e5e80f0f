"""The deploy script against an `az` that only writes down what it was asked."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CHANGES = ("group create", "deployment group create", "acr build")
STUB = """#!/bin/sh
echo "$*" >> "$AZ_LOG"
case "$*" in
  "account show"*) [ -z "$SIGNED_OUT" ] && echo 00000000-0000-0000-0000-000000000001 ;;
  "group exists"*) echo "${GROUP_EXISTS:-true}" ;;
  "acr show"* | "acr repository show"*) [ -n "$DEPLOYED" ] ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with nothing but the script, all of it committed, and the stub beside it."""
    folder = tmp_path / "checkout"
    (folder / "deploy").mkdir(parents=True)
    shutil.copy(REPOSITORY / "deploy/deploy_hybrid.sh", folder / "deploy")
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-q", "--no-gpg-sign", "-m", "script"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    stub = tmp_path / "bin" / "az"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(stub.stat().st_mode | stat.S_IXUSR)
    return folder


def deploy(checkout: Path, *arguments: str, **environment: str) -> tuple[int, list[str], str]:
    log = checkout.parent / "az.log"
    log.unlink(missing_ok=True)
    done = subprocess.run(
        ["bash", str(checkout / "deploy/deploy_hybrid.sh"), *arguments],
        env={
            "PATH": f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(checkout.parent),
            "AZ_LOG": str(log),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, log.read_text().splitlines() if log.exists() else [], done.stderr


def changes(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith(CHANGES)]


@pytest.mark.parametrize("group_exists", ["true", "false"])
def test_without_apply_nothing_is_changed(checkout: Path, group_exists: str) -> None:
    code, calls, _ = deploy(checkout, GROUP_EXISTS=group_exists)
    assert code == 0
    assert changes(calls) == []
    assert any(call.startswith("deployment group what-if") for call in calls) is (group_exists == "true")


def test_the_first_time_the_image_is_built_before_the_job_is_deployed(checkout: Path) -> None:
    code, calls, _ = deploy(checkout, "--apply")
    assert code == 0
    assert [" ".join(call.split()[:3]) for call in changes(calls)] == [
        "group create --name",
        "deployment group create",
        "acr build --registry",
        "deployment group create",
    ]
    first, last = [call for call in calls if call.startswith("deployment group create")]
    assert "image=" not in first
    assert "image=quantx:" in last


def test_a_second_time_builds_nothing_again(checkout: Path) -> None:
    code, calls, _ = deploy(checkout, "--apply", DEPLOYED="1")
    assert code == 0
    assert [" ".join(call.split()[:3]) for call in changes(calls)] == ["group create --name", "deployment group create"]


def test_the_names_of_the_environment_are_honoured(checkout: Path) -> None:
    names = {"RESOURCE_GROUP": "mine", "LOCATION": "eastus", "STORAGE_ACCOUNT": "mylake01", "ACR_NAME": "myregistry"}
    _, calls, _ = deploy(checkout, "--apply", **names)
    assert "group create --name mine --location eastus --output none" in calls
    (last,) = [call for call in calls if "--query" in call and call.startswith("deployment")]
    assert "location=eastus storageAccountName=mylake01 acrName=myregistry" in last


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (["--aply"], {}, "unknown argument --aply"),
        ([], {"SIGNED_OUT": "1"}, "az login"),
        ([], {"STORAGE_ACCOUNT": "My_Lake"}, "STORAGE_ACCOUNT must be"),
        ([], {"ACR_NAME": "a-b"}, "ACR_NAME must be"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    checkout: Path, arguments: list[str], environment: dict[str, str], reason: str
) -> None:
    code, calls, said = deploy(checkout, "--apply", *arguments, **environment)
    assert code == 2
    assert reason in said
    assert changes(calls) == []


def test_an_image_is_built_of_committed_files_only(checkout: Path) -> None:
    (checkout / "src").mkdir()
    (checkout / "src/new.py").write_text("")
    code, calls, said = deploy(checkout, "--apply")
    assert code == 2
    assert "not committed" in said
    assert changes(calls) == []
