"""The Functions app as it is published: packed, unpacked, and run alone by Microsoft's execution engine."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quantx.sandbox import Sandbox, load_market, running

from ..azurite import Azurite
from ..fleet.fleet import Fleet, Vendor, killed_at_the_end
from .engine import install

REPOSITORY = Path(__file__).parents[2]
SITE = ".python_packages/lib/site-packages"
SCHEDULES = {"DAILY_SCHEDULE": "0 0 6 * * 1-5", "SWEEP_SCHEDULE": "0 */15 * * * *"}
ADDRESS = "https://app.example/api"
KEY = "a-function-key-that-no-reply-may-name"
UNIVERSES = """
phases:
  phase_1:
    american: {market: us, type: static, symbols: [QXAA, QXAC, QXAF]}
    chinese: {market: hk, type: static, symbols: [99902.HK, 99903.HK]}
  phase_2:
    banks: {market: us, type: static, symbols: [QXAR]}
"""


def find_python() -> tuple[str, str]:
    """Return a Python that the engine is made for, where there is one, else this one; and its version."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for name in ("3.13", "3.14"):
        for found in (shutil.which(f"python{name}"), *sorted(map(str, pyenv.glob(f"versions/{name}.*/bin/python")))):
            if found and not subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode:
                return found, name
    return sys.executable, f"{sys.version_info.major}.{sys.version_info.minor}"


PYTHON, VERSION = find_python()


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with azure-functions-runtime; tests that need it are skipped where it can't be had."""
    folder = tmp_path_factory.mktemp("engine")
    if missing := install(folder):
        pytest.skip(missing)
    return folder


@pytest.fixture(scope="session")
def package(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip to publish, built by its script; or an earlier one, which QUANTX_FUNCTIONS_PACKAGE names."""
    if ready := os.environ.get("QUANTX_FUNCTIONS_PACKAGE"):
        return Path(ready)
    output = tmp_path_factory.mktemp("package") / "functions.zip"
    environment = {**os.environ, "FUNCTIONS_PYTHON": VERSION, "PYTHON": sys.executable}
    script = [str(REPOSITORY / "deploy/package_functions.sh"), str(output)]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert f"for Python {VERSION}" in done.stdout
    return output


@pytest.fixture(scope="session")
def app_dir(package: Path) -> Path:
    """The staged folder: what is in the zip, unpacked."""
    folder = package.with_suffix("")
    with zipfile.ZipFile(package) as packed:
        there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc"}
        assert set(packed.namelist()) == there
    return folder


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    document: Any
    text: str


@dataclass
class Host:
    """The app in a process of its own, under the engine."""

    process: subprocess.Popen[str]
    log: Path
    loaded: dict[str, Any] = field(default_factory=dict)

    def invoke(self, *asked: dict[str, Any]) -> list[dict[str, Any]]:
        """Invoke functions at the same time; return the engine's answer for each."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answers: list[dict[str, Any]] = self.answer()
        return answers

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-4000:]
        return json.loads(line)

    def fires(self, timer: str, times: int = 1) -> list[dict[str, Any]]:
        """Fire a timer, `times` times at once."""
        at = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}
        return self.invoke(*[{"function": timer, "inputs": {"timer": at}}] * times)

    def post(self, body: Any) -> Reply:
        """Request an update; a `body` of bytes is sent unchanged, another one as JSON."""
        return self._ask("trigger_update", "POST", "trigger-update", body if isinstance(body, bytes) else _json(body))

    def get(self, path: str) -> Reply:
        name, _, rest = path.partition("/")
        return self._ask({"runs": "show_run"}.get(name, name), "GET", path, b"", {"id": rest} if rest else {})

    def _ask(
        self, function: str, method: str, path: str, body: bytes, params: Mapping[str, str] | None = None
    ) -> Reply:
        asked = {
            "method": method,
            "url": f"{ADDRESS}/{path}?code={KEY}",
            "query": {"code": KEY},
            "params": params or {},
        }
        asked["body"] = base64.b64encode(body).decode()
        (answer,) = self.invoke({"function": function, "inputs": {"req": asked}})
        assert answer["ok"], answer
        document = json.loads(answer["body"])
        text = json.dumps(answer["headers"]) + answer["body"]
        return Reply(answer["status"], answer["headers"], document, text)

    def log_text(self) -> str:
        return self.log.read_text()


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


Hosts = Callable[..., contextlib.AbstractContextManager[Host]]


@pytest.fixture(scope="session")
def hosts(app_dir: Path, engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    """Starts hosts with the settings that a test gives, and no others."""

    @contextlib.contextmanager
    def start(**settings: str) -> Iterator[Host]:
        paths = [str(app_dir / SITE), str(engine)]
        if VERSION < "3.13":  # the library that this engine works with
            paths.reverse()
        command = [PYTHON, "-I", "-S", str(Path(__file__).with_name("host.py")), str(app_dir), *paths]
        log = tmp_path_factory.mktemp("host") / "log"
        with log.open("w") as sink:
            process = subprocess.Popen(
                command,
                env={**SCHEDULES, **settings},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                text=True,
            )
        host = Host(process, log)
        try:
            host.loaded = host.answer()
            yield host
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait(20)
                assert process.stdout is not None
                process.stdout.close()

    return start


@pytest.fixture(scope="module")
def installation(
    azurite: Azurite, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], contextlib.AbstractContextManager[Fleet]]]:
    """Makes installations: a container and a queue in Azurite, a database, an invented market that reaches to now."""
    with running(Sandbox(load_market(None))) as vendor:

        @contextlib.contextmanager
        def make() -> Iterator[Fleet]:
            name, folder = f"functions-{uuid.uuid4().hex[:12]}", tmp_path_factory.mktemp("installation")
            database = name.replace("-", "_")
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(f"create database {database}".encode())
            (folder / "universes.yaml").write_text(UNIVERSES)
            settings = {
                "QUANTX_LAKE_URL": f"az://{name}/lake",
                "QUANTX_QUEUE_URL": f"az://{name}",
                "QUANTX_STATE_URL": database_url.replace("/postgres?", f"/{database}?"),
                "AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string,
                "QUANTX_YFINANCE_BASE_URL": vendor,
                "QUANTX_YFINANCE_QUOTA": "unlimited",
                "QUANTX_UNIVERSE_PATH": str(folder / "universes.yaml"),
                "QUANTX_LEASE_SECONDS": "2",
                "QUANTX_INSPECT": "false",
            }
            with killed_at_the_end(Fleet(settings, Vendor(vendor), folder)) as fleet:
                fleet.here("refresh-universe")
                yield fleet
            with psycopg.connect(database_url, autocommit=True) as connection:
                connection.execute(f"drop database {database} with (force)".encode())

        yield make


@pytest.fixture(scope="session")
def at_once() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool
