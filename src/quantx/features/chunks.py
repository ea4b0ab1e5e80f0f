"""A chunk of a whole build: some securities, whose rows one process makes from the lake and writes as data files.

The driver of a build cuts the series into chunks. On a cluster a worker gets a chunk's names, not its bars: it reads
them from the lake at the versions that the driver has pinned, as the driver would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial

import polars as pl

from quantx.core.features.feature import FeatureSet
from quantx.core.features.sets import SETS
from quantx.core.features.tables import table_of
from quantx.core.table import INSTANT, Table
from quantx.errors import LakeError
from quantx.features.engines import Engine
from quantx.features.engines.local import LocalEngine
from quantx.features.minutes import MinuteInputs, RowsByMonth
from quantx.features.securities import RowsBySecurity
from quantx.features.sources import Chunk, OnProgress, WrittenChunk
from quantx.lake.files import TableFiles
from quantx.lake.snapshots import LakeSnapshot
from quantx.lake.store import LakeLocation, open_location
from quantx.reader.cache.folder import cache_folder
from quantx.settings import load_settings, preferred_vendors


@dataclass(frozen=True, kw_only=True)
class ChunkWork:
    """What a worker needs to make any chunk of a build; it can be sent, and has no credentials."""

    url: str  # of the lake, which the worker opens with its own settings
    snapshot: str  # the pinned versions of the inputs
    feature_set: str
    definition: str  # the hash of the set: a worker with other definitions refuses
    known_from: datetime
    sources: Mapping[str, Mapping[str, tuple[str, ...]]] = field(hash=False)  # the setting of the driver


def as_stored(table: Table, rows: pl.DataFrame, known_from: datetime) -> pl.DataFrame:
    """Return rows with the columns of a feature table, known from a moment on."""
    year = pl.col("date").dt.year().cast(pl.Int32)
    month = year * 100 + pl.col("date").dt.month().cast(pl.Int32)
    partition = month.alias("month") if "month" in table.schema else year.alias("year")
    return rows.with_columns(partition, pl.lit(known_from, INSTANT).alias("known_from")).select(list(table.schema))


def write_chunk(work: ChunkWork, chunk: Chunk) -> WrittenChunk:
    """Make the rows of a chunk, and write them as data files of the table; LakeError where the definitions differ."""
    feature_set = SETS.get(work.feature_set)
    if feature_set is None or feature_set.hash != work.definition:
        raise LakeError(
            f"a worker has other definitions of the set {work.feature_set} than the driver; install the same version of"
            " quantx-data-builder on both"
        )
    location, inputs = _opened(work.url, work.snapshot, json.dumps(work.sources, sort_keys=True))
    table = table_of(feature_set)
    source = rows_apart(inputs, feature_set, LocalEngine(), None)
    rows = as_stored(table, source.chunk_rows(chunk), work.known_from)
    return WrittenChunk(rows.height, tuple(TableFiles(location, table.path, table).write(rows)))


def rows_apart(
    inputs: MinuteInputs,
    feature_set: FeatureSet,
    engine: Engine,
    symbols: Sequence[str] | None,
    on_progress: OnProgress = lambda done, total: None,
) -> RowsBySecurity | RowsByMonth:
    """Return the rows of a set that is a function of each security alone."""
    if feature_set.timeframe == "1m":
        return RowsByMonth(inputs, feature_set, symbols, on_progress)
    return RowsBySecurity(inputs, feature_set, engine, symbols, on_progress)


@cache
def _opened(url: str, snapshot: str, sources: str) -> tuple[LakeLocation, MinuteInputs]:
    """Open a lake at pinned versions, once per process."""
    settings = load_settings(lake_url=url)
    location = open_location(settings.lake_url, settings, create=False)
    order = partial(preferred_vendors, json.loads(sources))
    pinned = LakeSnapshot.read(location, snapshot)
    return location, MinuteInputs(location, order, cache_folder(settings, location.url), pinned)
