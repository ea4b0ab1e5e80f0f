"""What many tests share: recorded market data, one PostgreSQL and one Azurite for the whole session."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

from quantx.state.database import Database
from quantx.state.embedded import EmbeddedPostgres

from .azurite import Azurite, SecureAzurite, start_secure, why_missing
from .market_data import FOLDER, RECORDED

# A slow machine is no failure; what was found once is tried again first.
hypothesis.settings.register_profile("quantx", deadline=None, max_examples=40)
hypothesis.settings.load_profile("quantx")

# Waits for the end of the test session, however it comes about (a kill closes the pipe, too), then ends every server
# below the folder and removes the folder.
_JANITOR = """
import os, pathlib, shutil, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
root = pathlib.Path(sys.argv[1])
sys.stdin.read()
for pid_file in root.glob("*/postmaster.pid"):
    try:
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        for _ in range(200):
            os.kill(pid, 0)
            time.sleep(0.02)
    except (OSError, ValueError, IndexError):
        pass
for pid_file in root.glob("*/azurite.pid"):
    try:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass
shutil.rmtree(root, ignore_errors=True)
"""


_PREFIX = "quantx-tests-"
_ALIVE = "alive"  # locked while its session lives


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what takes minutes and tools that few machines have, where it is not asked for: `make prove`."""
    asked = any("prove" in Path(argument).parts for argument in config.args)
    return True if collection_path.name == "prove" and not asked else None


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of recorded market data or, where it is absent, the sample with the same layout."""
    return FOLDER


@pytest.fixture(scope="session")
def recorded_market_data() -> Path:
    """The folder of recorded market data, for what a sample cannot prove; the test is skipped where it is absent."""
    if not RECORDED:
        pytest.skip("no recorded market data; QUANTX_MARKET_DATA names its folder")
    return FOLDER


def janitor(root: Path, stdin: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _JANITOR, str(root)], stdin=stdin, start_new_session=True)


def sweep() -> None:
    """Clear up after sessions that were killed together with their janitor."""
    for sign in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_ALIVE}"):
        with contextlib.suppress(OSError), sign.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its session lives
            janitor(sign.parent, subprocess.DEVNULL).wait(30)


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Callable[[], Path]]:
    """Gives new folders for embedded servers; when the session ends, so do the servers in them.

    The embedded server opens the folders above its own for everybody, so that these lie apart from pytest's.
    """
    sweep()
    root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    with (root / _ALIVE).open("w") as sign:
        fcntl.flock(sign, fcntl.LOCK_EX)
        cleaner = janitor(root, subprocess.PIPE)
        yield lambda: root / uuid.uuid4().hex[:8]
        cleaner.communicate(timeout=30)


@pytest.fixture(scope="session")
def database_url(server_folder: Callable[[], Path]) -> Iterator[str]:
    """The address of a PostgreSQL server that all tests of the session share."""
    server = EmbeddedPostgres(server_folder())
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        for faster in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"alter system set {faster}")
        connection.execute("select pg_reload_conf()")
    yield url
    server.stop_if_unused()


@pytest.fixture
def empty_database_url(database_url: str) -> Iterator[str]:
    """The address of a database of its own for one test, without a schema."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
        yield database_url.replace("/postgres?", f"/{name}?")
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    """A database with our schema and nothing in it."""
    opened = Database(empty_database_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def azurite(server_folder: Callable[[], Path]) -> Iterator[Azurite]:
    """Azure Storage on this machine, on HTTP and with an account key; tests use queues and containers of their own."""
    if missing := why_missing():
        pytest.skip(missing)
    emulator = Azurite(server_folder())
    emulator.start()
    yield emulator
    emulator.stop(kill=True)


@pytest.fixture(scope="session")
def azurite_https(server_folder: Callable[[], Path]) -> Iterator[SecureAzurite]:
    """Azure Storage on HTTPS, which takes tokens, and a managed identity that gives them."""
    if missing := why_missing():
        pytest.skip(missing)
    secure = start_secure(server_folder())
    yield secure
    secure.azurite.stop(kill=True)
    secure.identity.stop()
