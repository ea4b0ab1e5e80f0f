"""A chunk of a whole build: some securities, whose rows one process makes from the lake and writes as data files.

The driver of a build cuts the series into chunks. On a cluster a worker gets a chunk's names, not its bars: it reads
them from the lake at the versions that the driver has pinned, as the driver would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from functools import cache, partial
from typing import NamedTuple

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import FeatureSet
from quantx.core.features.sets import SETS
from quantx.core.features.tables import table_of
from quantx.core.table import INSTANT, Table
from quantx.errors import LakeError
from quantx.features.minutes import MinuteInputs
from quantx.lake.file_changes import AddedFile
from quantx.lake.files import TableFiles
from quantx.lake.snapshots import LakeSnapshot
from quantx.lake.store import LakeLocation, open_location
from quantx.reader.cache.folder import cache_folder
from quantx.reader.symbol_history import SymbolRequest
from quantx.settings import load_settings, preferred_vendors


class Chunk(NamedTuple):
    """The rows of some securities; of minutes, those from `first` to `last`."""

    requests: Sequence[SymbolRequest]
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, kw_only=True)
class ChunkWork:
    """What a worker needs to make any chunk of a build; it can be sent, and has no credentials."""

    url: str  # of the lake, which the worker opens with its own settings
    snapshot: str  # the pinned versions of the inputs
    feature_set: str
    definition: str  # the hash of the set: a worker with other definitions refuses
    known_from: datetime
    sources: Mapping[str, Mapping[str, tuple[str, ...]]] = field(hash=False)  # the setting of the driver


@dataclass(frozen=True)
class WrittenChunk:
    """The data files of a chunk; a commit of the driver makes them visible."""

    rows: int
    files: tuple[AddedFile, ...]

    def to_json(self) -> str:
        """Return the chunk as JSON."""
        return json.dumps({"rows": self.rows, "files": [asdict(file) for file in self.files]})

    @staticmethod
    def from_json(text: str) -> WrittenChunk:
        """Return the chunk of `to_json`."""
        facts = json.loads(text)
        return WrittenChunk(facts["rows"], tuple(AddedFile(**file) for file in facts["files"]))


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
    rows = as_stored(table, chunk_rows(inputs, feature_set, chunk), work.known_from)
    return WrittenChunk(rows.height, tuple(TableFiles(location, table.path, table).write(rows)))


def chunk_rows(inputs: MinuteInputs, feature_set: FeatureSet, chunk: Chunk) -> pl.DataFrame:
    """Return the rows of a chunk under the symbol of their day."""
    if feature_set.timeframe == "1m":
        bars = inputs.minute_bars(*chunk)
        return inputs.minute_rows(chunk.requests, bars, compute(feature_set.features, bars))
    return inputs.whole_rows(feature_set.features, chunk.requests)


@cache
def _opened(url: str, snapshot: str, sources: str) -> tuple[LakeLocation, MinuteInputs]:
    """Open a lake at pinned versions, once per process."""
    settings = load_settings(lake_url=url)
    location = open_location(settings.lake_url, settings, create=False)
    order = partial(preferred_vendors, json.loads(sources))
    pinned = LakeSnapshot.read(location, snapshot)
    return location, MinuteInputs(location, order, cache_folder(settings, location.url), pinned)
