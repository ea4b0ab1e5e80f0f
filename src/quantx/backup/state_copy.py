"""The rows of the state: COPY of each table in one snapshot, and COPY into a schema of the same version.

The migrations create the schema, so that a copy has rows only: it can be restored into a newer PostgreSQL, by a role
that owns the schema and no more, and a later program migrates it. That is why pg_dump is not used: the image has none,
it must be as new as the server, and a dump would bring the owner and the rights of another server.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from quantx.backup.manifest import ObjectCopy, StateCopy, TableCopy
from quantx.errors import ConfigError
from quantx.state.database import Database
from quantx.state.schema.migrations import SCHEMA_VERSION, found_version, migrate

_PART = 16_000_000  # bytes of rows in one object
_BY_MIGRATIONS = "schema_version"  # this table gets its rows from the migrations

_TABLES = """
select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
from pg_class c join pg_attribute a on a.attrelid = c.oid
where a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    and c.relnamespace = 'quantx'::regnamespace and c.relkind = 'r' and c.relname <> %s
group by c.relname order by c.relname
"""
_REFERENCES = """
select distinct f.conrelid::regclass::text as child, p.relname as parent
from pg_constraint f join pg_class p on p.oid = f.confrelid
where f.contype = 'f' and f.connamespace = 'quantx'::regnamespace and f.conrelid <> f.confrelid
"""
_SEQUENCES = (
    "select sequencename as name, last_value as last from pg_sequences"
    " where schemaname = 'quantx' and last_value is not null order by 1"
)
_Connection = psycopg.Connection[DictRow]


def copy_state(connection: _Connection, put: Callable[[bytes], ObjectCopy]) -> StateCopy:
    """Copy all rows of the state in the snapshot of `connection`, in parts that `put` stores."""
    return StateCopy(
        schema_version=found_version(connection),
        tables={name: _copy_table(connection, name, columns, put) for name, columns in _tables(connection).items()},
        # Sequences know no snapshot: theirs may be later, which leaves numbers out and repeats none.
        sequences={row["name"]: row["last"] for row in connection.execute(_SEQUENCES).fetchall()},
    )


def _tables(connection: _Connection) -> dict[str, list[str]]:
    """Return the columns of each table, in an order in which each follows those that it references."""
    columns = {row["name"]: row["columns"] for row in connection.execute(_TABLES, [_BY_MIGRATIONS]).fetchall()}
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(columns, ()))
    for row in connection.execute(_REFERENCES).fetchall():
        order.add(row["child"].rpartition(".")[2].strip('"'), row["parent"])
    return {name: columns[name] for name in order.static_order()}


def _copy_table(
    connection: _Connection, name: str, columns: Sequence[str], put: Callable[[bytes], ObjectCopy]
) -> TableCopy:
    parts, waiting = [], bytearray()
    with connection.cursor() as cursor:
        with cursor.copy(sql.SQL("copy {} ({}) to stdout").format(*_names(name, columns))) as rows:
            for piece in rows:
                waiting += piece
                if len(waiting) >= _PART:
                    parts.append(put(gzip.compress(waiting, 6, mtime=0)))
                    waiting.clear()
        if waiting:
            parts.append(put(gzip.compress(waiting, 6, mtime=0)))
        return TableCopy(columns=columns, rows=cursor.rowcount, parts=parts)


def restore_state(database: Database, copy: StateCopy, get: Callable[[ObjectCopy], bytes], lake_id: str) -> bool:
    """Restore the state in one transaction, as that of the lake `lake_id`; return False where it is there already.

    Raises ConfigError where the database has a state with rows, or the backup needs a newer program.
    """
    if copy.schema_version > SCHEMA_VERSION:
        raise ConfigError(
            f"the backup has schema version {copy.schema_version}, this program knows {SCHEMA_VERSION}; update the"
            " program"
        )
    with database.transaction() as connection:
        if found_version(connection):
            filled = [name for name in _tables(connection) if _has_rows(connection, name)]
            if "lake" in filled and _lake_of(connection) == lake_id:
                return False
            if set(filled) - {"lake"}:  # the id of a lake that was opened and not yet used
                raise ConfigError(
                    f"the state in {database.shown_url} has rows ({', '.join(sorted(filled)[:3])}); restore into an"
                    " empty database: set QUANTX_STATE_URL"
                )
        connection.execute("drop schema if exists quantx cascade")
        migrate(connection, copy.schema_version)
        columns = _tables(connection)
        for name, table in copy.tables.items():
            if unknown := set(table.columns) - set(columns.get(name, ())):
                raise ConfigError(
                    f"the backup has {name}.{min(unknown)} of a later program, which this one does not know; update the"
                    " program"
                )
        for name, table in copy.tables.items():
            _fill(connection, name, table, get)
        for sequence, last in copy.sequences.items():
            connection.execute("select setval(%s::regclass, %s)", [f'quantx."{sequence}"', last])
        connection.execute("update quantx.lake set id = %s", [lake_id])
    return True


def _fill(connection: _Connection, name: str, table: TableCopy, get: Callable[[ObjectCopy], bytes]) -> None:
    statement = sql.SQL("copy {} ({}) from stdin").format(*_names(name, table.columns))
    with connection.cursor() as cursor, cursor.copy(statement) as rows:
        for part in table.parts:
            rows.write(gzip.decompress(get(part)))


def _names(name: str, columns: Sequence[str]) -> tuple[sql.Composable, sql.Composable]:
    return sql.Identifier("quantx", name), sql.SQL(", ").join(map(sql.Identifier, columns))


def _has_rows(connection: _Connection, name: str) -> bool:
    found = connection.execute(
        sql.SQL("select exists (select from {}) as found").format(sql.Identifier("quantx", name))
    )
    row = found.fetchone()
    return bool(row and row["found"])


def _lake_of(connection: _Connection) -> str | None:
    row = connection.execute("select id from quantx.lake").fetchone()
    return None if row is None else str(row["id"])
