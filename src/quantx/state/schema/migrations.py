"""The versions of the schema, and the rights of roles that only use it."""

from __future__ import annotations

from importlib import resources

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from quantx.errors import ConfigError

SCHEMA_VERSION = 6
_LOCK = 7_013_001  # advisory lock: one process migrates


def found_version(connection: psycopg.Connection[DictRow]) -> int:
    """Return the version of the schema, 0 without a schema; it needs only the right to read."""
    table = connection.execute("select to_regclass('quantx.schema_version') is not null as present").fetchone()
    if not table or not table["present"]:
        return 0
    row = connection.execute("select coalesce(max(version), 0) as version from quantx.schema_version").fetchone()
    version = int(row["version"]) if row else 0
    if version > SCHEMA_VERSION:
        raise ConfigError(
            f"the database has schema version {version}, this program knows {SCHEMA_VERSION}; update the program"
        )
    return version


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
        connection.execute(read_sql("schema", f"schema_{step}.sql"))
        connection.execute("insert into quantx.schema_version (version) values (%s)", [step])
    return before


def grant(connection: psycopg.Connection[DictRow], role: str) -> None:
    """Grant a role the rights to plan, work and report, also on later tables, but not to change the schema."""
    connection.execute(sql.SQL(read_sql("schema", "grants.sql")).format(role=sql.Identifier(role)))


def read_sql(folder: str, name: str) -> str:
    """Return an SQL file from a folder of the state."""
    return resources.files("quantx.state").joinpath(folder, name).read_text("utf-8")
