"""What all queries share: the tables of one lake, the preference of vendors, and the securities behind symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from quantx.core.symbol_history import history_of
from quantx.core.tables import SYMBOL_HISTORY
from quantx.lake.store import LakeLocation
from quantx.reader.stored import LakeTables
from quantx.reader.symbol_history import SecurityRows

SourcesOf = Callable[[str, str], Sequence[str]]  # the vendors of a timeframe and a market, in order of preference


class LakeHandle:
    """The opened tables of a lake."""

    def __init__(self, location: LakeLocation, sources_of: SourcesOf = lambda timeframe, market: ()) -> None:
        self._location = location
        self._sources_of = sources_of
        self._stored = LakeTables(location)
        self._security_rows: SecurityRows | None = None
        self.url = location.url

    def _symbol_history(self) -> pl.DataFrame:
        return self._stored.rows(SYMBOL_HISTORY)

    def _securities(self) -> SecurityRows:
        """Return the selection of rows by security; this handle reads the symbol history once."""
        if self._security_rows is None:
            self._security_rows = SecurityRows(history_of(self._symbol_history()))
        return self._security_rows
