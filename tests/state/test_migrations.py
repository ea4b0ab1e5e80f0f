"""Migrations expand the schema first and contract it later, so that the program of the release before works with it."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from tests.state.expanding import breaks

from quantx.state.database import Database
from quantx.state.schema.migrations import SCHEMA_VERSION, contracted_to, migration, oldest_program

VERSIONS = range(1, SCHEMA_VERSION + 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_migration_that_expands_breaks_no_former_program(version: int) -> None:
    needed = contracted_to(migration(version))
    if needed is None:
        assert breaks(migration(version)) == []
    else:
        assert needed <= version


@pytest.mark.parametrize(
    "statement",
    [
        "drop table outbox",
        "drop index tasks_dead",
        "alter table quota drop column reason",
        "alter table quota rename column reason to why",
        "alter table quota rename to quotas",
        "alter table quota alter column refusals type bigint",
        "alter table quota alter column reason set not null",
        "alter table quota alter column refusals drop default",
        "alter table quota add column later integer not null",
        "alter table quota add column later integer default 1, add column other text not null",
        "alter table quota add column later text unique",
        "alter table quota add column later text check (later <> reason)",
        "alter table quota add check (refusals < 10)",
        "alter table tasks drop constraint tasks_state_check, add check (state in ('pending', 'done'))",
        "create unique index once on tasks (symbol)",
        "create or replace function server_start() returns timestamptz language sql as 'select now()'",
        "drop function server_start()",
        "delete from gaps",
        "truncate gaps",
        "alter table a add column x text; drop table outbox",
    ],
)
def test_what_a_former_program_may_not_survive_is_named(statement: str) -> None:
    assert breaks(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "create table later (id integer primary key, name text unique); create unique index one on later (name)",
        "create table later (id integer); alter table later add check (id > 0)",
        "alter table tasks add column later integer not null default 0, add column other numeric(10, 2)",
        "create index later on tasks (symbol)",
        "create function later() returns text language sql as $$ delete from gaps; select 'drop table gaps'; $$",
        "update runs set inspected_at = finished_at -- drop table runs;\n where kind = 'drop; table'",
    ],
)
def test_what_it_survives_is_not(statement: str) -> None:
    assert breaks(statement) == []


@pytest.mark.parametrize("text", ["select 1", "-- expands\n-- contracts: needs a program of version 2\n"])
def test_a_migration_declares_its_kind_once(text: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        contracted_to(text)


def test_a_schema_of_before_the_first_release_is_migrated(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, options="-c search_path=quantx") as connection:
        connection.execute("create schema quantx")
        connection.execute("create table schema_version (version integer primary key, applied_at timestamptz)")
        for version in range(1, 7):
            connection.execute(migration(version).encode())
            connection.execute("insert into schema_version (version) values (%s)", [version])
    with closing(Database(empty_database_url)) as database, database.transaction() as connection:
        assert (database.migrated_from, database.schema_version()) == (6, SCHEMA_VERSION)
        (newest,) = connection.execute("select oldest_program from schema_version order by version desc limit 1")
        assert newest == {"oldest_program": oldest_program()}
