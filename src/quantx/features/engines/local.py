"""The engine of one machine: threads of this process, since kernels run outside of Python's lock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import polars as pl

from quantx.core.features.compute import compute
from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.tail import compute_tail

_THREADS = 2
_FEW = 1250  # symbols whose tails are computed at once
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
    ends = bars["symbol"].rle().struct.field("len").cum_sum().gather_every(_FEW, _FEW - 1).to_list()
    ends = ends if ends and ends[-1] == bars.height else [*ends, bars.height]
    parts = [bars.slice(start, end - start) for start, end in pairwise([0, *ends])]
    if len(parts) == 1:
        return compute_tail(features, bars, stored)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="quantx-features") as pool:
        return pl.concat(pool.map(lambda part: compute_tail(features, part, stored), parts))
