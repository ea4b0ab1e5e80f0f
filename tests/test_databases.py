"""The pool of databases: what a test leaves behind never reaches the next one."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from quantx.state.database import Database

from .databases import Databases

CLOSE = {"source": "yahoo", "seconds": 3600, "reason": "blocked"}


@pytest.fixture
def pool(database_url: str) -> Databases:
    return Databases(database_url)


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def oid(url: str) -> int:
    """The database itself, whatever it is named."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select oid from pg_database where datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


def test_rows_and_numbers_begin_anew_in_the_same_database_under_another_name(pool: Databases) -> None:
    numbers, names, oids = [], [], []
    for _ in range(2):
        with pool.migrated() as url, closing(Database(url)) as database:
            assert database.rows("quotas.closed") == []
            database.rows("quotas.close", **CLOSE)
            with database.transaction() as connection:
                row = connection.execute("insert into rounds default values returning id").fetchone()
            assert row is not None
            numbers.append(row["id"])
            names.append(name_of(url))
            oids.append(oid(url))
    assert numbers == [1, 1]
    assert oids[0] == oids[1]
    assert names[0] != names[1]


def test_clients_and_their_locks_end_with_the_test(pool: Databases) -> None:
    with pool.migrated() as url:
        left = psycopg.connect(url)
        left.execute("select pg_advisory_lock(42)")
        left.execute("lock table quantx.tasks")
    with pool.migrated() as url, closing(Database(url)) as database, database.exclusive(42) as mine:
        assert mine is not None
    with pytest.raises(psycopg.OperationalError):
        left.execute("select 1")
    left.close()


def test_a_changed_function_is_restored(pool: Databases) -> None:
    with pool.migrated() as url, psycopg.connect(url) as connection:
        first = oid(url)
        connection.execute(
            "create or replace function quantx.server_start() returns timestamptz language sql stable"
            " as 'select now() - interval ''1 year'''"
        )
    with pool.migrated() as url, psycopg.connect(url) as connection:
        assert oid(url) == first
        row = connection.execute("select quantx.server_start() = pg_postmaster_start_time()").fetchone()
    assert row == (True,)


@pytest.mark.parametrize(
    "change",
    [
        "create table quantx.mine ()",
        "drop table quantx.outbox",
        "drop index quantx.tasks_dead",
        "alter table quantx.tasks add column mine integer",
        "alter table quantx.tasks drop constraint tasks_check",
        "create schema mine",
        "grant select on quantx.tasks to public",
        "alter default privileges in schema quantx grant select on tables to public",
        "insert into quantx.schema_version (version) values (99)",
        "do $$ begin execute format('alter database %I set work_mem = ''1MB''', current_database()); end $$",
    ],
)
def test_a_database_with_another_schema_is_dropped(pool: Databases, change: str) -> None:
    with pool.migrated() as url:
        first, name = oid(url), name_of(url)
        with psycopg.connect(url) as connection:
            connection.execute(change.encode())
    with pool.migrated() as url, psycopg.connect(url) as connection:
        assert oid(url) != first
        assert connection.execute("select 1 from pg_database where datname = %s", [name]).fetchall() == []
