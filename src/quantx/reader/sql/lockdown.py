"""A database in memory that reaches the files of some folders, and nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import duckdb

from quantx.errors import SqlError
from quantx.reader.sql.catalog import text
from quantx.reader.sql.result import FailedResult

_MEMORY = 0.5  # of the machine's memory


def locked_connection(folders: Sequence[str], memory: int | None) -> duckdb.DuckDBPyConnection:
    """Return a connection whose queries reach the files of some folders; `memory` in bytes.

    `enable_external_access` also forbids extensions; `lock_configuration` forbids to change any setting. DuckDB may
    write into the folders, which is why every query is checked before, and runs in a transaction that can't write.
    """
    connection = duckdb.connect(":memory:")
    listed = ", ".join(text(f"{folder.rstrip('/')}/") for folder in folders)
    for setting in (
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",
        "max_temp_directory_size = '0B'",
        f"memory_limit = '{(memory or _usual_memory()) // 2**20}MiB'",
        "TimeZone = 'UTC'",
        f"allowed_directories = [{listed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    return connection


def _usual_memory() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _MEMORY)


@contextmanager
def interrupted_after(cursor: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Interrupt the query of a cursor after some seconds, with an SqlError.

    It is a timer and not the setting `max_execution_time`, which DuckDB 1 lacks and a locked connection can't change.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        cursor.interrupt()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (duckdb.Error, FailedResult):
        if not late.is_set():
            raise
        raise late_error(seconds) from None
    finally:
        timer.cancel()


def late_error(seconds: float) -> SqlError:
    """Return the error of a query that was stopped after some seconds."""
    return SqlError(
        f"the query ran longer than {seconds:g} seconds and was stopped; narrow it by symbol or date, or raise the"
        " limit (timeout=, --timeout)"
    )


def roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    """End a transaction, if an error has not ended it."""
    with suppress(duckdb.Error):
        connection.execute("ROLLBACK")
