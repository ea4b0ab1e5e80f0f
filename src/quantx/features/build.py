"""Build the stored rows of feature sets: one driver plans, an engine computes, and one commit shows the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version

import polars as pl
import structlog

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.table import Table
from quantx.features.changes import TableChanges
from quantx.features.chunks import as_stored, rows_apart
from quantx.features.cluster import Cluster
from quantx.features.engines import ClusterEngine, Engine
from quantx.features.inputs import BuildInputs
from quantx.features.minutes import MinuteInputs
from quantx.features.sources import RowSource
from quantx.features.universes import RowsByUniverse
from quantx.lake.file_changes import AddedFile
from quantx.lake.protocol import CommitContext
from quantx.lake.table import LakeTable
from quantx.pipeline.curating.compaction import MOST_FILES
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.reader.feature_changes import inputs_of
from quantx.reader.feature_values import kind_of

log = structlog.get_logger()

_KERNELS = ("polars", "polars-talib", "ta-lib")
_MOST_FILES = 4  # of a year after a build on a cluster, where each chunk writes files of its own
_WRITTEN_AT_ONCE = 250_000_000  # bytes of rows in memory that become files together


@dataclass(frozen=True, kw_only=True)
class Built:
    """The result of a build."""

    feature_set: str
    table: str
    rows: int = 0  # added
    changed: int = 0
    removed: int = 0
    symbols: int = 0  # that were computed
    whole: bool = False  # every row was made anew

    @property
    def nothing(self) -> bool:
        """Return whether no row has changed."""
        return not (self.rows or self.changed or self.removed)


def build(
    platform: Platform,
    feature_set: FeatureSet,
    engine: Engine,
    *,
    symbols: Sequence[str] | None = None,
    universe: str | None = None,
    since: date | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built | None:
    """Bring the stored rows of a set up to date; return what changed, None if another process is building.

    `symbols`, or the members of `universe` at any time, are added to those that the table has; neither: every series of
    the lake. From the day `since` on rows are computed again, whatever has changed. `on_progress` gets the chunks that
    are done, and their total.
    """

    def work(holder: RoleHolder | None) -> Built | None:
        if holder is None:
            return None
        inputs = MinuteInputs.of(platform)
        with inputs.one_state():
            source: RowSource
            if kind_of(feature_set.features) == "cross_section":
                source = RowsByUniverse(inputs, feature_set, universe, on_progress)
            else:
                names = inputs.named(symbols) if universe is None else inputs.members(universe)
                source = rows_apart(inputs, feature_set, engine, names, on_progress)
            cluster = None
            if isinstance(engine, ClusterEngine):
                cluster = Cluster(engine, inputs, feature_set, platform.settings.sources, on_progress)
            return _Build(platform, feature_set, holder, source, cluster).run(inputs, since)

    return committing(lambda: take_role(platform.location, platform.tables, platform.state, "features"), work)


def is_current(context: Context, feature_set: FeatureSet) -> bool:
    """Return whether the stored rows of a set are made of the present inputs, without reading them."""
    inputs = BuildInputs.of(context)
    with inputs.one_state():
        record = inputs.record(table_of(feature_set))
        if record is None or record.definition != feature_set.hash:
            return False
        return record.inputs == inputs.versions(inputs_of(feature_set)) and inputs.is_whole(feature_set, record)


class _Build:
    """One build of one set under the role."""

    def __init__(
        self,
        platform: Platform,
        feature_set: FeatureSet,
        holder: RoleHolder,
        source: RowSource,
        cluster: Cluster | None,
    ) -> None:
        self._set, self._holder, self._source, self._cluster = feature_set, holder, source, cluster
        self._table: Table = table_of(feature_set)
        self._stored = LakeTable(platform.location, self._table)
        self._revisions = LakeTable(platform.location, self._table.revisions)
        self._now: datetime = platform.clock.now()

    def run(self, inputs: MinuteInputs, since: date | None) -> Built:
        """Bring the table up to date with one state of its inputs."""
        before, versions = inputs.record(self._table), inputs.versions([self._table.name, *inputs_of(self._set)])
        read_at = versions.pop(self._table.name)
        usable = before if before is not None and before.definition == self._set.hash else None
        self._now = max(self._now, self._now if before is None else before.at)
        symbols = self._source.plan(usable, since)
        record = BuildRecord(
            definition=self._set.hash,
            kernels=kernel_versions(),
            inputs=versions,
            since=self._now if usable is None else usable.since,
            at=self._now,
            orders=inputs.minute_orders() if self._set.timeframe == "1m" else inputs.orders(),
            **self._source.scope(usable),  # type: ignore[arg-type]
        )
        done = Built(feature_set=self._set.name, table=self._table.name, symbols=symbols)
        if symbols == 0 and usable is None:
            return done
        if usable is None:
            return replace(done, rows=self._replace(record, read_at), whole=True)
        count = inputs.row_count(self._table)
        done = self._update(record, read_at, count, done) if symbols else done
        record = replace(record, rows=count, at=usable.at)
        if done.nothing and record.properties != usable.properties:  # these inputs need no comparison again
            self._stored.annotate(self._context(record), read_at=read_at)
        return done

    def _replace(self, record: BuildRecord, read_at: int | None) -> int:
        """Make every row anew; rows of other definitions go away with their revisions. Return the number of rows."""
        files, rows = self._written()
        if self._revisions.version() is not None:
            self._revisions.replace(CommitContext(by=self._holder), [])
        self._stored.replace(self._context(replace(record, rows=rows)), files, read_at=read_at)
        if self._cluster is not None and "year" in self._table.partitions:  # a month's files have their size already
            self._stored.fold(CommitContext(by=self._holder), _MOST_FILES)
        return rows

    def _written(self) -> tuple[list[AddedFile], int]:
        """Write the planned rows into data files, here or on a cluster; return the files and the number of rows."""
        chunks = None if self._cluster is None else self._source.chunks()
        if self._cluster is not None and chunks is not None:
            return self._cluster.written(chunks, self._now)
        files, rows = list[AddedFile](), 0
        for part in self._in_files(self._as_stored(found) for _, found in self._source.portions()):
            files += self._stored.write(part)
            rows += part.height
        return files, rows

    def _update(self, record: BuildRecord, read_at: int | None, count: int, done: Built) -> Built:
        """Make the planned rows anew, and commit those that have changed."""
        changes = TableChanges(self._table)
        for read_stored, found in self._source.portions():
            changes.add(read_stored(), self._as_stored(found), self._now)
            if changes.new_bytes > _WRITTEN_AT_ONCE:
                changes.files += self._stored.write(changes.take_new())
        if changes.nothing:
            return done
        self._keep(changes.superseded())
        new, changed, gone = changes.frames()
        record = replace(record, rows=count + changes.added - gone.height)
        self._stored.commit(self._context(record), new, changed, gone, read_at=read_at, files=changes.files)
        self._stored.fold_small(CommitContext(by=self._holder), MOST_FILES)  # each day adds a file
        return replace(done, rows=changes.added, changed=changed.height, removed=gone.height)

    def _keep(self, replaced: pl.DataFrame) -> None:
        """Commit replaced rows to the revisions; those that a build has kept before it was killed get a new end."""
        if replaced.is_empty():
            return
        key, read_at = list(self._table.revisions.key), self._revisions.version()
        stored = self._revisions.read(pl.col("known_from").is_in(replaced["known_from"].unique().implode()))
        again = replaced.join(stored, on=key, how="semi")
        self._revisions.commit(
            CommitContext(by=self._holder), replaced.join(again, on=key, how="anti"), again, read_at=read_at
        )

    def _context(self, record: BuildRecord) -> CommitContext:
        return CommitContext(by=self._holder, properties=record.properties)

    def _as_stored(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the columns of the table, known from now on."""
        return as_stored(self._table, rows, self._now)

    def _in_files(self, parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield the parts in larger ones, so that files are few."""
        held: list[pl.DataFrame] = []
        for part in parts:
            held.append(part)
            if sum(each.estimated_size() for each in held) >= _WRITTEN_AT_ONCE:
                yield pl.concat(held)
                held.clear()
        if held:
            yield pl.concat(held)


def kernel_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute features."""
    found = {}
    for name in _KERNELS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
