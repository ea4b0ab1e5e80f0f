"""Every command line of the deploy scripts is accepted by the real azure-cli, which parses it and stops."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..deploy.checkout import Checkout, made_checkout, make_pristine, stub

AZURE_CLI = Path(__file__).parents[2] / ".venv" / "azure-cli" / "bin" / "python"
Complaints = Callable[[list[list[str]]], dict[str, str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    with made_checkout(tmp_path, make_pristine(tmp_path / "pristine")) as made:
        yield made


@pytest.fixture
def complaints(checkout: Checkout, tmp_path: Path) -> Complaints:
    """Return what the real parser says against command lines, by command line."""
    if not (AZURE_CLI.parents[1] / ".done").exists():
        pytest.skip("no azure-cli; `make prove` installs it")

    def ask(lines: list[list[str]]) -> dict[str, str]:
        done = subprocess.run(
            [AZURE_CLI, Path(__file__).with_name("parse_az.py")],
            input="".join(json.dumps(line) + "\n" for line in lines),
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AZURE_CONFIG_DIR": str(tmp_path / "azure-config")},
            cwd=checkout.folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(lines), done.stderr
        return {" ".join(line): said for line, said in zip(lines, answers, strict=True) if said is not None}

    return ask


def test_what_the_scripts_ask_is_understood(checkout: Checkout, complaints: Complaints, tmp_path: Path) -> None:
    asked: dict[str, list[str]] = {}

    def run(script: str, *arguments: str, **environment: str) -> None:
        done = checkout.run(script, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        for call in checkout.logged():
            if call[0] in ("https", "ml"):  # `az ml` is an extension, which no registry of packages has
                continue
            if "--yaml" in call:  # the script has removed it again, and the parser wants a file
                call[call.index("--yaml") + 1] = str(checkout.folder / "deploy" / "azure.sh")
            asked.setdefault(" ".join(call), call)

    stub(tmp_path, "azd", "true")
    answers = "*/dev) echo true ;; *policies) echo main ;; *sub) echo repo:o@1/n@2 ;; *) echo 1 2 ;;"
    stub(tmp_path, "gh", f'case "$2" in {answers} esac')
    names = {
        "STORAGE_ACCOUNT": "mylake01",
        "ACR_NAME": "myregistry",
        "FUNCTION_APP_NAME": "my-app",
        "ALERT_EMAIL": "a@b.org",
        "ALERT_WEBHOOK": "https://hook.example.org",
    }
    run("deploy_hybrid.sh")
    checkout.let("deleted vault")
    run("deploy_hybrid.sh", "--apply")
    checkout.let("database", "Stopped")
    run("deploy_hybrid.sh", "--apply", QUANTX_DATABASE="always", MAKE_CUSTOM_ROLE="false", **names)
    run("deploy_hybrid.sh", **names)
    run("deploy_hybrid.sh", "--apply", "--ml")
    run("backfill.sh", "--start", "2010-01-01", "--phase", "phase_1")
    run("run.sh", "status")
    run("test_alert.sh")
    run("grant.sh", "erase", "raw", "0f0f0f0f-0000-4000-8000-00000000000a")
    run("azd.sh", "before", AZURE_RESOURCE_GROUP="quantx-dev")
    run("github.sh", "o/n", "--apply")
    run("restore.sh", "https://a.blob.core.windows.net/backups")
    checkout.let("locks", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Authorization/locks/keep")
    run("teardown.sh", "--name", "quantx-dev")
    assert len({tuple(call[:2]) for call in asked.values()}) >= 15
    assert complaints(list(asked.values())) == {}


def test_a_wrong_flag_is_found(complaints: Complaints) -> None:
    wrong = [
        ["group", "create", "--name", "g", "--region", "westeurope"],
        ["containerapp", "job", "start", "--resource-group", "g"],
        ["postgres", "flexible-server", "begin", "--name", "s"],
    ]
    assert len(complaints([*wrong, ["group", "exists", "--name", "g"]])) == len(wrong)


PAGES = (
    "infra/README.md",
    "infra/github.bicep",
    "docs/how-to/deploy-to-azure.md",
    "docs/how-to/first-deployment-checks.md",
    "docs/operations.md",
)


def written_in(page: Path) -> list[list[str]]:
    """Return the `az` command lines of a page: those between backticks, and the lines of its blocks and comments."""
    source = page.read_text("utf-8").replace("\\\n", " ").replace("\\|", "|")
    spans = re.findall(r"(?<!`)`(az [^`]+)`(?!`)", source)
    lines = re.findall(r"^(?://)?[ ]*(az .+)$", source, re.MULTILINE)
    commands = []
    for text in (*spans, *lines):
        words = shlex.split(re.sub(r"<[^>]*>", "placeholder", text.split(" > ")[0].split(" #")[0]))[1:]
        whole = len(words) > 3 and any(word.startswith("--") for word in words)
        if whole and words[0] != "ml" and not any("…" in word for word in words):
            commands.append(words)
    return commands


@pytest.mark.parametrize("page", PAGES)
def test_what_the_pages_tell_to_type_is_understood(page: str, complaints: Complaints, checkout: Checkout) -> None:
    (checkout.folder / "key.txt").write_text("")
    commands = written_in(Path(__file__).parents[2] / page)
    assert commands
    assert complaints(commands) == {}
