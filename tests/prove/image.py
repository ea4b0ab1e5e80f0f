"""The worker's image, built by buildah on a stand-in of python:slim, and run as a container would be.

There is no Docker here, so the last step is taken apart: the image's root, its environment, its user and its command
in a process namespace of their own, where the command is process 1.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STAND_IN = "localhost/quantx-stand-in-of-python-slim:bookworm"
_NEEDED = ("buildah", "debootstrap", "unshare", "chroot")
_MIRROR = os.environ.get("QUANTX_DEBIAN_MIRROR", "").split()  # without it: debootstrap's own
# How this machine reaches its package registry; the image itself is not to know.
_OF_THE_MACHINE = ("/etc/ssl/certs", "/etc/pip.conf")


def why_missing() -> str | None:
    """Say why no image can be built here, None where one can."""
    missing = [tool for tool in _NEEDED if shutil.which(tool) is None]
    if missing:
        return f"no {', '.join(missing)}; on Debian: apt install buildah debootstrap util-linux"
    return None if os.geteuid() == 0 else "a stand-in of the base image is made by root alone"


def stand_in() -> str:
    """Return the name of the substitute of python:slim, a Debian with Python; build it where it is missing."""
    if (
        subprocess.run(["buildah", "inspect", "--type", "image", STAND_IN], capture_output=True, check=False).returncode
        == 0
    ):
        return STAND_IN
    with tempfile.TemporaryDirectory(prefix="quantx-debian-") as folder:
        wanted = "--include=python3,python3-venv,python3-pip,ca-certificates"
        _run("debootstrap", "--variant=minbase", wanted, "bookworm", folder, *_MIRROR)
        (Path(folder) / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        container = _run("buildah", "from", "scratch").strip()
        _run("buildah", "add", "-q", container, folder, "/")
        _run(
            "buildah", "config", "--env", "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", container
        )
        _run("buildah", "commit", "-q", "--rm", container, STAND_IN)
    return STAND_IN


@dataclass(frozen=True)
class Image:
    """A built image and what its configuration says."""

    name: str
    config: Mapping[str, Any]
    megabytes: float
    base_megabytes: float
    seconds: float  # that the build took


@contextmanager
def built(base: str) -> Iterator[Image]:
    """Build the recipe as it is, from what is committed or not; the image is removed at the end."""
    name = f"localhost/quantx-proof:{os.getpid()}"
    mounts = [f"--volume={path}:{path}:ro" for path in _OF_THE_MACHINE if Path(path).exists()]
    begun = time.monotonic()
    recipe = ("--file", str(ROOT / "container/Dockerfile"), "--build-arg", f"PYTHON_IMAGE={base}")
    _run("buildah", "bud", "--isolation", "chroot", "--layers", *mounts, *recipe, "--tag", name, str(ROOT))
    seconds = time.monotonic() - begun
    try:
        config = _inspected(name)["OCIv1"]["config"]
        yield Image(name, config, _megabytes(name), _megabytes(base), seconds)
    finally:
        _run("buildah", "rmi", "--force", name)


@contextmanager
def mounted(image: Image) -> Iterator[Path]:
    """Give the root of a container of the image."""
    container = _run("buildah", "from", "--pull=never", image.name).strip()
    try:
        yield Path(_run("buildah", "mount", container).strip())
    finally:
        _run("buildah", "rm", container)


class Container:
    """A running container: its command is process 1 of a namespace, as the image's user."""

    def __init__(
        self, image: Image, root: Path, command: Sequence[str], environment: Mapping[str, str], folders: Sequence[Path]
    ) -> None:
        for folder in folders:
            (root / str(folder).lstrip("/")).mkdir(parents=True, exist_ok=True)
        binds = "".join(f"mount --rbind '{f}' '{root}{f}' && " for f in ("/dev", *folders))
        variables = [*image.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        user = image.config["User"]
        inner = ["/usr/bin/env", "-i", f"--chdir={image.config['WorkingDir']}", *variables]
        start = ["chroot", f"--userspec={user}:{user}", str(root), *inner, *image.config["Entrypoint"], *command]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 — closed by `kill`
        self._process = subprocess.Popen(
            [
                *("unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c"),
                f"{binds} mount -t proc proc '{root}/proc' && exec \"$@\"",
                *("sh", *start),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def said(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    @property
    def command(self) -> str:
        """Return what process 1 is at the moment; nothing where there is none."""
        try:
            return Path(f"/proc/{self._first()}/cmdline").read_text().replace("\0", " ").strip()
        except (OSError, IndexError):
            return ""

    @property
    def number_inside(self) -> int:
        """Return the number that the process has for itself."""
        status = Path(f"/proc/{self._first()}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1])

    def terminate(self) -> None:
        """Send SIGTERM to process 1, as `docker stop` does."""
        os.kill(self._first(), signal.SIGTERM)

    def _first(self) -> int:
        return int(Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()[0])

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, patience: float = 180) -> int:
        """Return the exit code of process 1."""
        return self._process.wait(patience)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(20)
        self._log.close()


@contextmanager
def running(
    image: Image, command: Sequence[str], environment: Mapping[str, str], folders: Sequence[Path] = ()
) -> Iterator[Container]:
    """Run a container of its own; nothing of it is left behind."""
    with mounted(image) as root:
        container = Container(image, root, command, environment, folders)
        try:
            yield container
        finally:
            container.kill()


def _inspected(name: str) -> dict[str, Any]:
    return dict(json.loads(_run("buildah", "inspect", "--type", "image", name)))


def _megabytes(name: str) -> float:
    listed = json.loads(_run("buildah", "images", "--json", name))
    size = str(listed[0]["size"])
    number, _, unit = size.partition(" ")
    return float(number) * {"KB": 1e-3, "MB": 1, "GB": 1e3}[unit]


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout
