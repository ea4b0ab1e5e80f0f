"""Build the stored rows of feature sets: one driver plans, an engine computes, and one commit shows the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

import polars as pl
import structlog

from quantx.core.features.feature import FeatureSet
from quantx.core.features.record import BuildRecord
from quantx.core.features.tables import table_of
from quantx.core.table import INSTANT, Table
from quantx.features.engines import Engine
from quantx.features.inputs import SERIES_INPUTS, BuildInputs
from quantx.lake.file_changes import AddedFile
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.reader.symbol_history import SymbolRequest

log = structlog.get_logger()

_KERNELS = ("polars", "polars-talib")
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
        self._stored: CuratedTable = platform.tables[self._table.name]
        self._revisions: CuratedTable = platform.tables[self._table.revisions.name]
        self._inputs = BuildInputs.of(platform)
        self._now: datetime = platform.clock.now()
        self._on_progress = on_progress

    def run(self, symbols: Sequence[str] | None) -> Built:
        with self._inputs.pin() as inputs:
            chunks = inputs.securities(symbols)
            return self._whole(chunks, symbols)

    def _whole(self, chunks: list[list[SymbolRequest]], symbols: Sequence[str] | None) -> Built:
        """Make every row anew; rows of other definitions go away with their revisions."""
        if not chunks:
            return Built(feature_set=self._set.name, table=self._table.name)
        read_at, files, rows = self._stored.version(), list[AddedFile](), 0
        for part in self._written(self._computed(chunks)):
            files += self._stored.write(part)
            rows += part.height
        context = CommitContext(by=self._holder, properties=self._record(symbols, self._now).properties)
        if self._revisions.version() is not None:
            self._revisions.commit_files(CommitContext(by=self._holder), [], replace=True)
        self._stored.commit_files(context, files, replace=True, read_at=read_at)
        return Built(
            feature_set=self._set.name,
            table=self._table.name,
            rows=rows,
            symbols=sum(map(len, chunks)),
            whole=True,
        )

    def _computed(self, chunks: Sequence[Sequence[SymbolRequest]]) -> Iterator[pl.DataFrame]:
        """Yield the rows of each chunk of securities."""
        waiting: list[tuple[Sequence[SymbolRequest], pl.DataFrame]] = []

        def read() -> Iterator[pl.DataFrame]:
            for chunk in chunks:
                bars = self._inputs.series_bars(chunk)
                waiting.append((chunk, bars.select("symbol", "date", "source", "known_from")))
                yield bars

        for done, values in enumerate(self._engine.run(self._set, self._set.names, read()), 1):
            requests, bars = waiting.pop(0)
            self._on_progress(done, len(chunks))
            yield self._as_stored(self._inputs.series_rows(requests, bars, values))

    def _as_stored(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the columns of the table, known from now on."""
        return rows.with_columns(
            pl.col("date").dt.year().cast(pl.Int32).alias("year"), pl.lit(self._now, INSTANT).alias("known_from")
        ).select(list(self._table.schema))

    def _written(self, parts: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
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
            inputs=self._inputs.versions(SERIES_INPUTS),
            since=since,
            symbols=symbols,
            orders=self._inputs.orders(),
        )


def kernel_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute features."""
    found = {}
    for name in _KERNELS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
