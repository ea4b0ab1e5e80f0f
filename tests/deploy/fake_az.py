"""A fake `az` for the scripts: it records its calls and their effects, and refuses unknown commands.

`Checkout` is a repository with nothing but the scripts, all of it committed, and this file as `az` on the PATH.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
OUTPUTS = {
    "aCR_NAME": "quantxmadeup",  # Azure changes the case now and then
    "STORAGE_ACCOUNT": "quantxlake",
    "FUNCTION_APP_NAME": "quantx-dev-app",
    "FUNCTION_APP_HOST": "quantx-dev-app.azurewebsites.net",
    "LAKE_URL": "az://lake",
    "QUEUE_URL": "az://tasks",
    "KEY_VAULT_NAME": "quantxvault",
    "DATABASE_SERVER": "quantx-dev-pg",
    "BUDGET_START": "2026-11-01",
}
TEMPLATE = {
    "containers": [
        {
            "name": "backfill",
            "image": "r/quantx:1",
            "args": ["backfill", "--help"],
            "env": [{"name": "A", "value": "b"}],
        }
    ],
    "initContainers": None,
}


@dataclass
class Checkout:
    """The folder in which a script runs, and the calls of `az` that it made."""

    folder: Path

    @property
    def state(self) -> Path:
        return self.folder.parent / "azure"

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder.parent / "az.log").unlink(missing_ok=True)
        return subprocess.run(
            ["bash", str(self.folder / "deploy" / script), *arguments],
            env={
                "PATH": f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.folder.parent),
                "AZ_STATE": str(self.state),
                "AZ_LOG": str(self.folder.parent / "az.log"),
                "QUANTX_POLL_SECONDS": "0",
                **environment,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        """The command lines of the last run, without `az`."""
        log = self.folder.parent / "az.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def has(self, name: str) -> bool:
        return (self.state / name).exists()

    def let(self, name: str, text: str = "") -> None:
        (self.state / name).write_text(text)


def make_checkout(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path / "checkout")
    shutil.copytree(REPOSITORY / "deploy", checkout.folder / "deploy")
    package = checkout.folder / "deploy" / "package_functions.sh"
    package.write_text('#!/bin/sh\necho package > "$1"\n')
    package.chmod(0o755)
    (checkout.folder / ".gitignore").write_text("/build/\n")
    git = ["git", "-C", str(checkout.folder), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-q", "--no-gpg-sign", "-m", "scripts"]):
        subprocess.run([*git, *step], check=True, capture_output=True)
    checkout.state.mkdir()
    stub = tmp_path / "bin" / "az"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    stub.chmod(0o755)
    return checkout


def answer_about_locks(command: str) -> int | None:
    """Do what `az` would do with locks and retention policies; None for other commands."""
    state = Path(os.environ["AZ_STATE"])
    locks = state / "locks"
    match command:
        case "lock list":
            print(locks.read_text() if locks.exists() else "")
        case "lock delete":
            locks.unlink()
        case "storage account list":
            print("quantxlake\nqxbackup")
        case "storage container-rm list":
            print("raw")
        case "group delete" if locks.exists():
            # learn.microsoft.com/azure/azure-resource-manager/management/lock-resources
            print(
                "(ScopeLocked) The scope cannot perform delete operation because following scope(s) are locked",
                file=sys.stderr,
            )
            return 1
        case _:
            return None
    return 0


def answer(arguments: list[str], state: Path) -> int:
    """Do what `az` would do, as far as a script can see it."""
    command = " ".join(arguments[: next((n for n, a in enumerate(arguments) if a.startswith("-")), len(arguments))])
    option = dict(itertools.pairwise(arguments))
    if (locked := answer_about_locks(command)) is not None:
        return locked
    (image,) = [a for a in arguments if a.startswith("image=")] or [""]

    def exists(name: str) -> bool:
        return (state / name).exists()

    match command:
        case "account show":
            print("" if exists("signed out") else SUBSCRIPTION)
            return int(exists("signed out"))
        case "group exists":
            print("true" if exists("group") else "false")
        case "group create":
            (state / "group").touch()
        case "group show":
            print((state / "tags").read_text() if exists("tags") else "")
        case "group delete":
            (state / "group").unlink()
        case "tag update":
            (state / "tags").write_text(option["--tags"].partition("=")[2])
        case "deployment group create":
            (state / "deployed").touch()
            if image:
                (state / "jobs").touch()
        case "deployment group show":
            if not exists("deployed"):
                print("DeploymentNotFound", file=sys.stderr)
                return 3
            print(json.dumps({name: {"type": "String", "value": value} for name, value in OUTPUTS.items()}))
        case "acr show":
            print("quantxmadeup.azurecr.io")
        case "provider list" | "provider register" if exists("no rights in the subscription"):
            return 1
        case "provider list":
            print("Microsoft.Storage\nmicrosoft.insights")
        case "acr list":
            print("quantxmadeup" if exists("deployed") else "")
        case "acr repository show":
            return int(not exists("image"))
        case "acr build":
            (state / "image").write_text(option["--image"])
        case "keyvault list-deleted":
            print("quantxvault" if exists("deleted vault") else "")
        case "keyvault recover":
            (state / "deleted vault").unlink()
        case "postgres flexible-server list":
            print("quantx-dev-pg" if exists("stopped database") else "")
        case "postgres flexible-server start":
            (state / "stopped database").unlink()
        case "containerapp job start":
            if not exists("jobs"):
                return 3
            if "--yaml" in option:
                (state / "execution").write_text(Path(option["--yaml"]).read_text())
            print(f"{option['--name']}-abc")
        case "containerapp job show":
            print(json.dumps(TEMPLATE))
        case "containerapp job execution show":
            asked = state / f"asked {option['--name']}"
            asked.write_text("x" + (asked.read_text() if asked.exists() else ""))
            fails = exists("failing job") and (state / "failing job").read_text() in option["--name"]
            print("Running" if len(asked.read_text()) % 2 else "Failed" if fails else "Succeeded")
        case "functionapp deploy":
            (state / "package").write_text(Path(option["--src-path"]).read_text())
        case "role definition list":
            print("11111111-1111-1111-1111-111111111111")
        case (
            "bicep build"
            | "deployment group what-if"
            | "provider register"
            | "resource list"
            | "role definition delete"
            | "acr login"
        ):
            pass
        case _:
            print(f"the fake does not know: az {command}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    with Path(os.environ["AZ_LOG"]).open("a") as log:
        log.write(json.dumps(sys.argv[1:]) + "\n")
    sys.exit(answer(sys.argv[1:], Path(os.environ["AZ_STATE"])))
