"""The system in the cloud's way: HTTPS, and an identity instead of a key."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from ..azurite import ACCOUNT, KEY, SecureAzurite
from .conftest import _database
from .fleet import Fleet, Server, Vendor, clean_environment, killed_at_the_end
from .market import SYMBOLS


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
