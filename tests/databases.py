"""Databases on the PostgreSQL of the tests: real new ones, and a pool of ones that have our schema and no rows.

Each table of the pool has a column that this program does not know, as a later version of the schema may add.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg import sql

from quantx.state.database import Database

_TERMINATE = "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = %s"

# Everything that a test could change besides rows. `truncate` changes none of these values.
_SHAPE = """
with ours as (select * from pg_class where relnamespace = 'quantx'::regnamespace)
select
    (select array_agg((relname, relkind, relowner, relacl)::text order by relname) from ours),
    (select array_agg((attrelid, attnum, attname, atttypid, attnotnull, attacl)::text order by attrelid, attnum)
        from pg_attribute where attrelid in (select oid from ours) and attnum > 0),
    (select array_agg((conrelid, conname, pg_get_constraintdef(oid))::text order by conrelid, conname)
        from pg_constraint where connamespace = 'quantx'::regnamespace),
    (select array_agg((pg_get_functiondef(oid), proacl)::text order by oid)
        from pg_proc where pronamespace = 'quantx'::regnamespace),
    (select array_agg((tgrelid, tgname)::text order by oid) from pg_trigger where not tgisinternal),
    (select array_agg((nspname, nspacl)::text order by nspname) from pg_namespace where nspname !~ '^pg_'),
    (select array_agg(s::text) from pg_db_role_setting s
        where setdatabase = (select oid from pg_database where datname = current_database())),
    (select array_agg(d::text) from pg_default_acl d),
    (select array_agg(version order by version) from quantx.schema_version)
"""
_FUNCTIONS = "select pg_get_functiondef(oid) from pg_proc where pronamespace = 'quantx'::regnamespace"
# A table that was written since the last `truncate` has a size, also where its rows were deleted or rolled back.
_WRITTEN = """
select relname from pg_class where relnamespace = 'quantx'::regnamespace and relkind = 'r'
    and relname <> 'schema_version' and pg_relation_size(oid) > 0
"""
# So that all tests show that this program works with columns of a later version: see quantx.state.schema.migrations.
_LATER_COLUMN = """
do $$ declare name text; begin
    for name in select relname from pg_class where relnamespace = 'quantx'::regnamespace and relkind = 'r' loop
        execute format('alter table quantx.%I add column later_version text not null default %L', name, '');
    end loop;
end $$
"""
_SEQUENCES = """
select setval(oid::regclass, 1, false) from pg_class where relnamespace = 'quantx'::regnamespace and relkind = 'S'
"""


class Databases:
    """Databases of one server; `url` is the address of its database postgres."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: list[str] = []
        self._template = ""
        self._functions: set[bytes] = set()
        self._shape: tuple[object, ...] = ()

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the address of a new database without a schema; it is dropped afterwards."""
        name = self._create()
        yield self._address(name)
        self._drop(name)

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the address of a database with our schema and no rows; it is emptied afterwards and used again.

        Each test gets another name, so that a client that outlives its test can't reach the next one's rows.
        """
        if not self._template:
            self._make_template()
        name = self._idle.pop() if self._idle else self._create(self._template)
        yield self._address(name)
        if self._reset(name):
            self._idle.append(self._rename(name))
        else:
            self._drop(name)

    def _make_template(self) -> None:
        name = self._create()
        with closing(Database(self._address(name))):
            pass
        with psycopg.connect(self._address(name), options="-c search_path=quantx") as connection:
            connection.execute(_LATER_COLUMN)
            self._functions, self._shape = _functions(connection), _shape(connection)
        self._template = name

    def _reset(self, name: str) -> bool:
        """Remove clients, locks and rows; False where the schema or a setting is not what it was."""
        self._run(_TERMINATE, name)
        with psycopg.connect(self._address(name), autocommit=True, options="-c search_path=quantx") as connection:
            for changed in self._functions - _functions(connection):
                connection.execute(changed)
            written = [sql.Identifier("quantx", row[0]) for row in connection.execute(_WRITTEN).fetchall()]
            if written:
                truncate = sql.SQL("truncate {} restart identity cascade").format(sql.SQL(", ").join(written))
                connection.execute(truncate)
            connection.execute(_SEQUENCES)
            return _shape(connection) == self._shape

    def _create(self, template: str = "template1") -> str:
        name = f"test_{uuid.uuid4().hex}"
        create = sql.SQL("create database {} template {} strategy file_copy")
        self._run(create.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def _rename(self, name: str) -> str:
        new = f"test_{uuid.uuid4().hex}"
        self._run(sql.SQL("alter database {} rename to {}").format(*map(sql.Identifier, (name, new))))
        return new

    def _drop(self, name: str) -> None:
        self._run(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _run(self, statement: str | sql.Composed, *values: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement, values or None)  # type: ignore[arg-type]

    def _address(self, name: str) -> str:
        return self._url.replace("/postgres?", f"/{name}?")


def _functions(connection: psycopg.Connection[tuple[str]]) -> set[bytes]:
    return {row[0].encode() for row in connection.execute(_FUNCTIONS).fetchall()}


def _shape(connection: psycopg.Connection[tuple[object, ...]]) -> tuple[object, ...]:
    return connection.execute(_SHAPE.encode()).fetchone() or ()
