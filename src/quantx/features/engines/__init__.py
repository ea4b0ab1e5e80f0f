"""Engines: what runs the kernels over chunks of symbols. A driver reads the chunks, and commits what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import polars as pl

from quantx.core.features.feature import FeatureSet

if TYPE_CHECKING:
    from quantx.features.sources import Chunk, WriteChunk, WrittenChunk
    from quantx.settings import Settings

ENGINES = ("local", "spark")


class Engine(Protocol):
    """Computes features of chunks of symbols; frames are Arrow in and out."""

    name: str

    def run(
        self, feature_set: FeatureSet, names: Sequence[str], chunks: Iterable[pl.DataFrame]
    ) -> Iterator[pl.DataFrame]:
        """Yield symbol, date and some features of each chunk, a row per row, in the order of the chunks.

        `chunks` have the columns that `quantx.core.features.compute.compute` takes, each with all rows of its symbols.
        They are read one after another, and not further ahead than memory allows.
        """
        ...


@runtime_checkable
class ClusterEngine(Protocol):
    """Makes the chunks of a whole build on workers, which read the lake and write data files themselves."""

    def write(self, write_chunk: WriteChunk, chunks: Sequence[Chunk]) -> Iterator[WrittenChunk]:
        """Yield the data files of each chunk once, in any order; LakeError where workers can't make one.

        `write_chunk` can be sent to a worker, and may run more than once for a chunk.
        """
        ...


def engine_of(name: str, settings: Settings | None = None) -> Engine:
    """Return an engine by its name, with the cluster of the settings; ConfigError for an unknown one."""
    from quantx.errors import ConfigError
    from quantx.features.engines.local import LocalEngine

    if name == "local":
        return LocalEngine()
    if name == "spark":
        from quantx.features.engines.spark import SparkEngine, spark_session

        return SparkEngine(partial(spark_session, None if settings is None else settings.spark_remote))
    raise ConfigError(f"--engine {name!r} must be one of {', '.join(ENGINES)}")
