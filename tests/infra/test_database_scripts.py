"""The scripts of migrator and power in the image, against a fake of Azure's management and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..azurite import FakeIdentity

DATABASE = Path(__file__).parents[2] / "infra" / "database"
SERVER = "/subscriptions/s/resourceGroups/g/providers/Microsoft.DBforPostgreSQL/flexibleServers/p"


class Management:
    """A database server that can be started and stopped, and a queue, over HTTP; remembers who asked for what."""

    def __init__(self, state: str, waiting: int) -> None:
        self.state, self.waiting = state, waiting
        self.asked: list[tuple[str, str]] = []
        self.signed: set[bool] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self, body: dict[str, Any], **headers: str) -> None:
                outer.signed.add(str(self.headers.get("Authorization", "")).startswith("Bearer "))
                self.send_response(200)
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
                    self.answer({}, x_ms_approximate_messages_count=str(outer.waiting))
                else:
                    self.answer({"properties": {"state": outer.state}})

            def do_POST(self) -> None:
                outer.asked.append(("POST", self.path.split("?")[0]))
                self.answer({})

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

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


@pytest.mark.parametrize(
    ("verb", "state", "waiting", "done"),
    [
        ("start", "Stopped", 0, True),
        ("start", "Ready", 0, False),
        ("start", "Starting", 0, False),
        ("stop", "Ready", 0, True),
        ("stop", "Ready", 3, False),
        ("stop", "Stopped", 0, False),
        ("stop", "Updating", 0, False),
    ],
)
def test_the_database_is_started_and_stopped_once(
    identity: FakeIdentity, verb: str, state: str, waiting: int, done: bool
) -> None:
    azure = Management(state, waiting)
    try:
        ended = run(
            "power.py", identity, verb, MANAGEMENT_URL=f"{azure.url}/", SERVER_ID=SERVER, QUEUE_URL=f"{azure.url}/tasks"
        )
    finally:
        azure.stop()
    assert ended.returncode == 0, ended.stderr
    assert (("POST", f"{SERVER}/{verb}") in azure.asked) is done
    assert len([verb for verb, _ in azure.asked if verb == "POST"]) == int(done)
    assert azure.signed == {True}


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
