"""The scripts of migrator and power in the image, against a fake of Azure's management and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from quantx.state.database import Database

from ..azurite import FakeIdentity
from ..databases import Databases

DATABASE = Path(__file__).parents[2] / "infra" / "database"
GROUP = "/subscriptions/s/resourceGroups/g"
SERVER = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/p"
JOBS = f"{GROUP}/providers/Microsoft.App/jobs"
Power = Callable[..., tuple[int, str]]


class Management:
    """A server, a resource group, jobs and a queue as Azure's REST answers for them; remembers the requests.

    `states` are those that the server goes through, one for each look at it; an operation moves it on as well.
    Operations are accepted with 202, and refused with 409 while another one is in progress, as in
    hashicorp/terraform-provider-azurerm#29219 (ServerIsNotReady).
    """

    def __init__(self, *states: str, conflicts: int = 0, refusal: int = 0) -> None:
        self.states, self.conflicts, self.refusal = list(states), conflicts, refusal
        self.waiting = 0
        self.tags: dict[str, str] = {}
        self.executions: dict[str, list[str]] = {"quantx-t-worker": ["Succeeded", "Failed"], "quantx-t-db-stop": []}
        self.asked: list[tuple[str, str]] = []
        self.signed: set[bool] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, code: int, body: dict[str, Any], **headers: str) -> None:
                outer.signed.add(str(self.headers.get("Authorization", "")).startswith("Bearer "))
                self.send_response(code)
                for name, text in headers.items():
                    self.send_header(name.replace("_", "-"), text)
                content = json.dumps(body).encode()
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                outer.asked.append(("GET", path))
                if path == "/tasks":
                    self.answer(200, {}, x_ms_approximate_messages_count=str(outer.waiting))
                elif path == GROUP:
                    self.answer(200, {"id": GROUP, "tags": outer.tags})
                elif path == JOBS and "page=2" not in self.path:
                    second = f"{outer.url}{JOBS}?api-version=2026-01-01&page=2"
                    self.answer(200, {"value": [], "nextLink": second})
                elif path == JOBS:
                    self.answer(200, {"value": [{"id": f"{JOBS}/{name}", "name": name} for name in outer.executions]})
                elif path.startswith(JOBS):
                    name = path.removeprefix(f"{JOBS}/").removesuffix("/executions")
                    found = [{"name": f"{name}-1", "properties": {"status": s}} for s in outer.executions[name]]
                    self.answer(200, {"value": found})
                elif outer.refusal:
                    self.answer(outer.refusal, {"error": {"code": "AuthorizationFailed"}})
                else:
                    state = outer.states[0] if len(outer.states) == 1 else outer.states.pop(0)
                    self.answer(200, {"properties": {"state": state}})

            def do_POST(self) -> None:
                outer.asked.append(("POST", self.path.split("?")[0]))
                if outer.conflicts:
                    outer.conflicts -= 1
                    self.answer(409, {"error": {"code": "ServerIsNotReady"}})
                else:
                    self.answer(202, {})

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def begun(self) -> list[str]:
        """Return the requested operations on the server."""
        return [path.removeprefix(f"{SERVER}/") for verb, path in self.asked if verb == "POST"]

    def environment(self) -> dict[str, str]:
        return {
            "MANAGEMENT_URL": f"{self.url}/",
            "SERVER_ID": SERVER,
            "QUEUE_URL": f"{self.url}/tasks",
            "POLL_SECONDS": "0",
            "STATEMENT": (DATABASE / "in_progress.sql").read_text("utf-8"),
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def identity() -> Iterator[FakeIdentity]:
    stand_in = FakeIdentity()
    yield stand_in
    stand_in.stop()


def run(script: str, identity: FakeIdentity, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as the container does: its text after `python -c`."""
    signed_in = {
        "IDENTITY_ENDPOINT": identity.endpoint,
        "IDENTITY_HEADER": identity.SECRET,
        "AZURE_CLIENT_ID": "client",
    }
    return subprocess.run(
        [sys.executable, "-c", (DATABASE / script).read_text("utf-8"), *arguments],
        env={"PATH": os.environ["PATH"], **signed_in, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def power(identity: FakeIdentity, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Power:
    """Run power.py in this process; return its exit code and what it wrote."""

    def run_here(verb: str, azure: Management, **environment: str) -> tuple[int, str]:
        signed_in = {"IDENTITY_ENDPOINT": identity.endpoint, "IDENTITY_HEADER": identity.SECRET}
        for name, value in {**signed_in, "AZURE_CLIENT_ID": "client", **azure.environment(), **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["-c", verb])
        code: int | str | None = 0
        try:
            exec(compile((DATABASE / "power.py").read_text("utf-8"), "power.py", "exec"), {})  # noqa: S102 - as python -c
        except SystemExit as end:
            code = end.code
        finally:
            azure.stop()
        assert azure.signed == {True}
        return (1, str(code)) if isinstance(code, str) else (0, capsys.readouterr().out)

    return run_here


@pytest.mark.parametrize(
    ("states", "conflicts", "begun"),
    [
        (["Ready"], 0, []),
        (["Stopped", "Starting", "Starting", "Ready"], 0, ["start"]),
        (["Starting", "Ready"], 0, []),
        (["Stopping", "Stopped", "Starting", "Ready"], 0, ["start"]),  # the stop of a minute ago is still in progress
        (["Updating", "Ready"], 0, []),
        (["Stopped", "Stopped", "Starting", "Ready"], 1, ["start", "start"]),  # 409, then accepted
    ],
)
def test_a_start_waits_until_the_server_is_ready(
    power: Power, states: list[str], conflicts: int, begun: list[str]
) -> None:
    azure = Management(*states, conflicts=conflicts)
    code, wrote = power("start", azure)
    assert (code, wrote.splitlines()[-1]) == (0, "database Ready")
    assert azure.begun() == begun


@pytest.mark.parametrize(
    ("azure", "reason"),
    [
        (Management, "database Starting: not ready after 0 seconds"),
        (lambda *_: Management("Disabled"), "database Disabled: it can't be started from this state"),
        (lambda *_: Management("Dropping"), "database Dropping: it can't be started from this state"),
        (lambda *_: Management("Stopped", refusal=403), f"database: GET {SERVER} was answered with 403"),
    ],
)
def test_a_start_that_fails_names_the_reason_and_the_state(
    power: Power, azure: Callable[[str], Management], reason: str
) -> None:
    code, wrote = power("start", azure("Starting"), WAIT_SECONDS="0")
    assert code == 1
    assert wrote.startswith(reason)


@pytest.mark.parametrize("state", ["Stopped", "Stopping", "Starting", "Updating"])
def test_a_server_that_does_not_run_is_not_stopped(power: Power, state: str) -> None:
    azure = Management(state)
    assert power("stop", azure) == (0, f"database {state}, not running: unchanged\n")
    assert azure.begun() == []


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    """The address of a state, with a role that may see whether tasks are in progress."""
    with databases.migrated() as url, psycopg.connect(url, autocommit=True) as owner:
        owner.execute("create role quantx_t_power login")
        with closing(Database(url)) as database:
            database.grant("quantx_t_power", "progress")
        owner.execute("insert into quantx.runs (id, kind, source, request) values ('r', 'daily', 'y', '{}')")
        yield url
        owner.execute("drop owned by quantx_t_power")
        owner.execute("drop role quantx_t_power")


@pytest.fixture
def as_power(url: str) -> dict[str, str]:
    return {**libpq(url), "PGUSER": "quantx_t_power"}


@pytest.fixture
def owner(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
        connection.execute("delete from quantx.tasks")
        connection.execute("grant select (lease_until) on quantx.tasks to quantx_t_power")


def test_a_server_that_nothing_uses_is_stopped(power: Power, as_power: dict[str, str]) -> None:
    azure = Management("Ready")
    assert power("stop", azure, **as_power) == (0, "database Ready: stop\n")
    assert azure.begun() == ["stop"]


def test_another_operation_in_progress_is_no_failure(power: Power, as_power: dict[str, str]) -> None:
    assert power("stop", Management("Ready", conflicts=1), **as_power) == (0, "database Ready: busy, unchanged\n")


@pytest.mark.parametrize(
    ("tags", "executions", "waiting", "reason"),
    [
        ({"quantx-deploying": ago(0.5)}, {}, 0, "a deployment since"),
        ({"quantx-deploying": ago(4)}, {}, 0, ""),  # it was killed: its tag no longer counts
        ({"quantx-deploying": "yes", "owner": "me"}, {}, 0, ""),
        ({}, {"quantx-t-backfill": ["Succeeded", "Running"]}, 0, "the execution quantx-t-backfill-1"),
        ({}, {"quantx-t-worker": ["Processing"]}, 0, "the execution quantx-t-worker-1"),
        ({}, {"quantx-t-db-stop": ["Running"]}, 0, ""),  # this one
        ({}, {}, 3, "3 tasks queued"),
    ],
)
def test_what_uses_the_server_keeps_it_running(
    power: Power,
    as_power: dict[str, str],
    tags: dict[str, str],
    executions: dict[str, list[str]],
    waiting: int,
    reason: str,
) -> None:
    azure = Management("Ready")
    azure.tags, azure.waiting = tags, waiting
    azure.executions |= executions
    code, wrote = power("stop", azure, **as_power)
    assert code == 0
    assert reason in wrote
    assert azure.begun() == ([] if reason else ["stop"])


@pytest.mark.parametrize(
    ("state", "leased", "changed", "held"),
    [
        ("leased", "10 min", "5 h", "1 tasks held by workers, 0 changed"),
        ("leased", "-10 min", "5 h", ""),  # its worker is gone
        ("landed", None, "1 h", "0 tasks held by workers, 1 changed"),
        ("pending", None, "1 h", "0 tasks held by workers, 1 changed"),
        ("pending", None, "5 h", ""),
        ("done", None, "1 min", ""),
    ],
)
def test_tasks_in_progress_keep_the_server_running(
    power: Power,
    owner: psycopg.Connection,
    as_power: dict[str, str],
    state: str,
    leased: str | None,
    changed: str,
    held: str,
) -> None:
    owner.execute(
        "insert into quantx.tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end,"
        " state, lease_until, updated_at) values ('r', 'fetch', 'y', 'bars', '1d', 'A', '2025-01-02', '2025-01-02', %s,"
        " now() + %s::interval, now() - %s::interval)",
        [state, leased, changed],
    )
    azure = Management("Ready")
    code, wrote = power("stop", azure, **as_power)
    assert code == 0
    assert held in wrote
    assert azure.begun() == ([] if held else ["stop"])


def test_a_state_that_can_not_be_asked_keeps_it_running_and_is_a_failure(
    power: Power, owner: psycopg.Connection, as_power: dict[str, str]
) -> None:
    owner.execute("revoke select (lease_until) on quantx.tasks from quantx_t_power")
    azure = Management("Ready")
    code, wrote = power("stop", azure, **as_power)
    assert (code, wrote) == (1, "database: stop failed: permission denied for table tasks")
    assert azure.begun() == []


def test_it_runs_as_the_container_runs_it(identity: FakeIdentity) -> None:
    azure = Management("Stopped", "Starting", "Ready")
    try:
        ended = run("power.py", identity, "start", **azure.environment())
    finally:
        azure.stop()
    assert (ended.returncode, ended.stdout) == (0, "database Stopped: start\ndatabase Ready\n"), ended.stderr


def test_principals_are_made_known_once(identity: FakeIdentity, empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as database:
        # Azure's own function, as far as its effect can be seen without Azure: a role that may sign in.
        database.execute("""
            create function pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean) returns text
            language plpgsql as $$ begin
                execute format('create role %I login', $1);
                execute format('comment on role %I is %L', $1, $2 || ' ' || $3 || ' ' || $4 || ' ' || $5);
                return $1;
            end $$
        """)
        environment = {**libpq(empty_database_url), "STATEMENT": (DATABASE / "principal.sql").read_text("utf-8")}
        identities = "quantx-t-worker=11111111-1111-1111-1111-111111111111 quantx-t-functions=2222"
        principals = f"{identities} quantx-t-readers=3=group"
        try:
            first = run("principals.py", identity, PRINCIPALS=principals, **environment)
            second = run("principals.py", identity, PRINCIPALS=principals, **environment)
            assert first.stdout.splitlines() == [
                "principal quantx-t-worker: made",
                "principal quantx-t-functions: made",
                "principal quantx-t-readers: made",
            ], first.stderr
            assert second.stdout.splitlines() == [
                "principal quantx-t-worker: known already",
                "principal quantx-t-functions: known already",
                "principal quantx-t-readers: known already",
            ]
            comment = database.execute(
                "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = 'quantx-t-worker'"
            ).fetchone()
            assert comment == ("11111111-1111-1111-1111-111111111111 service false false",)  # neither admin nor MFA
            comment = database.execute(
                "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = 'quantx-t-readers'"
            ).fetchone()
            assert comment == ("3 group false false",)
        finally:
            for role in ("quantx-t-worker", "quantx-t-functions", "quantx-t-readers"):
                database.execute(f'drop role if exists "{role}"')


def libpq(url: str) -> dict[str, str]:
    parts = psycopg.conninfo.conninfo_to_dict(url)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    return {names[key]: str(text) for key, text in parts.items() if key in names}
