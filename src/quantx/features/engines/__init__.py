"""Engines: what runs the kernels over chunks of symbols. A driver reads the chunks, and commits what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import polars as pl

from quantx.core.features.feature import FeatureSet


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


def engine_of(name: str) -> Engine:
    """Return an engine by its name; ConfigError for an unknown one."""
    from quantx.errors import ConfigError
    from quantx.features.engines.local import LocalEngine

    if name == "local":
        return LocalEngine()
    raise ConfigError(f"--engine {name!r} must be local")
