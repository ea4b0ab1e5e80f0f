"""What many tests share: recorded market data, and one PostgreSQL and one Azurite for each process that runs tests."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest

from quantx.calendar_files import keep_calendars
from quantx.state.database import Database
from quantx.state.embedded import EmbeddedPostgres

from .azurite import Azurite, SecureAzurite, start_secure, why_missing
from .databases import Databases
from .market_data import FOLDER, RECORDED
from .moto import Moto, running_moto

# Tests of the cache set a folder of their own; no test writes into the user's. The processes of a session share the
# calendars: xdist's get the folder of the one that starts them, which removes it.
os.environ["QUANTX_CACHE_SIZE"] = "0"
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["QUANTX_CACHE_DIR"] = tempfile.mkdtemp(prefix="quantx-cache-")
    atexit.register(shutil.rmtree, os.environ["QUANTX_CACHE_DIR"], ignore_errors=True)
keep_calendars(lambda: Path(os.environ["QUANTX_CACHE_DIR"]))

# A slow machine is no failure, so there is no deadline.
hypothesis.settings.register_profile("quantx", deadline=None, max_examples=40)
hypothesis.settings.load_profile("quantx")

# Waits for the end of the test session (a kill closes the pipe, too), then ends every server below the folder and
# removes the folder.
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
for pid_file in [*root.glob("*/azurite.pid"), *root.glob("*/moto.pid")]:
    try:
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    except (OSError, ValueError):
        pass
shutil.rmtree(root, ignore_errors=True)
"""


_PREFIX = "quantx-tests-"
_ALIVE = "alive"  # locked while its session lives
# Fleets of processes share a server that they end, and the Functions app its package: once each, in one process.
_TOGETHER = ("tests/fleet/", "tests/azure_functions/")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip tests/prove unless it is named: `make prove` installs its tools and needs minutes."""
    named = any("prove" in Path(argument).parts for argument in config.args)
    return True if collection_path.name == "prove" and not named else None


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking over the imported libraries again and again: they stay to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slow files first, so that none of them is left over while the other processes have ended."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start one process more than there are cores: many tests wait. Each has a PostgreSQL, so that eight are enough."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + 1, 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """Keep the tests of a file in one process, and those of some folders: they share what they have set up.

    (xdist_group, of pytest-xdist 3.8, has no effect with pytest 9.2: it changes names that pytest has cached.)
    """
    from xdist.scheduler import LoadScopeScheduling

    class FilesAndFolders(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return next((folder for folder in _TOGETHER if path.startswith(folder)), path)

    return FilesAndFolders(config, log) if config.getoption("dist") == "loadgroup" else None


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
    """Return new folders for embedded servers, which end with the session.

    The embedded server makes the folders above its own readable for all users, so they lie apart from pytest's.
    """
    sweep()
    root = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    with (root / "new").open("w") as sign:
        fcntl.flock(sign, fcntl.LOCK_EX)
        (root / "new").rename(root / _ALIVE)  # locked before another session's `sweep` can see it
        cleaner = janitor(root, subprocess.PIPE)
        yield lambda: root / uuid.uuid4().hex[:8]
        cleaner.communicate(timeout=30)


@pytest.fixture(scope="session")
def database_url(server_folder: Callable[[], Path]) -> Iterator[str]:
    """The address of a PostgreSQL server that all tests of the process share."""
    server = EmbeddedPostgres(server_folder())
    url = server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        for faster in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "autovacuum = off"):
            connection.execute(f"alter system set {faster}")
        connection.execute("select pg_reload_conf()")
    yield url
    server.stop_if_unused()


@pytest.fixture(scope="session")
def databases(database_url: str) -> Databases:
    """Databases of this server: new ones, and a pool of ones that are emptied and used again."""
    return Databases(database_url)


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """The address of a new database for one test, without a schema."""
    with databases.empty() as url:
        yield url


@pytest.fixture
def migrated_database_url(databases: Databases) -> Iterator[str]:
    """The address of a database with our schema and nothing in it."""
    with databases.migrated() as url:
        yield url


@pytest.fixture
def database(migrated_database_url: str) -> Iterator[Database]:
    """A database with our schema and nothing in it."""
    opened = Database(migrated_database_url)
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
    """Azure Storage on HTTPS, which accepts tokens, and a managed identity that issues them."""
    if missing := why_missing():
        pytest.skip(missing)
    secure = start_secure(server_folder())
    yield secure
    secure.azurite.stop(kill=True)
    secure.identity.stop()


@pytest.fixture(scope="session")
def moto(server_folder: Callable[[], Path]) -> Iterator[Moto]:
    """Amazon S3 on this machine; tests use buckets of their own."""
    with running_moto(server_folder()) as server:
        yield server


@pytest.fixture
def s3_lake(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a lake in a new bucket, in an environment that reaches it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{moto.new_bucket()}/data/lake"
