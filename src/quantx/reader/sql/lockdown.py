"""A database in memory that reaches the files of some folders, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import TypeVar

import duckdb

from quantx.errors import SqlError
from quantx.reader.sql.catalog import text

T = TypeVar("T")
_MEMORY = 0.5  # of the machine's memory
_AGAIN = 0.05  # seconds


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


def run_within(seconds: float, cursor: duckdb.DuckDBPyConnection, query: Callable[[], T]) -> T:
    """Run the query of a cursor; interrupt it after some seconds, with an SqlError, or by Ctrl-C.

    It is a wait and not the setting `max_execution_time`, which DuckDB 1 lacks and a locked connection can't change.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="quantx-sql") as pool:
        running = pool.submit(query)
        try:
            done = wait([running], seconds).done
        except KeyboardInterrupt:
            _interrupt(cursor, running)
            raise
        if not done:
            _interrupt(cursor, running)
            raise late_error(seconds)
        return running.result()


def _interrupt(cursor: duckdb.DuckDBPyConnection, running: Future[T]) -> None:
    while not running.done():  # an interrupt between two steps of a query has no effect
        cursor.interrupt()
        wait([running], _AGAIN)


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
