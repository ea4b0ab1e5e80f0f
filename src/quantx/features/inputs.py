"""What a build reads: the lake at one state, and the securities of its series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import polars as pl

from quantx.core.tables import ACTIONS, BARS_1D, SYMBOL_HISTORY, TABLES
from quantx.pipeline.runtime.context import Context
from quantx.reader.cache.folder import cache_folder
from quantx.reader.feature_inputs import FeatureInputs
from quantx.reader.symbol_history import SymbolRequest
from quantx.reader.universes import UniverseQueries
from quantx.settings import MARKETS, preferred_vendors

SERIES_INPUTS = (BARS_1D.name, ACTIONS.name, SYMBOL_HISTORY.name)
_CHUNK_ROWS = 400_000  # bars of a chunk: with 45 features 150 MB


class BuildInputs(FeatureInputs, UniverseQueries):
    """The inputs of a build."""

    @staticmethod
    def of(context: Context) -> BuildInputs:
        """Open the lake of a platform for reading."""
        settings = context.settings
        order = partial(preferred_vendors, settings.sources)
        return BuildInputs(context.location, order, cache_folder(settings, context.location.url))

    def versions(self, names: Sequence[str]) -> dict[str, int | None]:
        """Return the versions of some tables that this build reads."""
        found = {name: self._stored.version(TABLES[name]) for name in names}
        return {name: None if version is None else version.number for name, version in found.items()}

    def orders(self) -> dict[str, list[str]]:
        """Return the preferred vendors of daily bars by market."""
        return {market: list(self._sources_of("1d", market)) for market in MARKETS if market != "any"}

    def securities(self, symbols: Iterable[str] | None) -> list[list[SymbolRequest]]:
        """Return the securities with bars, in chunks without two of one symbol, in the order of their symbols."""
        size = self._symbols_at_once()
        return [layer[at : at + size] for layer in self._security_layers(symbols) for at in range(0, len(layer), size)]

    def series_bars(self, requests: Sequence[SymbolRequest]) -> pl.DataFrame:
        """Return all bars of securities; see FeatureInputs."""
        return self._feature_bars(requests)

    def series_rows(self, requests: Sequence[SymbolRequest], bars: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Return values as rows of a table, under the symbol of their day."""
        return self._securities().of_day(self._feature_rows(bars, values), requests, "date")

    def _symbols_at_once(self) -> int:
        version = self._stored.version(BARS_1D)
        rows = sum(file.rows for file in version.files) if version is not None else 0
        per_symbol = max(250, rows // max(1, len(self._symbols_in(BARS_1D))))
        return max(1, _CHUNK_ROWS // per_symbol)
