"""The connection pool, the named statements of each noun, and the schema's migrations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from quantx.azure_sign_in import AzureIdentity
from quantx.errors import ConfigError, RefusedStatement, StateError
from quantx.settings import without_secrets
from quantx.state.embedded import EmbeddedPostgres
from quantx.state.entra import SignIn
from quantx.state.schema.migrations import SCHEMA_VERSION, Rights, found_version, grant, migrate, read_sql
from quantx.state.values import Row

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_TIMEOUT = 10  # seconds to connect
# Why there is no connection, by words of the client library's text; there is no code for it.
_NUL_PROBLEM = "cannot contain NUL"  # in the text of psycopg
_NO_CONNECTION = {
    "Connection refused": "the connection is refused; check that the server runs and listens there",
    "could not translate host name": "the host's name can't be resolved",
    "failed to resolve host": "the host's name can't be resolved",
    "No such file or directory": "there is no server socket; check that the server runs",
    "timeout": "no answer in time; check the address and the firewall",
    "password authentication failed": "the password is wrong",
    "does not exist": "the database or the role does not exist",
    "no password supplied": "a password is missing",
    "SSL": "the encryption fails; check sslmode and the certificate",
    _NUL_PROBLEM: "a text has a NUL character, which can't be stored",
    "too many clients": "the server has too many clients",
    "starting up": "the server is starting",
    "shutting down": "the server is shutting down",
    "server closed the connection": "the server has closed the connection",
    "pg_hba.conf": "the server does not admit this client (pg_hba.conf)",
}


@dataclass(frozen=True)
class AdvisoryLock:
    """An advisory lock that is held as long as its connection lives."""

    connection: psycopg.Connection[DictRow]

    def confirm(self) -> None:
        """Raise a StateError if the connection has ended, and with it the lock."""
        try:
            self.connection.execute("select 1")
        except psycopg.Error as error:
            raise StateError(f"PostgreSQL: the lock is lost: {_fact(error)}") from error


class Database:
    """PostgreSQL with this program's schema `quantx` or a newer one with which the program works.

    An `identity` signs in instead of a password. With `migrated=False` the schema stays as it is: a restore creates it.
    """

    def __init__(
        self, url: str, *, connections: int = 4, identity: AzureIdentity | None = None, migrated: bool = True
    ) -> None:
        self._embedded: EmbeddedPostgres | None = None
        self._url_of_user = url
        self.migrated_from = 0  # the schema's version before this program opened it
        if "://" not in url or url.startswith("file://"):
            self._embedded = EmbeddedPostgres(Path(url.removeprefix("file://")))
            url = self._embedded.start()
        elif not url.startswith(("postgresql://", "postgres://")):
            raise ConfigError(
                f"the state's URL starts with {url.partition('://')[0]}://; use postgresql://, or a folder for the"
                " embedded one"
            )
        self._url = url
        self._sign_in = None if identity is None else SignIn(url, identity)
        self._pool: ConnectionPool[psycopg.Connection[DictRow]] = ConnectionPool(
            url,
            connection_class=psycopg.Connection[DictRow],
            kwargs=self._arguments,
            min_size=0,
            max_size=connections,
            max_lifetime=3600.0 if self._sign_in is None else self._sign_in.longest_use(),
            open=True,
            timeout=_TIMEOUT / 2,
            # By default the pool tries for minutes with doubling pauses: after an outage it would notice the server
            # late. A short time-out lets the next caller try again.
            reconnect_timeout=_TIMEOUT / 2,
            check=ConnectionPool.check_connection,
        )
        try:
            self._check_reachable()
            if migrated:
                self._migrate()
        except BaseException:
            self.close()
            raise

    @property
    def shown_url(self) -> str:
        """Return the address of the database without a password."""
        return without_secrets(self._url_of_user)

    def close(self) -> None:
        """Close the pool, and stop the embedded server if no other process uses it."""
        self._pool.close(timeout=1)
        if self._embedded is not None:
            self._embedded.stop_if_unused()

    def _arguments(self) -> dict[str, Any]:
        """Return the arguments of a new connection; with an identity, a token as password."""
        fixed = {
            "row_factory": dict_row,
            "autocommit": True,  # a single statement is one round trip; `transaction` begins and commits
            "options": "-c search_path=quantx -c timezone=UTC",
            "connect_timeout": _TIMEOUT,
        }
        return fixed if self._sign_in is None else {**fixed, **self._sign_in()}

    @contextmanager
    def transaction(self) -> Iterator[psycopg.Connection[DictRow]]:
        """Yield a connection in a transaction that commits at the end and rolls back on an error."""
        with self._state_errors(), self._pool.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def _state_errors(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout as error:
            raise StateError(
                f"PostgreSQL gives no connection within {_TIMEOUT} s; check the address, and the number of its clients"
            ) from error
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.IntegrityError) as error:
            raise RefusedStatement(f"PostgreSQL: {_fact(error)}") from error
        except psycopg.Error as error:  # also deadlocks, and a server that is read-only during a fail-over
            raise StateError(f"PostgreSQL: {_fact(error)}") from error

    @contextmanager
    def snapshot(self) -> Iterator[psycopg.Connection[DictRow]]:
        """Yield a connection in one read-only transaction, whose statements all see the state as it is now."""
        with self.transaction() as connection:
            connection.execute("set transaction isolation level repeatable read, read only")
            connection.execute("select 1 as now")  # the first statement fixes the snapshot
            yield connection

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """Run a named statement (`noun.name`) in a transaction of its own and return its rows."""
        with self._state_errors(), self._pool.connection() as connection:
            return run(connection, statement, values)

    @contextmanager
    def exclusive(self, *locks: int) -> Iterator[AdvisoryLock | None]:
        """Hold advisory locks while the block lasts; yield None, and hold none, if another process holds one.

        PostgreSQL frees the locks when the connection ends, for whatever reason: see `AdvisoryLock.confirm`.
        """
        with self._state_errors():
            connection = self._pool.getconn()
        try:
            with self._state_errors():
                held = []
                for lock in locks:
                    got = connection.execute("select pg_try_advisory_lock(%s) as got", [lock]).fetchone()
                    if not (got and got["got"]):
                        break
                    held.append(lock)
            try:
                yield AdvisoryLock(connection) if len(held) == len(locks) else None
            finally:
                with suppress(psycopg.Error):  # the connection has ended, and the locks with it
                    for lock in held:
                        connection.execute("select pg_advisory_unlock(%s)", [lock])
        finally:
            self._pool.putconn(connection)

    def _check_reachable(self) -> None:
        """Raise a StateError with the reason; the pool would try for its whole time-out and give no reason."""
        try:
            psycopg.connect(self._url, **self._arguments()).close()
        except psycopg.Error as error:
            raise StateError(f"PostgreSQL can't be reached at {self.shown_url}: {_fact(error)}") from error

    def _migrate(self) -> None:
        """Migrate an older schema; only a migration needs the owner's rights."""
        self.migrated_from = self.schema_version()
        if self.migrated_from >= SCHEMA_VERSION:
            return
        try:
            with self.transaction() as connection:
                self.migrated_from = migrate(connection)
        except RefusedStatement as error:
            if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise
            raise ConfigError(
                f"the schema of {self.shown_url} is not up to date, and this role may not change it; its owner runs"
                " `quantx migrate`"
            ) from error

    def grant(self, role: str, rights: Rights = "work") -> None:
        """Grant a role its rights; create a missing role from its Azure identity."""
        with self.transaction() as connection:
            row = connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone()
        if row is None:
            self._create_principal(role)
        with self.transaction() as connection:
            grant(connection, role, rights)

    def _create_principal(self, role: str) -> None:
        """Create the role of an identity by Azure's extension, which works only in the database postgres."""
        try:
            arguments = {**self._arguments(), "dbname": "postgres", "options": ""}
            with psycopg.connect(self._url, **arguments) as connection:
                connection.execute("select pgaadauth_create_principal(%s, false, false)", [role])
        except psycopg.errors.UndefinedFunction:
            raise ConfigError(f"PostgreSQL has no role {role!r}; create it first: create role …") from None
        except psycopg.Error as error:
            raise ConfigError(f"PostgreSQL can't create the role {role!r}: {_fact(error)}") from error

    def schema_version(self) -> int:
        """Return the version of the schema, 0 without a schema; raise ConfigError if this role may not read it."""
        try:
            with self._state_errors(), self._pool.connection() as connection:
                return found_version(connection)
        except RefusedStatement as error:
            if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise
            raise ConfigError(
                f"this role may not use the schema quantx of {self.shown_url}; its owner runs"
                " `quantx migrate --grant ROLE`"
            ) from error


def _fact(error: psycopg.Error) -> str:
    """Return the server's own fact with its SQLSTATE, or why there is no connection."""
    if error.diag.message_primary:
        return f"{error.diag.message_primary} (SQLSTATE {error.sqlstate})"
    text = str(error)
    return next((fact for words, fact in _NO_CONNECTION.items() if words in text), "the connection failed or was lost")


def run(connection: psycopg.Connection[DictRow], statement: str, values: Mapping[str, Any]) -> list[Row]:
    """Run a named statement on a connection, as part of its transaction.

    PostgreSQL stores no NUL character: it becomes its symbol U+2400, as a vendor's error may have one.
    """
    noun, _, name = statement.partition(".")
    text = _statements(noun)[name]
    try:
        cursor = connection.execute(text, values)
    except psycopg.DataError as error:  # psycopg finds it before it sends the statement, so the transaction goes on
        if _NUL_PROBLEM not in str(error):
            raise
        cursor = connection.execute(text, without_nul(values))
    return cursor.fetchall() if cursor.description else []


def without_nul(value: Any) -> Any:
    r"""Return a value whose texts, also those of its parts, have U+2400 in the place of NUL.

    >>> without_nul({"error": "a\0b", "rows": [1, "c"]})
    {'error': 'a␀b', 'rows': [1, 'c']}
    """
    if isinstance(value, str):
        return value.replace("\0", "\u2400")
    if isinstance(value, Mapping):
        return {without_nul(name): without_nul(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_nul(each) for each in value]
    return Jsonb(without_nul(value.obj)) if isinstance(value, Jsonb) else value


@lru_cache
def _statements(noun: str) -> dict[str, str]:
    parts = _NAME.split(read_sql(noun, "statements.sql"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))
