"""The driver's side of a whole build on a cluster: pin the inputs, cut the series into chunks, collect the files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from quantx.core.features.feature import FeatureSet
from quantx.errors import ConfigError
from quantx.features.chunks import ChunkWork, write_chunk
from quantx.features.engines import ClusterEngine
from quantx.features.inputs import BuildInputs
from quantx.features.sources import Chunk, OnProgress
from quantx.lake.file_changes import AddedFile

_PINS = "features-"  # begins the names of a build's snapshots
_FEWEST_TASKS = 16  # so that a small lake has work for all workers, too


@dataclass(frozen=True)
class Cluster:
    """The workers of a whole build of a set, under the role of features."""

    engine: ClusterEngine
    inputs: BuildInputs
    feature_set: FeatureSet
    sources: Mapping[str, Mapping[str, tuple[str, ...]]]  # the setting
    on_progress: OnProgress

    def written(self, chunks: Sequence[Chunk], known_from: datetime) -> tuple[list[AddedFile], int]:
        """Let workers write every row of some chunks; return the data files and the number of rows."""
        chunks, files, rows = spread(chunks, _FEWEST_TASKS), list[AddedFile](), 0
        with self._pinned(known_from) as work:
            for done, written in enumerate(self.engine.write(partial(write_chunk, work), chunks), 1):
                files += written.files
                rows += written.rows
                self.on_progress(done, len(chunks))
        return files, rows

    @contextmanager
    def _pinned(self, known_from: datetime) -> Iterator[ChunkWork]:
        """Pin the inputs for workers while the block runs; the pins of builds that were interrupted are dropped."""
        inputs = self.inputs
        if inputs.url == "memory://":
            raise ConfigError("a lake in memory belongs to its process; use --engine local")
        for name in inputs.snapshots()["name"]:
            if name.startswith(_PINS):
                inputs.drop_snapshot(name)
        name = f"{_PINS}{self.feature_set.name}-{known_from:%Y%m%dT%H%M%S%f}"
        inputs.snapshot(name)
        try:
            yield ChunkWork(
                url=inputs.url,
                snapshot=name,
                feature_set=self.feature_set.name,
                definition=self.feature_set.hash,
                known_from=known_from,
                sources=self.sources,
            )
        finally:
            inputs.drop_snapshot(name)


def spread(chunks: Sequence[Chunk], at_least: int) -> list[Chunk]:
    """Return chunks cut into smaller ones, by securities, where they are fewer than `at_least`."""
    pieces = -(-at_least // max(1, len(chunks)))
    found = []
    for requests, first, last in chunks:
        size = -(-len(requests) // pieces)
        found += [Chunk(requests[at : at + size], first, last) for at in range(0, len(requests), size)]
    return found
