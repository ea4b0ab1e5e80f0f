"""Fleets of real processes; they share a PostgreSQL server of their own, Azurite and an invented market."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from azure.storage.blob import BlobServiceClient

from quantx.sandbox import Sandbox, load_market, running
from quantx.sandbox.market import Market

from ..azurite import Azurite
from .fleet import Fleet, Server, Vendor, killed_at_the_end
from .market import LAST, SYMBOLS, write_market

NAMES = ",".join(SYMBOLS)
FIRST_RUN = ("backfill", "--start", "2014-01-02", "--end", "2015-06-30", "--symbols", NAMES)
SECOND_RUN = ("backfill", "--start", "2014-01-02", "--end", "2016-12-30", "--symbols", NAMES, "--again")
REVISED = [(symbol, day, 4_711.0 + n) for day in ("2014-03-04", "2015-01-06") for n, symbol in enumerate(SYMBOLS[4:14])]


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="session")
def market(market_folder: Path) -> Market:
    return load_market(market_folder)


@pytest.fixture(scope="session")
def server(server_folder: Callable[[], Path]) -> Iterator[Server]:
    """A PostgreSQL server that tests may end; the other tests have another one."""
    started = Server(server_folder())
    yield started
    started.close()


@pytest.fixture
def vendors(market: Market) -> Iterator[Callable[..., Vendor]]:
    """Starts sandboxes in threads of this process, which saves their imports."""
    with contextlib.ExitStack() as started:

        def start(**options: Any) -> Vendor:
            return Vendor(started.enter_context(running(Sandbox(market, now=LAST, **options))))

        yield start


@pytest.fixture
def fleets(azurite: Azurite, server: Server, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets, each with a container, a queue and a database of its own."""
    with contextlib.ExitStack() as ending:

        def make(vendor: Vendor, **more: str) -> Fleet:
            name = f"fleet-{uuid.uuid4().hex[:12]}"
            with BlobServiceClient.from_connection_string(azurite.connection_string) as client:
                client.create_container(name).close()
            settings = {
                "QUANTX_LAKE_URL": f"az://{name}/lake",
                "QUANTX_QUEUE_URL": f"az://{name}",
                "QUANTX_STATE_URL": ending.enter_context(_database(server.url)),
                "AZURE_STORAGE_CONNECTION_STRING": azurite.connection_string,
                "QUANTX_YFINANCE_BASE_URL": vendor.url,
                "QUANTX_YFINANCE_QUOTA": "unlimited",
                "QUANTX_LEASE_SECONDS": "2",
                "QUANTX_INSPECT": "false",
                **more,
            }
            folder = tmp_path / name
            folder.mkdir()
            return ending.enter_context(killed_at_the_end(Fleet(settings, vendor, folder)))

        yield make


@pytest.fixture(scope="session")
def clean(market: Market, server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The tables after both runs, undisturbed: one process, a lake in a folder, the queue in PostgreSQL."""
    folder = tmp_path_factory.mktemp("clean")
    with running(Sandbox(market, now=LAST)) as url, _database(server.url) as database:
        settings = {
            "QUANTX_LAKE_URL": str(folder / "lake"),
            "QUANTX_QUEUE_URL": "postgresql",
            "QUANTX_STATE_URL": database,
            "QUANTX_YFINANCE_BASE_URL": url,
            "QUANTX_INSPECT": "false",
            "QUANTX_YFINANCE_QUOTA": "unlimited",
        }
        fleet = Fleet(settings, Vendor(url), folder)
        fleet.here(*FIRST_RUN)
        revise(fleet.vendor)
        fleet.here(*SECOND_RUN)
        tables = fleet.tables()
    assert tables["bars_1d_revisions"].height == len(REVISED)
    assert tables["quarantine"].height == 3
    return tables


def revise(vendor: Vendor) -> None:
    """Have the vendor correct bars that it has sent before."""
    for symbol, day, volume in REVISED:
        vendor.tell("revise", symbol=symbol, date=day, field="volume", value=volume)


@contextlib.contextmanager
def _database(server: str) -> Iterator[str]:
    name = f"fleet_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    yield server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")
