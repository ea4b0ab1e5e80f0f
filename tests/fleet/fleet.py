"""A fleet: a lake and a queue in Azurite, a state in PostgreSQL, a vendor behind HTTP, and workers as processes."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg.rows import dict_row

import quantx
from quantx.cli import main
from quantx.core.tables import TABLES
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.queues.azure import AzureQueue
from quantx.settings import load_settings
from quantx.state.embedded import EmbeddedPostgres

SOURCE = str(Path(quantx.__file__).parents[1])
DYING = Path(__file__).with_name("dying_worker.py")
COMPARED = ("bars_1d", "bars_1d_revisions", "actions", "actions_revisions", "quarantine")
_PATIENCE = 120  # seconds; the machine may have other things to do


class Vendor:
    """The sandbox behind HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        return self._ask("GET", "stats")

    def requests(self) -> int:
        return int(self.stats()["total"])

    def tell(self, control: str, **body: object) -> None:
        self._ask("POST", control, json.dumps(body))

    def _ask(self, method: str, control: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=20)
        with contextlib.closing(connection):
            connection.request(method, f"/_sandbox/{control}", body)
            reply = connection.getresponse()
            said = json.loads(reply.read())
            assert reply.status == 200, said
            return said


class Server:
    """A PostgreSQL server that can be ended in any way and started again in its place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedPostgres(folder)
        self.url = self._server.start()
        with psycopg.connect(self.url, autocommit=True) as connection:
            for faster in ("fsync = off", "full_page_writes = off", "synchronous_commit = off"):
                connection.execute(f"alter system set {faster}")
            connection.execute("select pg_reload_conf()")

    def end(self, how: signal.Signals) -> None:
        """End it: SIGINT closes its connections, SIGQUIT drops everything, SIGKILL asks nobody."""
        pid = int((self._folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, how)
        wait_until(lambda: not _lives(pid))

    def start(self) -> None:
        """Start it again, at the same address."""
        self._server._presence.close()
        self._server._forget()
        assert self._server.start() == self.url

    def close(self) -> None:
        self._server.stop_if_unused()


@dataclass
class Fleet:
    """One installation and the processes that work on it."""

    settings: dict[str, str]  # of the environment
    vendor: Vendor
    folder: Path  # for what the processes say
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *command: object, **more: str) -> subprocess.Popen[bytes]:
        """Start a quantx command in a process group of its own."""
        return self._start([sys.executable, "-m", "quantx", *map(str, command)], more)

    def start_dying(self, mark: str, **more: str) -> subprocess.Popen[bytes]:
        """Start a worker that dies at a mark; it waits for `go`."""
        return self._start([sys.executable, str(DYING), mark], more)

    def _start(self, command: Sequence[str], more: dict[str, str]) -> subprocess.Popen[bytes]:
        environment = {**clean_environment(), **self.settings, "QUANTX_LOG_LEVEL": "INFO", **more, "PYTHONPATH": SOURCE}
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"{self.started.index(process)}.log").read_text()

    def ends(self, process: subprocess.Popen[bytes], code: int, patience: float = _PATIENCE) -> None:
        """Wait for a process to end, with this code."""
        ended = process.wait(patience)
        assert ended == code, f"{process.args} ended with {ended}\n{self.said(process)[-6000:]}"
        assert "Traceback" not in self.said(process), self.said(process)[-6000:]

    def wait_until(self, happened: Callable[[], object]) -> None:
        """Wait until something has happened, while there is a process that may bring it about."""

        def happened_or_over() -> object:
            assert any(p.poll() is None for p in self.started), [self.said(p)[-2000:] for p in self.started]
            return happened()

        wait_until(happened_or_over)

    def kill_all(self) -> None:
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()

    def here(self, *command: object, code: int = 0) -> str:
        """Run a quantx command in this process, which saves its imports; return what it prints."""
        printed, told, before = io.StringIO(), io.StringIO(), dict(os.environ)
        os.environ.clear()
        os.environ.update({**clean_environment(before), **self.settings})
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(told):
                ended = main([str(part) for part in command])
        finally:
            os.environ.clear()
            os.environ.update(before)
        assert ended == code, f"{command} ended with {ended}\n{printed.getvalue()}\n{told.getvalue()}"
        return printed.getvalue()

    def told(self, *command: object, code: int = 0) -> Any:
        """Run a quantx command with --json in this process; return what it tells."""
        return json.loads(self.here(*command, "--json", code=code))

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Ask the state's database."""
        with psycopg.connect(self.settings["QUANTX_STATE_URL"], row_factory=dict_row) as connection:
            connection.execute("set search_path = quantx")
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    @property
    def location(self) -> LakeLocation:
        return open_location(self.settings["QUANTX_LAKE_URL"], self._opened_settings())

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables without what differs from one installation to the next."""
        opened = open_tables(self.location, TABLES)
        found = {name: opened[name].read() for name in COMPARED}
        return {n: t.drop("raw", "known_from", "known_to", strict=False).sort(pl.all()) for n, t in found.items()}

    def queue(self) -> AzureQueue:
        """Open the queue as another program would."""
        settings = self._opened_settings()
        key = settings.storage_key()
        assert key is not None
        assert key.queue_endpoint is not None
        return AzureQueue(key.queue_endpoint, settings.queue_url.removeprefix("az://"), key)

    def _opened_settings(self) -> Any:
        names = {"lake_url", "queue_url", "state_url"}
        flags = {name: self.settings[f"QUANTX_{name.upper()}"] for name in names}
        key = self.settings.get("AZURE_STORAGE_CONNECTION_STRING")
        return load_settings(**flags, azure_storage_connection_string=key)


def go(process: subprocess.Popen[bytes]) -> None:
    """Let a dying worker begin."""
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def clean_environment(environment: Any = None) -> dict[str, str]:
    """Return this environment without settings of ours."""
    ours = ("QUANTX_", "AZURE", "FETCHER_")
    return {k: v for k, v in (environment or os.environ).items() if not k.startswith(ours)}


def wait_until(happened: Callable[[], object], patience: float = _PATIENCE) -> None:
    until = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.02)


def assert_at_rest(fleet: Fleet, runs: int, *, failed: int = 0) -> None:
    """Nothing is lost, nothing is left, and each run has one report."""
    if depth_of(fleet):  # of the dead, or of tasks that were done as urgent ones: they come back after a lease
        time.sleep(float(fleet.settings["QUANTX_LEASE_SECONDS"]) + 0.5)
        fleet.here("work")
    assert depth_of(fleet) == 0
    states = Counter(row["state"] for row in fleet.rows("select state from tasks"))
    assert states.total() > 0
    assert states == Counter({"done": states.total() - failed, "failed": failed}), states
    listed = sorted(entry["path"] for page in fleet.location.store.list("reports") for entry in page)
    listed = [path for path in listed if not path.startswith(("reports/coverage/", "reports/status.html"))]
    reported = sorted(row["report"] for row in fleet.rows("select report from runs"))
    assert len(listed) == runs, listed
    assert reported == listed, (reported, listed)
    for left in ("outbox", "rounds where finished_at is null", "landings where round_id is null"):
        assert fleet.rows(f"select * from {left}") == [], left


def depth_of(fleet: Fleet) -> int:
    with contextlib.closing(fleet.queue()) as queue:
        return queue.depth().total


def assert_counted(fleet: Fleet, tables: dict[str, pl.DataFrame]) -> None:
    """The reports tell of each row once, however often a round was begun."""
    (told,) = fleet.rows("select sum(rows_new)::int as new, sum(rows_changed)::int as changed from tasks")
    assert told == {"new": tables["bars_1d"].height, "changed": tables["bars_1d_revisions"].height}


def assert_same(tables: dict[str, pl.DataFrame], expected: dict[str, pl.DataFrame], *, payloads: bool = True) -> None:
    """Compare the tables row for row; without `payloads`, ignore the replies of rejected rows, and rejected replies."""
    for name in COMPARED:
        found, wanted = tables[name], expected[name]
        if name == "quarantine" and not payloads:
            found = found.filter(pl.col("date").is_not_null()).drop("payload_sha256")
            wanted = wanted.drop("payload_sha256")
        assert found.equals(wanted), (name, found, wanted)
    for name in ("bars_1d", "actions"):
        key = list(TABLES[name].key)
        assert not tables[name].select(key).is_duplicated().any()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@contextlib.contextmanager
def killed_at_the_end(fleet: Fleet) -> Iterator[Fleet]:
    try:
        yield fleet
    finally:
        fleet.kill_all()
