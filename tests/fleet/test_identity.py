"""The system in the cloud's way: HTTPS, and an identity instead of a key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient

from ..azurite import ACCOUNT, KEY, SecureAzurite, start_secure, why_missing
from ..token_postgres import token_postgres
from .conftest import _database
from .fleet import Fleet, Server, Vendor, clean_environment, killed_at_the_end
from .market import SYMBOLS

pytestmark = pytest.mark.slow


def test_a_backfill_and_a_query_without_a_key(
    azurite_https: SecureAzurite, server: Server, vendors: Callable[..., Vendor], tmp_path: Path
) -> None:
    name, secure = f"fleet-{uuid.uuid4().hex[:12]}", azurite_https
    authority = secure.environment["SSL_CERT_FILE"]
    key = {"account_name": ACCOUNT, "account_key": KEY}
    with BlobServiceClient(secure.azurite.blob_endpoint, key, connection_verify=authority) as client:
        client.create_container(name).close()
    with _database(server.url) as state:
        settings = {
            **secure.environment,
            "QUANTX_LAKE_URL": f"az://{name}/lake",
            "QUANTX_QUEUE_URL": f"{secure.azurite.queue_endpoint}/{name}",
            "QUANTX_STATE_URL": state,
            "QUANTX_YFINANCE_BASE_URL": vendors().url,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
        }
        assert not any(KEY in value for value in {**clean_environment(), **settings}.values())
        fleet = Fleet(settings, Vendor(settings["QUANTX_YFINANCE_BASE_URL"]), tmp_path)
        wanted = ",".join(SYMBOLS[:4])
        with killed_at_the_end(fleet):
            run = fleet.start("backfill", "--start", "2016-10-03", "--end", "2016-12-30", "--symbols", wanted)
            fleet.ends(run, 0)
            query = fleet.start("query", "--symbols", wanted, "--format", "csv", "-o", str(tmp_path / "bars.csv"))
            fleet.ends(query, 0)
            status = fleet.told("status")
    lines = (tmp_path / "bars.csv").read_text().splitlines()
    assert len(lines) == 1 + 4 * 63
    assert (status["tasks"]["done"], status["queue"]["total"]) == (4, 0)
    assert "https://storage.azure.com" in {resource.rstrip("/") for resource in secure.identity.issued}


def test_a_worker_goes_on_while_all_of_its_tokens_end(
    server_folder: Callable[[], Path], vendors: Callable[..., Vendor], tmp_path: Path
) -> None:
    """An account without keys, a PostgreSQL without passwords, and tokens of a few seconds (F7)."""
    if missing := why_missing():
        pytest.skip(missing)
    secure, name = start_secure(server_folder(), keyless=True), f"fleet-{uuid.uuid4().hex[:12]}"
    secure.identity.lifetime = 3.0
    with token_postgres(server_folder(), secure.identity) as postgres:
        postgres.new_database(name)
        settings = {
            **secure.environment,
            "QUANTX_LAKE_URL": f"az://{name}/lake",
            "QUANTX_QUEUE_URL": f"{secure.azurite.queue_endpoint}/{name}",
            "QUANTX_STATE_URL": postgres.url("owner", name),
            "QUANTX_STATE_IDENTITY": "true",
            "QUANTX_YFINANCE_BASE_URL": vendors().url,
            "QUANTX_YFINANCE_QUOTA": "2/s",
            "QUANTX_CHUNK_SIZE": "4",
        }
        fleet = Fleet(settings, Vendor(settings["QUANTX_YFINANCE_BASE_URL"]), tmp_path)
        with killed_at_the_end(fleet):
            wanted = ("--symbols", ",".join(SYMBOLS))
            run = fleet.start("backfill", "--start", "2016-11-01", "--end", "2016-12-30", *wanted)
            fleet.ends(run, 0)
            said = fleet.said(run)
        with psycopg.connect(postgres.admin.replace("/postgres?", f"/{name}?")) as connection:
            tasks = connection.execute("select state, attempts, lapses from quantx.tasks").fetchall()
        assert tasks == [("done", 0, 0)] * len(SYMBOLS)
        assert len(postgres.tokens) >= 4  # of three seconds each, in twelve
        assert len(secure.identity.issued) - len(postgres.tokens) >= 4
        assert not [token for token in postgres.tokens if token in said]
        assert "eyJ" not in said  # how each token begins
    secure.azurite.stop(kill=True)
    secure.identity.stop()
