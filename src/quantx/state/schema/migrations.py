"""The versions of the schema, the programs that work with each, and the rights of roles that only use it.

A program works with every newer schema whose `oldest_program` is at most its own version. So a release can be rolled
back without a restore of the database: migrations first expand the schema, and contract it a release later.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from quantx.errors import ConfigError

Rights = Literal["work", "read", "progress"]

SCHEMA_VERSION = 10
_LOCK = 7_013_001  # advisory lock: one process migrates
_KIND = re.compile(r"^-- (?:(expands)|contracts: needs a program of version (\d+))$", re.MULTILINE)


def found_version(connection: psycopg.Connection[DictRow]) -> int:
    """Return the version of the schema, 0 without a schema; it needs only the right to read.

    A ConfigError names a newer schema with which this program does not work.
    """
    table = connection.execute("select to_regclass('quantx.schema_version') is not null as present").fetchone()
    if not table or not table["present"]:
        return 0
    row = connection.execute("select coalesce(max(version), 0) as version from quantx.schema_version").fetchone()
    version = int(row["version"]) if row else 0
    if version > SCHEMA_VERSION:
        _check_works_with_newer(connection, version)
    return version


def _check_works_with_newer(connection: psycopg.Connection[DictRow], version: int) -> None:
    row = connection.execute(
        "select coalesce(oldest_program, version) as oldest from quantx.schema_version where version = %s", [version]
    ).fetchone()
    oldest = int(row["oldest"]) if row else version
    if oldest > SCHEMA_VERSION:
        raise ConfigError(
            f"the database has schema version {version}, which needs a program of schema version {oldest} or newer;"
            f" this program has {SCHEMA_VERSION}; update the program"
        )


def migrate(connection: psycopg.Connection[DictRow], upto: int = SCHEMA_VERSION) -> int:
    """Migrate the schema to the version `upto`, in the transaction of `connection`; return the version before."""
    connection.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
    connection.execute("create schema if not exists quantx")
    connection.execute(
        "create table if not exists quantx.schema_version"
        " (version integer primary key, applied_at timestamptz not null default clock_timestamp())"
    )
    before = found_version(connection)
    for step in range(before + 1, upto + 1):
        connection.execute(migration(step))
        connection.execute("insert into quantx.schema_version (version) values (%s)", [step])
    if before < SCHEMA_VERSION == upto:
        connection.execute(
            "update quantx.schema_version set oldest_program = %s where version = %s",
            [oldest_program(), SCHEMA_VERSION],
        )
    return before


def migration(version: int) -> str:
    """Return the statements that bring the schema from the version before to this one."""
    return read_sql("schema", f"schema_{version}.sql")


def contracted_to(migration: str) -> int | None:
    """Return the schema version that a program needs after this migration, None where it expands."""
    found = _KIND.findall(migration)
    if len(found) != 1:
        raise ValueError("a migration has one line `-- expands` or `-- contracts: needs a program of version N`")
    return int(found[0][1]) if found[0][1] else None


def oldest_program() -> int:
    """Return the oldest schema version whose programs work with this program's schema."""
    return max(contracted_to(migration(step)) or 0 for step in range(1, SCHEMA_VERSION + 1))


def grant(connection: psycopg.Connection[DictRow], role: str, rights: Rights) -> None:
    """Grant a role its rights, also on later tables, but not to change the schema.

    work: plan, work and report. read: read rows. progress: see whether tasks are in progress.
    """
    statements = read_sql("schema", f"grants_{rights}.sql")
    connection.execute(sql.SQL(statements).format(role=sql.Identifier(role)))


def read_sql(folder: str, name: str) -> str:
    """Return an SQL file from a folder of the state."""
    return resources.files("quantx.state").joinpath(folder, name).read_text("utf-8")
