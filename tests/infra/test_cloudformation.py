"""The CloudFormation template of a lake in S3, and the workflow that updates it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..moto import ENVIRONMENT

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "infra" / "aws" / "lake.yaml"
WORKFLOW = ROOT / "deploy" / "github" / "nightly-s3.yml"


class _Tags(yaml.SafeLoader):
    """Reads CloudFormation's short functions as their arguments."""


_Tags.add_multi_constructor("!", lambda loader, suffix, node: _argument(loader, node))


def _argument(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


def template() -> dict[str, Any]:
    return yaml.load(TEMPLATE.read_text("utf-8"), _Tags)  # type: ignore[no-any-return]  # noqa: S506


def resources() -> dict[str, Any]:
    return template()["Resources"]  # type: ignore[no-any-return]


def cfn_lint(path: Path) -> subprocess.CompletedProcess[str]:
    command = ENVIRONMENT / "bin" / "cfn-lint"
    if not command.is_file():
        pytest.skip("no cfn-lint in .venv/aws; `make test` puts it there where a package registry can be reached")
    python = ENVIRONMENT / "bin" / "python"
    return subprocess.run([python, command, path], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_cfn_lint_finds_nothing_and_would_find_a_fault(tmp_path: Path) -> None:
    done = cfn_lint(TEMPLATE)
    assert (done.returncode, done.stdout) == (0, "")
    wrong = tmp_path / "lake.yaml"
    wrong.write_text(TEMPLATE.read_text("utf-8").replace("SSEAlgorithm", "Algorithm"))
    assert cfn_lint(wrong).returncode != 0


def test_the_bucket_is_private_encrypted_versioned_and_kept() -> None:
    bucket = resources()["Lake"]
    properties = bucket["Properties"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["BucketEncryption"]
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    denied = {s["Sid"]: s["Condition"] for s in resources()["LakePolicy"]["Properties"]["PolicyDocument"]["Statement"]}
    assert denied["OnlyTls"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_role_is_for_one_repository_and_branch_and_can_delete_no_raw_object() -> None:
    role = resources()["Updater"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:${GitHubRepository}:ref:refs/heads/${GitHubBranch}",
        }
    }
    allowed = {s["Sid"]: s for s in role["Policies"][0]["PolicyDocument"]["Statement"]}
    actions = {a for s in allowed.values() for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    assert actions == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:DeleteObject",
    }
    deleted = allowed["DeleteReplacedFiles"]["Resource"]
    assert deleted == [f"${{Lake.Arn}}/${{Prefix}}/{p}/*" for p in ("curated", "quarantine", "meta/epochs")]


@pytest.mark.parametrize(
    ("repository", "fits"),
    [("o/n", True), ("octo-org@12/my.repo@345", True), ("o@x/n", False), ("o/n:*", False), ("*/n", False)],
)
def test_the_subject_names_one_repository_with_or_without_ids(repository: str, fits: bool) -> None:
    pattern = template()["Parameters"]["GitHubRepository"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, repository)) is fits


# -------------------------------------------------------------------------------------------------------- the workflow


def test_the_workflow_runs_at_night_and_by_hand_one_at_a_time() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    assert workflow[True]["schedule"] == [{"cron": "0 23 * * 1-5"}]  # YAML reads `on` as true
    assert "workflow_dispatch" in workflow[True]
    assert workflow["permissions"] == {}
    assert workflow["concurrency"] == {"group": "nightly-s3", "cancel-in-progress": False}
    job = workflow["jobs"]["update"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    names = [step.get("name") for step in job["steps"]]
    assert names.index("Load the state") < names.index("Update") < names.index("Save the state")
    assert job["steps"][-1]["if"] == "${{ always() }}"
    assert job["steps"][-2]["timeout-minutes"] < job["timeout-minutes"] < 360  # GitHub's own limit


def test_zizmor_finds_nothing_in_the_workflow() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [zizmor, "--offline", "--no-progress", WORKFLOW]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_actions_are_pinned_as_those_of_the_other_workflows() -> None:
    used = set(re.findall(r"uses: (.+)", WORKFLOW.read_text("utf-8")))
    assert all(re.fullmatch(r"[\w-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used)
    others = "".join(p.read_text("utf-8") for p in (ROOT / ".github" / "workflows").glob("*.yml"))
    assert {u.split("@")[0] for u in used if u not in others} == {"aws-actions/configure-aws-credentials"}


def test_every_setting_of_the_workflow_exists() -> None:
    known = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    named = set(re.findall(r"QUANTX_[A-Z_]+", WORKFLOW.read_text("utf-8")))
    assert [name for name in named if f"`{name}`" not in known] == []
