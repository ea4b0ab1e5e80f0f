"""A pool of connections, the named statements of the .sql files, and the schema's migrations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from quantx.errors import ConfigError, RefusedStatement, StateError
from quantx.settings import without_secrets
from quantx.state.embedded import EmbeddedPostgres
from quantx.state.protocol import Row

_SCHEMA_VERSION = 3
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PATIENCE = 10  # seconds to connect
_MIGRATION_LOCK = 7_013_001  # advisory lock: one process migrates


@dataclass(frozen=True)
class Hold:
    """An advisory lock that is held as long as its connection lives."""

    connection: psycopg.Connection[DictRow]

    def confirm(self) -> None:
        """Raise a StateError where the connection has ended, and with it the lock."""
        try:
            self.connection.execute("select 1")
        except psycopg.Error as error:
            raise StateError(f"PostgreSQL: the lock is lost: {_first_line(error)}") from error


class Database:
    """PostgreSQL with the schema `quantx` in its newest version."""

    def __init__(self, url: str, *, connections: int = 4) -> None:
        self._embedded: EmbeddedPostgres | None = None
        self._given = url
        if "://" not in url or url.startswith("file://"):
            self._embedded = EmbeddedPostgres(Path(url.removeprefix("file://")))
            url = self._embedded.start()
        elif not url.startswith(("postgresql://", "postgres://")):
            raise ConfigError(
                f"the state's URL starts with {url.partition('://')[0]}://; use postgresql://, or a folder for the embedded one"
            )
        self._url = url
        self._pool: ConnectionPool[psycopg.Connection[DictRow]] = ConnectionPool(
            url,
            connection_class=psycopg.Connection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "options": "-c search_path=quantx -c timezone=UTC",
                "connect_timeout": _PATIENCE,
            },
            min_size=0,
            max_size=connections,
            open=True,
            timeout=_PATIENCE / 2,
            # Left to itself the pool tries for minutes, each time after twice as long: a server that is back would
            # stay unnoticed for as long as it was away. Who gives up soon is asked anew by the next caller.
            reconnect_timeout=_PATIENCE / 2,
            check=ConnectionPool.check_connection,
        )
        try:
            self._say_if_unreachable()
            self._migrate()
        except (StateError, ConfigError):
            self.close()
            raise

    @property
    def shown_url(self) -> str:
        """Return where the database is, without a password."""
        return without_secrets(self._given)

    def close(self) -> None:
        """Close the pool, and the embedded server where nobody else uses it."""
        self._pool.close(timeout=1)
        if self._embedded is not None:
            self._embedded.stop_if_unused()

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[DictRow]]:
        """Yield a connection in a transaction that commits at the end and rolls back on an error."""
        try:
            with self._pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise StateError(f"PostgreSQL gives no connection: {error}") from error
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.IntegrityError) as error:
            raise RefusedStatement(f"PostgreSQL: {_first_line(error)}") from error
        except psycopg.Error as error:  # also deadlocks, and a server that is read-only during a fail-over
            raise StateError(f"PostgreSQL: {_first_line(error)}") from error

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """Run a named statement (`file.name`) in a transaction of its own and return its rows."""
        with self.transaction() as connection:
            return run(connection, statement, values)

    @contextmanager
    def exclusive(self, lock: int) -> Iterator[Hold | None]:
        """Hold an advisory lock while the block lasts; yield None where somebody else has it.

        PostgreSQL frees the lock when the connection ends, also without our doing: see `Hold.confirm`.
        """
        with self.transaction() as connection:
            connection.autocommit = True
            got = connection.execute("select pg_try_advisory_lock(%s) as got", [lock]).fetchone()
            held = bool(got and got["got"])
            try:
                yield Hold(connection) if held else None
            finally:
                if held and not connection.broken:
                    connection.execute("select pg_advisory_unlock(%s)", [lock])
                if not connection.broken:
                    connection.autocommit = False

    def _say_if_unreachable(self) -> None:
        """Raise a StateError with the reason; the pool would try for its whole time-out and tell none."""
        try:
            psycopg.connect(self._url, connect_timeout=_PATIENCE).close()
        except psycopg.Error as error:
            raise StateError(f"PostgreSQL can't be reached at {self.shown_url}: {_first_line(error)}") from error

    def _migrate(self) -> None:
        with self.transaction() as connection:
            connection.execute("select pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
            connection.execute("create schema if not exists quantx")
            connection.execute(
                "create table if not exists quantx.schema_version"
                " (version integer primary key, applied_at timestamptz not null default clock_timestamp())"
            )
            found = connection.execute(
                "select coalesce(max(version), 0) as version from quantx.schema_version"
            ).fetchone()
            version = found["version"] if found else 0
            if version > _SCHEMA_VERSION:
                raise ConfigError(
                    f"the database has schema version {version}, this program knows {_SCHEMA_VERSION}; update the program"
                )
            for step in range(version + 1, _SCHEMA_VERSION + 1):
                connection.execute(_read(f"schema_{step}.sql"))
                connection.execute("insert into quantx.schema_version (version) values (%s)", [step])


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def run(connection: psycopg.Connection[DictRow], statement: str, values: Mapping[str, Any]) -> list[Row]:
    """Run a named statement on a connection, as part of its transaction."""
    file, _, name = statement.partition(".")
    cursor = connection.execute(_statements(file)[name], values)
    return cursor.fetchall() if cursor.description else []


@lru_cache
def _statements(file: str) -> dict[str, str]:
    parts = _NAME.split(_read(f"{file}.sql"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _read(name: str) -> str:
    return resources.files("quantx.state").joinpath("sql", name).read_text("utf-8")
