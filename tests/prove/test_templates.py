"""checkov over the templates: it reads all of them, and finds nothing that has no reason in infra/.checkov.yaml."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / ".venv" / "checkov" / "bin" / "python"


@pytest.fixture(scope="module")
def checkov() -> Path:
    if not (CHECKOV.parents[1] / ".done").exists():
        pytest.skip("no checkov; `make prove` installs it")
    return CHECKOV


def report(checkov: Path, folder: Path, config: Path) -> dict[str, Any]:
    done = subprocess.run(
        [checkov, "-m", "checkov.main", "-d", folder, "--config-file", config, "--output", "json"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_checkov_reads_everything_and_finds_nothing(checkov: Path) -> None:
    found = report(checkov, ROOT / "infra", ROOT / "infra" / ".checkov.yaml")
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 30
    assert found["results"]["failed_checks"] == []


def test_every_rule_that_is_skipped_would_find_something(checkov: Path, tmp_path: Path) -> None:
    config = (ROOT / "infra" / ".checkov.yaml").read_text("utf-8")
    skipped = set(re.findall(r"^  - (CKV\w+)$", config, re.MULTILINE))
    strict = tmp_path / "strict.yaml"
    strict.write_text(config.split("skip-check:")[0])
    copy = shutil.copytree(ROOT / "infra", tmp_path / "infra", ignore=shutil.ignore_patterns(".checkov.yaml"))
    found = report(checkov, copy, strict)
    assert {check["check_id"] for check in found["results"]["failed_checks"]} == skipped


def test_every_rule_that_is_skipped_has_a_reason() -> None:
    before = ""
    for line in (ROOT / "infra" / ".checkov.yaml").read_text("utf-8").split("skip-check:")[1].splitlines():
        assert not line.startswith("  - ") or before.startswith(("  #", "  - ")), line
        before = line


def test_a_door_that_is_left_open_is_found(checkov: Path, tmp_path: Path) -> None:
    source = (ROOT / "infra" / "modules" / "lake.bicep").read_text("utf-8")
    (tmp_path / "lake.bicep").write_text(source.replace("allowSharedKeyAccess: false", "allowSharedKeyAccess: true"))
    (tmp_path / "vault.bicep").write_text(
        (ROOT / "infra" / "modules" / "vault.bicep").read_text("utf-8").replace("enablePurgeProtection: true", "")
    )
    found = report(checkov, tmp_path, ROOT / "infra" / ".checkov.yaml")
    assert {check["check_id"] for check in found["results"]["failed_checks"]} >= {"CKV_AZURE_110"}
