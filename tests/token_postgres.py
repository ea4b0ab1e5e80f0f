"""A PostgreSQL that takes tokens for passwords, as in Azure: the newest issued token, until it expires."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from quantx.state.embedded import EmbeddedPostgres

from .azurite import StandInIdentity

RESOURCE = "https://ossrdbms-aad.database.windows.net"
ROLES = ("owner", "worker")


@dataclass
class TokenPostgres:
    """The server, its administrator's address, and the tokens that were passwords."""

    admin: str
    tokens: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def issued(self, resource: str, token: str, ends: float) -> None:
        """Make a token the password of all roles, until it ends: any older one is refused from now on."""
        if resource != RESOURCE:
            return
        until = datetime.fromtimestamp(ends, UTC).isoformat()
        with self.lock, psycopg.connect(self.admin, autocommit=True) as connection:
            for role in ROLES:
                statement = sql.SQL("alter role {} password {} valid until {}")
                connection.execute(statement.format(sql.Identifier(role), sql.Literal(token), sql.Literal(until)))
            self.tokens.append(token)

    def new_database(self, name: str) -> None:
        """Make a database that the owner owns."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {} owner owner").format(sql.Identifier(name)))

    def url(self, role: str, database: str) -> str:
        """Return the address of a database for a role, without a password."""
        return f"postgresql://{role}@/{database}?{urlsplit(self.admin).query}"

    def connections(self, database: str) -> int:
        """Return how many clients are connected to a database."""
        with psycopg.connect(self.admin) as connection:
            row = connection.execute("select count(*) from pg_stat_activity where datname = %s", [database]).fetchone()
        return row[0] if row else 0


@contextmanager
def token_postgres(folder: Path, identity: StandInIdentity) -> Iterator[TokenPostgres]:
    """Start a server whose roles `owner` and `worker` sign in with tokens of `identity`."""
    server = EmbeddedPostgres(folder)
    admin = server.start()
    rules = folder / "pg_hba.conf"
    demands = "".join(f"local all {role} password\nhost all {role} all password\n" for role in ROLES)
    rules.write_text(demands + rules.read_text())
    with psycopg.connect(admin, autocommit=True) as connection:
        for role in ROLES:
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    opened = TokenPostgres(admin)
    identity.on_issue = opened.issued
    try:
        yield opened
    finally:
        server.stop_if_unused()
