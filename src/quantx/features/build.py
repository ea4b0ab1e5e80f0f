"""Build the stored rows of feature sets: one driver plans, an engine computes, and one commit shows the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

import polars as pl
import structlog

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.features.tail import carried_names, rows_before, short_tails
from quantx.core.table import Table
from quantx.features.changes import Changes
from quantx.features.chunks import Chunk, as_stored, chunk_rows
from quantx.features.cluster import ClusterBuild
from quantx.features.engines import ClusterEngine, Engine
from quantx.features.engines.local import local_tails
from quantx.features.inputs import Stale, since_first
from quantx.features.minutes import MinuteInputs
from quantx.lake.file_changes import AddedFile
from quantx.lake.protocol import CommitContext
from quantx.lake.table import LakeTable
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.reader.feature_changes import EVERYTHING, inputs_of
from quantx.reader.symbol_history import SymbolRequest

log = structlog.get_logger()

_KERNELS = ("polars", "polars-talib", "ta-lib")
_WRITTEN_AT_ONCE = 400_000_000  # bytes of rows in memory that become files together


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


def build(
    platform: Platform,
    feature_set: FeatureSet,
    engine: Engine,
    *,
    symbols: Sequence[str] | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Built | None:
    """Bring the stored rows of a set up to date; return what changed, None if another process is building.

    `symbols` are added to those that the table has; None: every series of the lake. `on_progress` gets the chunks that
    are done, and their total.
    """

    def work(holder: RoleHolder | None) -> Built | None:
        if holder is None:
            return None
        return _Build(platform, feature_set, engine, holder, on_progress).run(symbols)

    return committing(lambda: take_role(platform.location, platform.tables, platform.state, "features"), work)


class _Build:
    """One build of one set under the role."""

    def __init__(
        self,
        platform: Platform,
        feature_set: FeatureSet,
        engine: Engine,
        holder: RoleHolder,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._set, self._engine, self._holder = feature_set, engine, holder
        self._table: Table = table_of(feature_set)
        self._stored = LakeTable(platform.location, self._table)
        self._revisions = LakeTable(platform.location, self._table.revisions)
        self._inputs = MinuteInputs.of(platform)
        self._sources = platform.settings.sources
        self._now: datetime = platform.clock.now()
        self._on_progress = on_progress

    def run(self, symbols: Sequence[str] | None) -> Built:
        with self._inputs.pin() as inputs:
            record = inputs.record(self._table)
            if self._set.timeframe == "1m":
                return self._minutes(record, symbols)
            if record is None or record.definition != self._set.hash:
                return self._replace(inputs.securities(symbols), self._record(symbols, self._now))
            self._now = max(self._now, record.at)
            scope = _joined_scope(record.symbols, symbols)
            return self._update(inputs.stale(self._set, record, scope), self._record(scope, record.since))

    def _replace(self, securities: Sequence[Stale], record: BuildRecord) -> Built:
        """Make every row anew; rows of other definitions go away with their revisions."""
        if not securities:
            return self._built(0, 0, 0, len(securities))
        read_at = self._inputs.versions([self._table.name])[self._table.name]
        files, rows = self._written(securities)
        self._show(files, rows, record, read_at)
        return self._built(rows, 0, 0, len(securities), whole=True)

    def _show(self, files: Sequence[AddedFile], rows: int, record: BuildRecord, read_at: int | None) -> None:
        """Commit files in place of all rows of the table, and forget the revisions."""
        context = CommitContext(by=self._holder, properties=replace(record, rows=rows).properties)
        if self._revisions.version() is not None:
            self._revisions.replace(CommitContext(by=self._holder), [])
        self._stored.replace(context, files, read_at=read_at)

    def _minutes(self, record: BuildRecord | None, symbols: Sequence[str] | None) -> Built:
        """Bring minute features up to date: the months and symbols whose bars have changed, or everything."""
        inputs, read_at = self._inputs, self._inputs.versions([self._table.name])[self._table.name]
        known = record if record is not None and record.definition == self._set.hash else None
        scope = symbols if known is None else _joined_scope(known.symbols, symbols)
        stale = None if known is None else inputs.stale_months(self._set, known, scope)
        months = inputs.all_months(scope) if stale is None else stale
        chunks = [Chunk(*each) for each in inputs.month_chunks(months)]
        new_record = replace(
            self._record(scope, self._now if known is None else known.since), orders=inputs.minute_orders()
        )
        count = len({symbol for each in months.values() for symbol in each})
        if not chunks:
            return self._built(0, 0, 0, count)
        if stale is None:
            files, rows = self._written_chunks(chunks)
            self._show(files, rows, new_record, read_at)
            return self._built(rows, 0, 0, count, whole=True)
        changes = Changes(self._table)
        for done, chunk in enumerate(chunks, 1):
            rows_now = as_stored(self._table, chunk_rows(inputs, self._set, chunk), self._now)
            changes.add(inputs.stored_minutes(self._table, *chunk), rows_now, self._now)
            self._on_progress(done, len(chunks))
        return self._commit(changes, new_record, read_at, count)

    def _written_chunks(self, chunks: Sequence[Chunk]) -> tuple[list[AddedFile], int]:
        """Write the rows of chunks into data files, here or on a cluster; return the files and the number of rows."""
        if isinstance(self._engine, ClusterEngine):
            work = ClusterBuild(self._inputs, self._set, self._now, self._sources, self._on_progress)
            return work.written(self._engine, chunks)
        files, rows = list[AddedFile](), 0
        for done, chunk in enumerate(chunks, 1):
            part = as_stored(self._table, chunk_rows(self._inputs, self._set, chunk), self._now)
            files += self._stored.write(part)
            rows += part.height
            self._on_progress(done, len(chunks))
        return files, rows

    def _written(self, securities: Sequence[Stale]) -> tuple[list[AddedFile], int]:
        """Write every row into data files, here or on a cluster; return the files and the number of rows."""
        chunks, files, rows = self._inputs.chunks(securities), list[AddedFile](), 0
        if isinstance(self._engine, ClusterEngine):
            return self._written_chunks([Chunk([each.request for each in chunk]) for chunk in chunks])
        for part in self._in_files(self._whole_rows(chunks)):
            files += self._stored.write(part)
            rows += part.height
        return files, rows

    def _update(self, securities: Sequence[Stale], record: BuildRecord) -> Built:
        """Make the rows anew that may have changed, and commit those that have."""
        read_at = self._inputs.versions([self._table.name])[self._table.name]
        changes = Changes(self._table)
        if not securities:
            return self._built(0, 0, 0, len(securities))
        for stale, rows in self._stale_rows(securities):
            changes.add(self._inputs.stored_rows(self._table, stale), rows, self._now)
            if changes.new_bytes > _WRITTEN_AT_ONCE:
                changes.files += self._stored.write(changes.take_new())
        return self._commit(changes, record, read_at, len(securities))

    def _commit(self, changes: Changes, record: BuildRecord, read_at: int | None, securities: int) -> Built:
        """Commit the changed rows, and keep those that they replace."""
        if changes.nothing:
            return self._built(0, 0, 0, securities)
        self._keep(changes.superseded())
        new, changed, gone = changes.frames()
        count = self._inputs.row_count(self._table) + changes.added - gone.height
        context = CommitContext(by=self._holder, properties=replace(record, rows=count).properties)
        self._stored.commit(context, new, changed, gone, read_at=read_at, files=changes.files)
        return self._built(changes.added, changed.height, gone.height, securities)

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

    def _stale_rows(self, securities: Sequence[Stale]) -> Iterator[tuple[Sequence[Stale], pl.DataFrame]]:
        """Yield securities with their rows from the first stale day on."""
        features = self._set.features
        tails = [each for each in securities if each.first != EVERYTHING]
        whole = [each for each in securities if each.first == EVERYTHING]
        for chunk in self._inputs.tail_chunks(tails, rows_before(features)):
            bars, last = self._inputs.tail_bars(chunk, rows_before(features))
            last = self._inputs.with_stored(self._table, chunk, last, carried_names(features))
            short = {each.symbol for each in chunk}.difference(last["symbol"]).union(short_tails(features, bars, last))
            whole += [each for each in chunk if each.symbol in short]
            ready = [each for each in chunk if each.symbol not in short]
            if short:
                bars, last = (rows.filter(~pl.col("symbol").is_in(list(short))) for rows in (bars, last))
            if ready:
                values = local_tails(features, bars, last)
                own = bars.join(
                    values.select("symbol", "date"), on=["symbol", "date"], how="semi", maintain_order="left"
                )
                yield ready, self._as_rows([each.request for each in ready], own, values)
        chunks = self._inputs.chunks(whole)
        for chunk, rows in zip(chunks, self._whole_rows(chunks), strict=True):
            yield chunk, rows

    def _whole_rows(self, chunks: Sequence[Sequence[Stale]]) -> Iterator[pl.DataFrame]:
        """Yield the rows of each chunk of securities from their first stale day on, computed from all bars."""
        waiting: list[tuple[Sequence[Stale], pl.DataFrame]] = []

        def read() -> Iterator[pl.DataFrame]:
            for chunk in chunks:
                bars = self._inputs.series_bars([each.request for each in chunk])
                waiting.append((chunk, bars.select("symbol", "date", "source", "known_from")))
                yield bars

        for done, values in enumerate(self._engine.run(self._set, self._set.names, read()), 1):
            chunk, bars = waiting.pop(0)
            self._on_progress(done, len(chunks))
            wanted = since_first(chunk, bars)
            if wanted is not None:
                bars, values = bars.filter(wanted), values.filter(wanted)
            yield self._as_rows([each.request for each in chunk], bars, values)

    def _as_rows(self, requests: Sequence[SymbolRequest], bars: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return values as rows of the table, known from now on."""
        return as_stored(self._table, self._inputs.series_rows(requests, bars, values), self._now)

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

    def _record(self, symbols: Sequence[str] | None, since: datetime) -> BuildRecord:
        return BuildRecord(
            definition=self._set.hash,
            kernels=kernel_versions(),
            inputs=self._inputs.versions(inputs_of(self._set)),
            since=since,
            at=self._now,
            symbols=symbols,
            orders=self._inputs.orders(),
        )

    def _built(self, rows: int, changed: int, removed: int, securities: int, *, whole: bool = False) -> Built:
        return Built(
            feature_set=self._set.name,
            table=self._table.name,
            rows=rows,
            changed=changed,
            removed=removed,
            symbols=securities,
            whole=whole,
        )


def _joined_scope(stored: Sequence[str] | None, wanted: Sequence[str] | None) -> list[str] | None:
    """Return the symbols of the table after a build; None: every series."""
    return None if stored is None or wanted is None else sorted({*stored, *wanted})


def kernel_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute features."""
    found = {}
    for name in _KERNELS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
