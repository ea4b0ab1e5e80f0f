"""What all queries share: the tables of one lake, the preference of vendors, and the securities behind symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import polars as pl

from quantx.core.symbol_history import history_of
from quantx.core.tables import SYMBOL_HISTORY, Table
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location
from quantx.reader.point_in_time import PointInTime, public_ends, public_rows
from quantx.reader.selection import Selection
from quantx.reader.session_times import SessionTimes
from quantx.reader.stored import LakeTables
from quantx.reader.symbol_history import SecurityRows
from quantx.settings import load_settings

SourcesOf = Callable[[str, str], Sequence[str]]  # the vendors of a timeframe and a market, in order of preference


def no_preference(timeframe: str, market: str) -> Sequence[str]:
    """Return no vendors: all are equal."""
    return ()


class LakeHandle:
    """The opened tables of a lake."""

    def __init__(self, location: LakeLocation, sources_of: SourcesOf = no_preference) -> None:
        self._location = location
        self._sources_of = sources_of
        self._stored = LakeTables(location)
        self._sessions = SessionTimes(location)
        self._security_rows: SecurityRows | None = None
        self.url = location.url

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the address and the preference of vendors: the reading process opens the lake with its own keys."""
        if self.url == "memory://":
            raise ConfigError("a lake in memory belongs to its process and can't be pickled")
        return partial(_reopen, type(self)), (self.url, self._sources_of)

    def _symbol_history(self) -> pl.DataFrame:
        return self._stored.rows(SYMBOL_HISTORY)

    def _securities(self) -> SecurityRows:
        """Return the selection of rows by security; this handle reads the symbol history once."""
        if self._security_rows is None:
            self._security_rows = SecurityRows(history_of(self._symbol_history()))
        return self._security_rows

    def _known(self, table: Table, selection: Selection, moment: PointInTime) -> pl.DataFrame:
        """Return the rows of a selection that were known, and public, at a moment."""
        selection = self._public(table, selection, moment.public_by)
        return self._stored.known_at(table, selection, moment.as_of).with_columns(public_ends(table, moment.day))

    def _public(self, table: Table, selection: Selection, public_by: datetime | None) -> Selection:
        """Return the rows of a selection that were public at a moment; None: all."""
        if public_by is None:
            return selection
        symbols = self._symbols_in(table) if selection.symbols is None else selection.symbols
        return selection.filtered(public_rows(table, symbols, public_by, self._sessions))

    def _symbols_in(self, table: Table) -> list[str]:
        """Return the stored symbols of a table; [] for a table without symbols."""
        if "symbol" not in table.schema:
            return []
        stored = self._stored[table.name]
        return stored.collect(stored.scan().select(pl.col("symbol").unique()))["symbol"].to_list()


def _reopen(kind: type[LakeHandle], url: str, sources_of: SourcesOf) -> LakeHandle:
    settings = load_settings(lake_url=url)
    return kind(open_location(settings.lake_url, settings, create=False), sources_of)
