"""A state without a password: a token of the identity for each new connection, while tokens end all the time."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import psycopg
import pytest

from quantx.azure_sign_in import AzureIdentity
from quantx.errors import ConfigError, StateError
from quantx.settings import load_settings
from quantx.state.database import Database
from quantx.state.entra import SignIn, identity_of_state

from ..azurite import FakeIdentity
from ..token_postgres import TokenPostgres, token_postgres

AZURE = "postgresql://quantx-worker@db.postgres.database.azure.com/quantx"


@pytest.fixture(scope="module")
def identity() -> Iterator[FakeIdentity]:
    started = FakeIdentity()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def server(server_folder: Callable[[], Path], identity: FakeIdentity) -> Iterator[TokenPostgres]:
    with token_postgres(server_folder(), identity) as started:
        yield started


@pytest.fixture
def address(server: TokenPostgres, identity: FakeIdentity, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new database for its owner, and the environment that has the identity."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", identity.endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", FakeIdentity.SECRET)
    monkeypatch.delenv("AZURE_CLIENT_ID", raising=False)
    identity.lifetime = 3600.0
    name = f"test_{uuid.uuid4().hex}"
    server.new_database(name)
    return server.url("owner", name)


def backend(database: Database) -> int:
    """The server process of a connection of the pool."""
    with database.transaction() as connection:
        row = connection.execute("select pg_backend_pid() as pid").fetchone()
    return int(row["pid"]) if row else 0


def test_a_token_is_the_password(address: str, server: TokenPostgres) -> None:
    with pytest.raises(StateError, match="password"):
        Database(address)  # nobody gets in without
    with contextlib.closing(Database(address, identity=AzureIdentity())) as database:
        assert database.rows("lake_binding.now")
        assert database.shown_url == address


def test_connections_are_replaced_while_their_tokens_end(
    address: str, server: TokenPostgres, identity: FakeIdentity
) -> None:
    identity.lifetime = 2.0
    before, backends = len(server.tokens), set()
    with contextlib.closing(Database(address, identity=AzureIdentity())) as database:
        first, until = server.tokens[before], time.monotonic() + 60
        while len(backends) < 3 and time.monotonic() < until:  # with an old token and a new connection it would fail
            backends.add(backend(database))
            time.sleep(0.05)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(address, password=first)  # the first token has ended indeed
    assert len(backends) == 3
    assert len(server.tokens) - before >= 3


def test_a_role_is_held_beyond_the_end_of_its_token(
    address: str, server: TokenPostgres, identity: FakeIdentity
) -> None:
    identity.lifetime = 2.0
    with contextlib.closing(Database(address, identity=AzureIdentity())) as database:
        with database.exclusive(42) as mine:
            time.sleep(4)
            assert mine is not None
            mine.confirm()
            assert database.rows("lake_binding.now")  # on another connection, with another token
        with database.exclusive(42) as again:
            assert again is not None


def test_no_token_is_told(
    address: str, server: TokenPostgres, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with contextlib.closing(Database(address, identity=AzureIdentity())) as database:
        database.rows("lake_binding.now")
        said = [repr(database), database.shown_url]
    with pytest.raises(StateError) as refusal:
        Database(address.replace("/test_", "/no_"), identity=AzureIdentity())
    told = "\n".join([*said, str(refusal.value), repr(refusal.value), caplog.text, *capfd.readouterr()])
    assert "no_" in str(refusal.value)
    assert len(server.tokens) > 1
    assert not [token for token in server.tokens if token in told]


def test_that_there_is_no_token_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    with pytest.raises(
        StateError, match=r"no token .* for https://ossrdbms-aad.database.windows.net; check AZURE_CLIENT_ID"
    ):
        Database(address, identity=AzureIdentity())


SIGNS_IN: dict[str, tuple[dict[str, Any], bool]] = {
    "in Azure, without a password": ({"state_url": AZURE}, True),
    "in Azure, with a password": ({"state_url": AZURE.replace("@", ":c4n4ry@")}, False),
    "in Azure, and it is not wanted": ({"state_url": AZURE, "state_identity": False}, False),
    "elsewhere": ({"state_url": "postgresql://quantx@db.example.org/quantx"}, False),
    "elsewhere, and it is wanted": (
        {"state_url": "postgresql://quantx@db.example.org/quantx", "state_identity": True},
        True,
    ),
    "a host that only looks like Azure": ({"state_url": f"{AZURE[:-7]}.example.org/quantx"}, False),
    "embedded": ({"state_url": "./data/state", "state_identity": True}, False),
}


@pytest.mark.parametrize(("settings", "wanted"), SIGNS_IN.values(), ids=SIGNS_IN)
def test_when_the_identity_signs_in(settings: dict[str, Any], wanted: bool) -> None:
    assert (identity_of_state(load_settings(**settings)) is not None) is wanted


class Known(AzureIdentity):
    """Gives one token without asking anybody."""

    @property
    def credential(self) -> Any:
        from azure.core.credentials import AccessToken

        class Credential:
            def get_token(self, *scopes: str) -> AccessToken:
                return AccessToken("t0k3n", int(time.time()) + 4000)

        return Credential()


ENCRYPTION: dict[str, tuple[str, dict[str, str]]] = {
    "another machine": (AZURE, {"sslmode": "verify-full", "sslrootcert": certifi.where()}),
    "as the URL says": (f"{AZURE}?sslmode=require", {}),
    "this machine": ("postgresql://quantx@127.0.0.1/quantx", {}),
    "a socket": ("postgresql://quantx@/quantx?host=/run", {}),
}


@pytest.mark.parametrize(("url", "more"), ENCRYPTION.values(), ids=ENCRYPTION)
def test_a_token_travels_encrypted_and_to_whom_it_is_meant_for(url: str, more: dict[str, str]) -> None:
    sign_in = SignIn(url, Known())
    assert sign_in() == {"password": "t0k3n", **more}
    assert sign_in.longest_use() == 2700  # less than the shortest life of a token in Azure


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_a_token_never_travels_unencrypted(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"sslmode={mode}, but a token needs encryption"):
        SignIn(f"{AZURE}?sslmode={mode}", Known())


def test_an_identity_needs_its_name_in_the_url() -> None:
    with pytest.raises(ConfigError, match="has no user"):
        SignIn(AZURE.replace("quantx-worker@", ""), Known())


def test_without_an_identity_nothing_of_azure_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys; from quantx.state.database import Database; import quantx.queues.open, quantx.azure_sign_in;"
        "print([m for m in sys.modules if m.startswith(('azure', 'msal'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == "[]"
