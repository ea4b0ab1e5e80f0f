"""DuckDB over a lake: one locked connection, whose views stand for pinned versions of the tables."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from quantx.core.tables import BARS_1D, TABLES
from quantx.extras import extra
from quantx.lake.table_reader import TableReader
from quantx.reader.sql.catalog import VIEWS, Preference, SourcesOf, SqlView, empty, name, needed, orders, text
from quantx.reader.sql.files import PinnedFiles, is_local, pinned_files
from quantx.reader.sql.limits import Limits, Parameters, Result
from quantx.reader.sql.lockdown import locked_connection, roll_back, run_within
from quantx.reader.sql.messages import plain_error
from quantx.reader.sql.parquet_views import ParquetViews
from quantx.reader.sql.result import FailedResult, to_frame
from quantx.reader.sql.statement import Statement, check_statement

Computed = Callable[[int | None], dict[str, pl.DataFrame]]  # what adjusted views need, from the first year on


@dataclass
class _Created:
    """What the connection has views of, by name."""

    versions: dict[str, int | None] = field(default_factory=dict)  # of each table; None: it does not exist
    files: dict[str, PinnedFiles | None] = field(default_factory=dict)  # of a local lake
    views: dict[str, Preference] = field(default_factory=dict)
    computed: tuple[int | None, ...] | None = None  # the versions behind what adjusted views need


class SqlEngine:
    """Run queries over one lake, from any threads. `memory`: bytes; None: half of the machine's."""

    def __init__(
        self,
        url: str,
        tables: Mapping[str, TableReader],
        *,
        sources_of: SourcesOf,
        computed: Computed,
        memory: int | None = None,
    ) -> None:
        self._tables = tables
        self._sources_of = sources_of
        self._computed = computed
        self._local = is_local(url)
        self._folder = Path(tempfile.gettempdir()) / f"quantx-sql-{secrets.token_hex(8)}"  # created when needed
        self._lock = threading.Lock()
        self._files = ParquetViews()
        self._has = _Created()
        zones = {str(Path(table.url).parent) for table in tables.values() if table.table.zone}
        folders = [*sorted(zones), tables["quarantine"].url] if self._local else []
        self._connection = locked_connection([*folders, str(self._folder)], memory)
        self.close = weakref.finalize(self, _close, self._connection, self._folder)

    def run(self, sql: str, parameters: Parameters | None, limits: Limits) -> Result:
        """Return the rows of one SELECT; SqlError with the reason if it is refused, wrong, or exceeds a limit."""
        with self._bound(sql, parameters) as (cursor, relation):
            limited = relation if limits.rows is None else relation.limit(limits.rows + 1)
            frame = run_within(limits.seconds, cursor, partial(to_frame, limited))
        if limits.rows is None or frame.height <= limits.rows:
            return Result(frame, cut=False)
        return Result(frame.head(limits.rows), cut=True)

    @contextmanager
    def _bound(
        self, sql: str, parameters: Parameters | None
    ) -> Iterator[tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyRelation]]:
        """Bind a query to the present versions of its tables, in a transaction that sees them only and can't write.

        Queries of a remote lake wait for one another: its frames belong to one connection.
        """
        whole: AbstractContextManager[object] = nullcontext() if self._local else self._lock
        binding: AbstractContextManager[object] = self._lock if self._local else nullcontext()
        with whole:
            with binding:
                statement = check_statement(self._connection, sql)
                self._prepare(statement)
                cursor = self._connection.cursor() if self._local else self._connection
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                try:
                    relation = cursor.sql(sql, params=parameters) if parameters else cursor.sql(sql)
                except (duckdb.Error, ValueError, TypeError) as error:
                    self._end(cursor)
                    raise plain_error(error, statement.names) from None
            try:
                yield cursor, relation
            except (duckdb.Error, FailedResult) as error:
                raise plain_error(error, statement.names, placed=False) from None
            finally:
                del relation
                self._end(cursor)

    def _end(self, cursor: duckdb.DuckDBPyConnection) -> None:
        roll_back(cursor)
        if self._local:
            cursor.close()

    def _prepare(self, statement: Statement) -> None:
        """Create the views of a statement anew where their tables have changed."""
        stored, views = needed([*TABLES, *VIEWS] if statement.lists else statement.names)
        changed = [(each, found) for each in stored if (found := self._newest(self._tables[each])) is not None]
        if not changed and all(view.name in self._has.views for view in views):
            return
        self._connection.execute("BEGIN TRANSACTION")
        try:
            for table, select in changed:
                self._create(f"VIEW {name(table)}", select)
            self._compute(views)
            for view in views:
                self._create_view(view)
            self._connection.execute("COMMIT")
        except BaseException:
            self._has = _Created()  # the next query creates all of them again
            roll_back(self._connection)
            raise

    def _newest(self, reader: TableReader) -> str | None:
        """Return the SELECT of a table's newest version; None if the connection has a view of it."""
        table, has = reader.table.name, self._has
        if not self._local:
            return self._newest_frame(reader)
        files = pinned_files(reader, has.files.get(table))
        version = None if files is None else files.version.number
        if table in has.versions and has.versions[table] == version:
            return None
        has.versions[table], has.files[table] = version, files
        return self._files.select(self._connection, reader.table, files)

    def _newest_frame(self, reader: TableReader) -> str | None:
        """Register a lazy frame of a table, of which DuckDB reads the rows and columns that it needs.

        Each query has a frame of its own: a frame has a token that expires. Return as `_newest`.
        """
        table, current = reader.table.name, reader.current()
        version = None if current is None else current.number
        if version is not None:
            with extra("pandas", "SQL on a remote lake"):
                import pyarrow  # noqa: F401 – DuckDB reads frames by it
            self._connection.register(f"frame_{table}", reader.scan())
        if table in self._has.versions and self._has.versions[table] == version:
            return None
        self._has.versions[table] = version
        return empty(reader.table) if version is None else f"SELECT * FROM frame_{table}"

    def _compute(self, views: Sequence[SqlView]) -> None:
        """Compute what the adjusted views need, once per version of their tables."""
        wanting = next((view for view in views if view.adjusts), None)
        if wanting is None:
            return
        versions = tuple(self._has.versions[table] for table in wanting.reads)
        if self._has.computed == versions:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        bars = self._has.files.get(BARS_1D.name)
        for table, frame in self._computed(None if bars is None else bars.first_year).items():
            path = self._folder / f"{table}-{'-'.join(map(str, versions))}.parquet"
            frame.write_parquet(path)
            self._create(f"VIEW {name(table)}", f"SELECT * FROM read_parquet({text(str(path))})")
        self._has.computed = versions

    def _create_view(self, view: SqlView) -> None:
        preference = Preference(self._sources(view.reads[0]), orders(view.timeframe, self._sources_of))
        if self._has.views.get(view.name) != preference:
            self._create(*view.definition(preference))
            self._has.views[view.name] = preference

    def _sources(self, table: str) -> tuple[str, ...] | None:
        """Return the vendors of a table; None: unknown."""
        if not self._local:
            return None
        files = self._has.files[table]
        return () if files is None else files.sources

    def _create(self, what: str, select: str) -> None:
        self._connection.execute(f"CREATE OR REPLACE {'' if self._local else 'TEMP '}{what} AS {select}")


def _close(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    connection.close()
    shutil.rmtree(folder, ignore_errors=True)
