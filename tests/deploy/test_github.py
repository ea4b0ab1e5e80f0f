"""The sign-in of the workflow: the form of the subject is GitHub's, and only main may deploy."""

from __future__ import annotations

from pathlib import Path

import pytest

from .checkout import Checkout, stub

pytestmark = pytest.mark.slow

RULE = "repos/o/n/environments/dev"
ANSWERS = {
    RULE: "true",
    f"{RULE}/deployment-branch-policies": "main",
    "repos/o/n/actions/oidc/customization/sub": "repo:o@12/n@345",
    "repos/o/n": "12 345",
}


def github(tmp_path: Path, **changed: str) -> None:
    """Put a `gh` on the PATH that answers with values, as --jq leaves them."""
    cases = "".join(f'{path}) echo "{answer}" ;;\n' for path, answer in {**ANSWERS, **changed}.items())
    stub(tmp_path, "gh", f'case "$2" in\n{cases}*) exit 1 ;;\nesac')


def test_a_new_repository_signs_in_with_its_ids(checkout: Checkout, tmp_path: Path) -> None:
    github(tmp_path)
    done = checkout.run("github.sh", "o/n", "--apply")
    assert done.returncode == 0, done.stderr
    assert "subject repo:o@12/n@345:environment:dev" in done.stderr
    (line,) = checkout.lines("deployment group create")
    assert "repository=o/n environmentName=dev ownerId=12 repositoryId=345" in line


def test_an_old_repository_signs_in_by_its_name(checkout: Checkout, tmp_path: Path) -> None:
    github(tmp_path, **{"repos/o/n/actions/oidc/customization/sub": ""})
    done = checkout.run("github.sh", "o/n", "--apply")
    assert done.returncode == 0, done.stderr
    (line,) = checkout.lines("deployment group create")
    assert "ownerId" not in line


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({RULE: "null"}, "any, or all protected ones; allow main only"),
        ({RULE: "false"}, "any, or all protected ones; allow main only"),
        ({f"{RULE}/deployment-branch-policies": "main release/*"}, "main release/*; allow main only"),
        ({"repos/o/n/actions/oidc/customization/sub": "repository_owner_id:12"}, "a subject of its own"),
    ],
)
def test_what_is_not_safe_is_refused(checkout: Checkout, tmp_path: Path, changed: dict[str, str], said: str) -> None:
    github(tmp_path, **changed)
    done = checkout.run("github.sh", "o/n", "--apply")
    assert done.returncode == 2
    assert said in done.stderr
    assert checkout.calls() == []


def test_a_rule_that_cannot_be_read_is_no_reason_to_stop(checkout: Checkout, tmp_path: Path) -> None:
    stub(tmp_path, "gh", "exit 1")
    done = checkout.run("github.sh", "o/n", "--rule")
    assert done.returncode == 0
    assert "can't be read; check in the repository's settings" in done.stderr
