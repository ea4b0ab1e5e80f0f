"""The tables of a lake for queries: rows by selection, as they are now or as they were known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import polars as pl

from quantx.core.table import Table
from quantx.core.tables import TABLES
from quantx.lake.snapshot_reader import SnapshotReader
from quantx.lake.snapshots import LakeSnapshot
from quantx.lake.store import LakeLocation
from quantx.lake.table_reader import TableReader
from quantx.lake.table_version import LiveFile, TableVersion
from quantx.reader.cache.assemble import assemble
from quantx.reader.cache.blocks import DamagedCopy
from quantx.reader.cache.files import DecodedFiles
from quantx.reader.cache.folder import CacheFolder
from quantx.reader.provenance import note_provenance
from quantx.reader.selection import Selection

_CONNECTIONS = 8


class _OfLake(Protocol):
    _stored: LakeTables
    url: str


@dataclass
class QueryReads:
    """The state of the tables that a query sees, and what it has read: tables, and the vendors of their files."""

    versions: dict[str, TableVersion | None] = field(default_factory=dict)  # None: there is no such table
    tables: set[str] = field(default_factory=set)
    sources: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)  # tables of which the query reads more than `rows` returns

    @property
    def numbers(self) -> dict[str, int]:
        """Return the versions of the tables that the query has read."""
        return {name: version.number for name in self.tables if (version := self.versions[name]) is not None}


Q = TypeVar("Q", bound=_OfLake)
P = ParamSpec("P")
R = TypeVar("R")


def one_state(query: Callable[Concatenate[Q, P], R]) -> Callable[Concatenate[Q, P], R]:
    """Decorate a query of a lake: it checks the version of each table once, and sees one version of it.

    A frame that it returns has a provenance.
    """

    @wraps(query)
    def run(self: Q, /, *args: P.args, **values: P.kwargs) -> R:
        tables = self._stored
        with tables.one_state(query.__name__) as reads:
            result = query(self, *args, **values)
        if reads is not None and isinstance(result, pl.DataFrame):
            note_provenance(
                result,
                query,
                (args, values),
                lake=self.url,
                snapshot=None if tables.snapshot is None else tables.snapshot.name,
                versions=reads.numbers,
                sources=sorted(reads.sources),
            )
        return result

    return run


class LakeTables(Mapping[str, TableReader]):
    """The tables of one lake by name; each is read at its newest version, that of `pin`, or that of `snapshot`."""

    def __init__(
        self, location: LakeLocation, folder: CacheFolder | None = None, snapshot: LakeSnapshot | None = None
    ) -> None:
        self.snapshot = snapshot
        self._tables: dict[str, TableReader] = {
            name: TableReader(location, table)
            if snapshot is None
            else SnapshotReader(location, table, snapshot.tables.get(name))
            for name, table in TABLES.items()
        }
        self._remote = not location.url.startswith(("file://", "memory://"))
        self.decoded = DecodedFiles(location, folder)
        self._thread = threading.local()
        self._pool: ThreadPoolExecutor | None = None
        self._used: dict[str, frozenset[str]] = {}  # the names of the tables that a query used last time

    def __getitem__(self, name: str) -> TableReader:
        if (reads := self._reads) is not None:
            reads.opened.add(name)
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tables)

    def __len__(self) -> int:
        return len(self._tables)

    @contextmanager
    def one_state(self, query: str) -> Iterator[QueryReads | None]:
        """Check the version of each table once within the `with` block, in this thread.

        The tables that `query` used last time are checked together, which takes one round trip. The value of the block
        is what is read in it; None in a query within a query.
        """
        if self._reads is not None:
            yield None
            return
        reads = self._thread.reads = QueryReads()
        try:
            self._check(self._used.get(query, ()), reads.versions)
            yield reads
            for name in reads.opened - reads.tables:
                reads.versions.setdefault(name, self._tables[name].held())
                reads.tables.add(name)
            self._used[query] = frozenset(reads.tables)
        finally:
            self._thread.reads = None

    @property
    def _reads(self) -> QueryReads | None:
        """Return the state that this thread sees; None outside of `one_state`."""
        reads: QueryReads | None = getattr(self._thread, "reads", None)
        return reads

    def pin(self) -> None:
        """Keep the newest versions of all tables for all further reads."""
        self._each(self, TableReader.pin)

    def unpin(self) -> None:
        """Read the newest versions again."""
        for table in self._tables.values():
            table.unpin()

    def _check(self, names: Iterable[str], versions: dict[str, TableVersion | None]) -> None:
        """Put the newest versions into `versions`: another thread may move the handles on at any time."""

        def check(table: TableReader) -> None:
            versions[table.table.name] = table.current()

        self._each(names, check)

    def _each(self, names: Iterable[str], step: Callable[[TableReader], None]) -> None:
        """Take a step for each table, those of revisions last: a round commits them first, and no row is in neither."""
        for revisions in (False, True):
            tables = [self._tables[name] for name in names if name.endswith("_revisions") == revisions]
            if self._remote and len(tables) > 1:
                self._pool = self._pool or ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="quantx-lake")
                for done in [self._pool.submit(step, table) for table in tables]:
                    done.result()
            else:
                for table in tables:
                    step(table)

    def version(self, table: Table) -> TableVersion | None:
        """Return the version of a table that reads use now; None if it does not exist."""
        name, reads = table.name, self._reads
        if reads is None:
            return self._tables[name].current()
        if name not in reads.versions:
            reads.versions[name] = self._tables[name].current()
        reads.tables.add(name)
        return reads.versions[name]

    def versions(self, names: Iterable[str]) -> dict[str, int]:
        """Return the newest versions of some tables, checked together; a table that does not exist has none."""
        found: dict[str, TableVersion | None] = {}
        self._check(names, found)
        return {name: version.number for name, version in sorted(found.items()) if version is not None}

    def rows(
        self, table: Table, selection: Selection | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the current rows of a selection, with all columns of the table or some."""
        chosen = Selection() if selection is None else selection
        shown = list(table.schema) if columns is None else list(columns)
        version = self.version(table)
        if version is None:
            return table.empty().select(shown)
        files = chosen.files(version.files)
        if (reads := self._reads) is not None and "source" in table.partitions:
            reads.sources.update(file.partition["source"] for file in files)
        further = [] if chosen.where is None else chosen.where.meta.root_names()
        needed = list(dict.fromkeys([*shown, *further]))
        rows = self._rows(table, chosen, files, needed)
        if chosen.where is not None:
            rows = rows.filter(chosen.where)
        return rows.select(shown)

    def _rows(
        self, table: Table, selection: Selection, files: Sequence[LiveFile], columns: Sequence[str]
    ) -> pl.DataFrame:
        """Return the rows in some files: from decoded files where there are any, and from the others as they are."""
        reader = self._tables[table.name]
        found = {file: self.decoded.find(table, file) for file in files}
        others = [file for file, decoded in found.items() if decoded is None]
        parts = []
        try:
            parts.append(assemble(table, [each for each in found.values() if each is not None], selection, columns))
        except DamagedCopy:
            for file, decoded in found.items():
                if decoded is not None and decoded.decoded.damaged:
                    self.decoded.forget(table, file)
            return self._rows(table, selection, files, columns)
        if others:
            parts.append(reader.read_files(others, selection.of_rows(table), columns))
        return parts[0] if len(parts) == 1 else pl.concat(parts)

    def known_at(
        self, table: Table, selection: Selection, as_of: datetime | None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the rows of a selection as known at `as_of`; None: the current ones."""
        if as_of is None:
            return self.rows(table, selection, columns)
        shown = list(table.schema) if columns is None else list(columns)
        known = selection.filtered(pl.col("known_from") <= as_of)
        # The current rows first: a round commits revisions before, so that no row is in neither.
        current = self.rows(table, known)
        replaced = self.rows(table.revisions, known.filtered(pl.col("known_to") > as_of))
        # Between the two commits of a round a row is current and a revision at once.
        replaced = replaced.join(current, on=list(table.revisions.key), how="anti", nulls_equal=True)
        return pl.concat([current.select(shown), replaced.select(shown)])
