"""The engine of one machine: threads of this process, since kernels run outside of Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.tail import compute_tail

_THREADS = 2
_FEW = 100  # symbols that one thread computes
_AHEAD = 1  # chunks that are read while others are computed


class LocalEngine:
    """Computes chunks in threads."""

    name = "local"

    def run(
        self, feature_set: FeatureSet, names: Sequence[str], chunks: Iterable[pl.DataFrame]
    ) -> Iterator[pl.DataFrame]:
        """Yield the features of each chunk; see `Engine`."""
        wanted = [each for each in feature_set.features if each.name in set(names)]
        running: deque[Future[pl.DataFrame]] = deque()
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="quantx-features") as pool:
            for chunk in chunks:
                running.append(pool.submit(partial(compute, wanted, chunk)))
                if len(running) > _THREADS - 1 + _AHEAD:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()


def local_tails(features: Sequence[Feature], bars: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return the newest rows of features in threads; see `quantx.core.features.tail.compute_tail`."""
    symbols = bars["symbol"].unique().sort()
    if symbols.len() < _FEW:
        return compute_tail(features, bars, stored)
    middle = symbols[symbols.len() // 2]
    halves = [pl.col("symbol") < middle, pl.col("symbol") >= middle]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="quantx-features") as pool:
        parts = pool.map(lambda half: compute_tail(features, bars.filter(half), stored.filter(half)), halves)
        return pl.concat(parts)
