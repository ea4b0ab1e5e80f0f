"""What all queries share: the tables of one lake, the preference of vendors, and the securities behind symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import polars as pl

from quantx.core.adjustment import AdjustmentSteps
from quantx.core.symbol_history import history_of
from quantx.core.tables import SYMBOL_HISTORY
from quantx.lake.store import LakeLocation
from quantx.lake.table_version import TableVersion
from quantx.reader.cache.folder import CacheFolder
from quantx.reader.stored import LakeTables
from quantx.reader.symbol_history import SecurityRows

SourcesOf = Callable[[str, str], Sequence[str]]  # the vendors of a timeframe and a market, in order of preference


class LakeHandle:
    """The opened tables of a lake. `cache`: the folder of decoded copies of its files; None: no copies."""

    def __init__(
        self,
        location: LakeLocation,
        sources_of: SourcesOf = lambda timeframe, market: (),
        cache: CacheFolder | None = None,
    ) -> None:
        self._location = location
        self._sources_of = sources_of
        self._stored = LakeTables(location, cache)
        self._security_rows: tuple[TableVersion | None, SecurityRows] | None = None
        self._all_steps: dict[
            str | None, tuple[TableVersion | None, AdjustmentSteps]
        ] = {}  # by vendor; see ActionQueries
        self._pins = 0
        self.url = location.url

    def pin(self) -> Self:
        """Keep the present versions of all tables for all queries of this lake; return the lake.

        Queries then need no request to check for newer versions, and see one state of the tables. It lasts until
        `unpin()` or, in `with lake.pin():`, until the end of the block. Each query checks the versions otherwise.
        """
        if self._pins == 0:
            self._stored.pin()
        self._pins += 1
        return self

    def unpin(self) -> None:
        """Let queries read the newest versions again, after as many calls as of `pin`."""
        self._pins = max(0, self._pins - 1)
        if self._pins == 0:
            self._stored.unpin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.unpin()

    def _symbol_history(self) -> pl.DataFrame:
        return self._stored.rows(SYMBOL_HISTORY)

    def _securities(self) -> SecurityRows:
        """Return the selection of rows by security; the symbol history is parsed once per version."""
        version, known = self._stored.version(SYMBOL_HISTORY), self._security_rows
        if known is None or known[0] is not version:
            known = self._security_rows = version, SecurityRows(history_of(self._symbol_history()))
        return known[1]
