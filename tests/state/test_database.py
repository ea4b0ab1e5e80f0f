"""One schema for everybody: made once, however many come at the same time, and never by a program that is too old."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from quantx.core.model import Finding
from quantx.errors import ConfigError, StateError
from quantx.state.database import Database, run
from quantx.state.postgres import open_state
from quantx.state.schema.migrations import SCHEMA_VERSION


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    """A new database, to which the schema has just been added."""
    opened = Database(empty_database_url)
    yield opened
    opened.close()


def tables(database: Database) -> set[str]:
    with database.transaction() as connection:
        found = connection.execute("select table_name from information_schema.tables where table_schema = 'quantx'")
        return {row["table_name"] for row in found.fetchall()}


def versions(database: Database) -> list[int]:
    with database.transaction() as connection:
        return [r["version"] for r in connection.execute("select version from schema_version").fetchall()]


def test_an_empty_database_gets_the_schema(database: Database) -> None:
    assert {"runs", "tasks", "outbox", "raw_objects", "landings", "series", "quota", "universes", "hot_bars"} <= tables(
        database
    )


def test_opening_again_changes_nothing(empty_database_url: str) -> None:
    first = Database(empty_database_url)
    first.rows("quotas.close", source="yahoo", seconds=3600, reason="blocked")
    before = (tables(first), versions(first))
    second = Database(empty_database_url)
    assert (tables(second), versions(second)) == before
    assert len(second.rows("quotas.closed")) == 1
    first.close()
    second.close()


def test_many_may_open_a_new_database_at_the_same_time(empty_database_url: str) -> None:
    together = threading.Barrier(4)
    opened: list[Database] = []
    failures: list[BaseException] = []

    def open_one() -> None:
        together.wait()
        try:
            opened.append(Database(empty_database_url))
        except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [versions(database) for database in opened]
    for database in opened:
        database.close()
    assert failures == []
    assert found == [found[0]] * 4


@pytest.mark.parametrize(
    ("oldest", "needed"), [(SCHEMA_VERSION + 1, SCHEMA_VERSION + 1), (None, 99)], ids=["contracted", "not recorded"]
)
def test_a_program_that_is_too_old_refuses_the_database(
    database: Database, empty_database_url: str, oldest: int | None, needed: int
) -> None:
    with database.transaction() as connection:
        connection.execute("insert into schema_version (version, oldest_program) values (99, %s)", [oldest])
    words = rf"schema version 99, which needs a program of schema version {needed} or newer; .*update the program"
    with pytest.raises(ConfigError, match=words):
        Database(empty_database_url)


def test_a_program_works_with_a_newer_schema_that_was_only_expanded(
    database: Database, empty_database_url: str
) -> None:
    with database.transaction() as connection:
        connection.execute("insert into schema_version (version, oldest_program) values (99, %s)", [SCHEMA_VERSION])
    before = tables(database)
    with closing(Database(empty_database_url)) as again:
        assert (again.schema_version(), again.migrated_from) == (99, 99)
        assert tables(again) == before


def test_a_migration_that_breaks_leaves_nothing_behind(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("create schema quantx")
        connection.execute("create table quantx.hot_bars (in_the_way integer)")
    with pytest.raises(StateError, match="hot_bars"):
        Database(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        row = connection.execute(
            "select count(*) from information_schema.tables where table_schema = 'quantx'"
        ).fetchone()
    assert row == (1,)


def test_a_transaction_that_fails_leaves_nothing_behind(database: Database) -> None:
    def break_off() -> None:
        with database.transaction() as connection:
            run(connection, "quotas.close", {"source": "yahoo", "seconds": 3600, "reason": "blocked"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        break_off()
    assert database.rows("quotas.closed") == []


def test_instants_come_back_in_utc(database: Database) -> None:
    database.rows("quotas.close", source="yahoo", seconds=3600, reason="blocked")
    (row,) = database.rows("quotas.closed")
    assert row["closed_until"].utcoffset().total_seconds() == 0


def test_an_exclusive_role_is_held_by_one(database: Database, empty_database_url: str) -> None:
    other = Database(empty_database_url)
    with database.exclusive(42) as mine:
        assert mine
        with other.exclusive(42) as theirs:
            assert not theirs
        with other.exclusive(43) as another_role:
            assert another_role
        with database.exclusive(42) as mine_again:
            assert not mine_again  # one holder, also within one process
    with other.exclusive(42) as theirs:
        assert theirs
    other.close()


def test_an_exclusive_role_is_free_after_an_error(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.exclusive(42):
        raise ZeroDivisionError
    with database.exclusive(42) as mine:
        assert mine


def test_an_exclusive_role_is_free_when_its_holder_dies(database: Database, empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(42)")
        with database.exclusive(42) as mine:
            assert not mine
        with database.transaction() as connection:
            connection.execute("select pg_terminate_backend(%s, 10000)", [holder.info.backend_pid])
        with database.exclusive(42) as mine:
            assert mine


def test_work_within_an_exclusive_role_is_committed(database: Database) -> None:
    with database.exclusive(42):
        database.rows("quotas.close", source="yahoo", seconds=3600, reason="blocked")
    assert len(database.rows("quotas.closed")) == 1


def test_connections_that_the_server_dropped_are_replaced(database: Database, empty_database_url: str) -> None:
    assert database.rows("quotas.closed") == []
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    assert database.rows("quotas.closed") == []


def test_the_address_is_shown_without_a_password(empty_database_url: str) -> None:
    for url in (empty_database_url.replace("postgres:@", "postgres:c4n4ry@"), f"{empty_database_url}&password=c4n4ry"):
        database = Database(url)
        assert "c4n4ry" not in database.shown_url
        assert database.shown_url.startswith("postgresql://postgres:")
        database.close()


@pytest.mark.parametrize("url", ["mysql://db/quantx", "sqlite:///state.db", "http://127.0.0.1:1/"])
def test_another_database_is_refused_with_what_is_possible(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        Database(url)


def test_a_nul_character_in_a_vendors_text_is_stored_as_its_symbol(migrated_database_url: str) -> None:
    with closing(open_state(migrated_database_url)) as state:
        state.findings.note([Finding("jump", "error", "AAA", "a\0b", facts={"reply": ["c\0d"]})])
        state.quotas.close("yahoo", 60, "429\0")
        found = state.findings.find(state.findings.listed(1)[0]["id"])
        assert found is not None
        assert (found["message"], found["facts"]) == ("a␀b", {"reply": ["c␀d"]})
        assert [row["reason"] for row in state.quotas.closed()] == ["429␀"]
