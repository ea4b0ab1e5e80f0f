"""The engine of a cluster that speaks Spark Connect: Apache Spark, Databricks, Sail.

A task gets one chunk: it reads the chunk's bars from the lake, computes, and writes data files of the feature table.
What travels through Spark are names of symbols, and facts about the files. The driver commits all files at once.
So a task that runs twice, or dies, changes nothing that a reader sees: its files are in no commit.

Tasks are the partitions of a range, and not groups of a shuffle: Spark would put all groups of such small rows into one
task, and Sail wants a free slot for every group at once.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl
import structlog

from quantx.core.features.feature import FeatureSet
from quantx.errors import ConfigError, LakeError, QuantxError
from quantx.extras import extra
from quantx.features.engines.local import LocalEngine
from quantx.features.sources import Chunk, WriteChunk, WrittenChunk

if TYPE_CHECKING:
    import pyarrow as pa

log = structlog.get_logger()

_ANSWER = "chunk bigint, written string, failure string"
# Seconds before a query is repeated for the chunks without an answer. Sail notices after two minutes by default that a
# worker is gone, and refuses queries meanwhile; Spark repeats tasks by itself. An answer begins the list anew.
_PAUSES = (1, 4, 10, 30, 60, 60)


class SparkEngine:
    """Makes the chunks of whole builds on a cluster; what an update recomputes is too little for one."""

    name = "spark"

    def __init__(self, open_session: Callable[[], Any], pauses: Sequence[float] = _PAUSES) -> None:
        self._open_session = open_session
        self._pauses = pauses

    def run(
        self, feature_set: FeatureSet, names: Sequence[str], chunks: Iterable[pl.DataFrame]
    ) -> Iterator[pl.DataFrame]:
        """Yield the features of each chunk, computed in this process; see `Engine`."""
        return LocalEngine().run(feature_set, names, chunks)

    def write(self, write_chunk: WriteChunk, chunks: Sequence[Chunk]) -> Iterator[WrittenChunk]:
        """Yield the data files of each chunk as workers write them, in any order.

        A query that fails is repeated for the chunks without an answer. LakeError where the cluster does not answer.
        """
        from pyspark.errors import PythonException

        session = self._open_session()
        missing, failures = dict(enumerate(chunks)), 0
        while missing:
            try:
                for chunk, written in _answers(session, write_chunk, missing):
                    del missing[chunk]
                    failures = 0
                    yield written
                return
            except PythonException as error:  # a worker's own: to repeat it would fail again
                raise LakeError(
                    "a worker of the cluster could not compute; check that quantx-data-builder with the extra `spark`"
                    " is installed there, and its log"
                ) from error
            except _failures_of_clusters() as error:
                if failures == len(self._pauses):
                    raise LakeError(
                        f"the cluster has failed {failures + 1} times, with {len(missing)} chunks left; check its"
                        " workers, and start the build again"
                    ) from error
                log.warning("features.cluster_failed", chunks=len(missing), error=type(error).__name__)
                time.sleep(self._pauses[failures])
                failures += 1


def _failures_of_clusters() -> tuple[type[Exception], ...]:
    """Return the errors of a failed query: of Spark Connect, and of a session inside of Spark's JVM."""
    from pyspark.errors import PySparkException

    try:
        from py4j.protocol import Py4JError
    except ModuleNotFoundError:  # the client of Spark Connect has none
        return (PySparkException,)
    return PySparkException, Py4JError


def _answers(session: Any, write_chunk: WriteChunk, chunks: dict[int, Chunk]) -> Iterator[tuple[int, WrittenChunk]]:
    """Run one query with a task per chunk; yield the chunks as their tasks end."""
    numbers = list(chunks)
    tasks = session.range(0, len(numbers), 1, len(numbers))
    task = partial(run_tasks, write_chunk, [(number, chunks[number]) for number in numbers])
    for row in tasks.mapInArrow(task, _ANSWER).toLocalIterator():
        if row["failure"] is not None:
            raise LakeError(f"a worker of the cluster: {row['failure']}")
        yield row["chunk"], WrittenChunk.from_json(row["written"])


def run_tasks(
    write_chunk: WriteChunk, chunks: Sequence[tuple[int, Chunk]], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Write the chunks whose positions are in the batches; it runs on a worker."""
    import pyarrow as pa

    for batch in batches:
        for position in batch.column(0).to_pylist():
            number, chunk = chunks[position]
            written = failure = None
            try:
                written = write_chunk(chunk).to_json()
            except QuantxError as error:
                failure = str(error)
            yield pa.RecordBatch.from_pydict(
                {
                    "chunk": pa.array([number], pa.int64()),
                    "written": pa.array([written], pa.string()),
                    "failure": pa.array([failure], pa.string()),
                }
            )


def spark_session(remote: str | None) -> Any:
    """Return a session at an address, as in sc://host:15002; None: the one of the cluster where this program runs."""
    with extra("spark", "--engine spark"), _without_advice():
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        try:
            builder = SparkSession.builder if remote is None else SparkSession.builder.remote(remote)
            return builder.getOrCreate()
        except (PySparkException, RuntimeError) as error:
            raise ConfigError(
                f"there is no Spark at {remote or 'this place'};"
                " set QUANTX_SPARK_REMOTE to its address, as in sc://host:15002"
            ) from error


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence the warnings about pandas 3 in this block: no pandas is used here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
