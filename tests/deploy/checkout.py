"""A repository with the scripts and templates, all committed, in front of the fake Azure."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..azurite import make_certificate
from . import fake_az
from .fake_sites import Sites, run_sites

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Checkout:
    """The folder in which a script runs, and what it called: `az`, and the hosts over HTTPS."""

    folder: Path
    sites: Sites

    @property
    def state(self) -> Path:
        return self.folder.parent / "azure"

    @property
    def log(self) -> Path:
        return self.folder.parent / "az.log"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder.parent),
            "AZ_STATE": str(self.state),
            "AZ_LOG": str(self.log),
            "QUANTX_POLL_SECONDS": "0",
            "SSL_CERT_FILE": str(self.sites.authority),
        }

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.shell(["bash", str(self.folder / "deploy" / script), *arguments], **environment)

    def shell(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the checkout, with an empty log."""
        self.log.unlink(missing_ok=True)
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def logged(self) -> list[list[str]]:
        """The command lines of the last run, without `az`; requests over HTTPS begin with `https`."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def calls(self) -> list[list[str]]:
        """The same, without the subscription, which every call but the first names."""
        return [call[:-2] if "--subscription" in call else call for call in self.logged()]

    def subscriptions(self) -> set[str]:
        """The subscriptions that the calls of the last run went to; empty: that which `az` has selected."""
        return {call[-1] if "--subscription" in call else "" for call in self.logged() if call[0] != "https"}

    def commands(self) -> list[str]:
        """The recorded commands without their options, and without the tag that suspends the database's stop."""
        lines = (" ".join(call) for call in self.calls())
        return [re.split(r" -", line)[0] for line in lines if "quantx-deploying" not in line]

    def lines(self, command: str) -> list[str]:
        return [line for line in (" ".join(call) for call in self.calls()) if line.startswith(command + " ")]

    def has(self, name: str) -> bool:
        return (self.state / name).exists()

    def get(self, name: str) -> str:
        return (self.state / name).read_text()

    def let(self, name: str, text: str = "") -> None:
        (self.state / name).write_text(text)

    @property
    def tag(self) -> str:
        return self.git("rev-parse", "--short=12", "HEAD").strip()

    def package(self, tag: str = "") -> bytes:
        """The content of the package of a commit."""
        return f"package of {tag or self.tag}\n".encode()

    def commit(self) -> str:
        """Make another commit; return its tag."""
        self.git("commit", "-q", "--no-gpg-sign", "--allow-empty", "-a", "-m", "another")
        return self.tag

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(["git", "-C", self.folder, *who, *arguments], check=True, capture_output=True, text=True)
        return done.stdout

    def be_deployed(self) -> None:
        """Leave Azure as the first deployment of this commit leaves it (test_the_first_time_… runs that)."""
        facts = {"group": "", "deployed": "{}", "database": "Ready", "image": f"quantx:{self.tag}"}
        facts |= {"jobs": f"quantx:{self.tag}", "tags": f"quantx-dev-app {self.tag}"}
        for name, text in facts.items():
            self.let(name, text)
        self.sites.keep(f"quantx-functions:{self.tag}", self.package())
        self.sites.running = self.package()

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a committed file, and commit."""
        path = self.folder / file
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
        self.commit()


@dataclass(frozen=True)
class Pristine:
    """What every checkout is a copy of, made once: the committed scripts and templates, and the hosts' certificates."""

    folder: Path
    certificates: tuple[Path, Path, Path]


def make_pristine(folder: Path) -> Pristine:
    folder.mkdir(exist_ok=True)
    made = Checkout(folder / "checkout", Sites(folder))
    for part in ("deploy", "infra"):
        shutil.copytree(REPOSITORY / part, made.folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    (made.folder / "container").mkdir()
    for name in ("base.Dockerfile", "base_image.sh"):
        shutil.copy(REPOSITORY / "container" / name, made.folder / "container" / name)
    package = made.folder / "deploy" / "package_functions.sh"
    package.write_text('#!/bin/sh\necho "package of $(git rev-parse --short=12 HEAD)" > "$1"\n')
    package.chmod(0o755)
    (made.folder / ".gitignore").write_text("/build/\n__pycache__/\n")
    made.git("init", "-q", "--template=")
    made.git("add", ".")
    made.commit()
    return Pristine(made.folder, make_certificate(folder))


@contextmanager
def made_checkout(tmp_path: Path, pristine: Pristine) -> Iterator[Checkout]:
    """Make a checkout; the hosts run within the context."""
    with run_sites(pristine.certificates) as sites:
        checkout = Checkout(tmp_path / "checkout", sites)
        shutil.copytree(pristine.folder, checkout.folder)
        checkout.state.mkdir()
        checkout.let("hosts", json.dumps(sites.hosts))
        stub(tmp_path, "az", f'exec "{sys.executable}" -S -E "{fake_az.__file__}" "$@"')

        def seen(request: str) -> None:
            with checkout.log.open("a") as log:
                log.write(json.dumps(["https", *request.split()]) + "\n")

        sites.seen = seen
        yield checkout


def stub(folder: Path, name: str, body: str) -> None:
    """Put a command on the scripts' PATH."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
