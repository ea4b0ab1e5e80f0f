"""What all queries share: the tables of one lake, the preference of vendors, and the securities behind symbols."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, Self

import polars as pl

from quantx.core.adjustment import AdjustmentSteps
from quantx.core.symbol_history import history_of
from quantx.core.table import Table
from quantx.core.tables import SYMBOL_HISTORY
from quantx.errors import ConfigError
from quantx.lake.snapshots import LakeSnapshot
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table_version import TableVersion
from quantx.reader.cache.folder import CacheFolder, cache_folder
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
    """The opened tables of a lake. `cache`: the folder of decoded copies of its files; None: no copies.

    `snapshot`: the tables are those of a named snapshot; None: the newest ones.
    """

    def __init__(
        self,
        location: LakeLocation,
        sources_of: SourcesOf = no_preference,
        cache: CacheFolder | None = None,
        snapshot: LakeSnapshot | None = None,
    ) -> None:
        self._location = location
        self._sources_of = sources_of
        self._stored = LakeTables(location, cache, snapshot)
        self._sessions = SessionTimes(self._stored)
        self._security_rows: tuple[TableVersion | None, SecurityRows] | None = None
        self._all_steps: dict[str | None, tuple[TableVersion | None, AdjustmentSteps]] = {}  # by vendor
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

    @contextmanager
    def in_one_state(self, name: str) -> Iterator[Self]:
        """Let the queries in the `with` block, in this thread, see one state of the tables, which is checked once.

        The tables that the block of this name used last time are checked together, which takes one round trip.
        """
        with self._stored.one_state(name):
            yield self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.unpin()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the address and the preference of vendors: the reading process opens the lake with its own keys."""
        if self.url == "memory://":
            raise ConfigError("a lake in memory belongs to its process and can't be pickled")
        snapshot = self._stored.snapshot
        return partial(_reopen, type(self)), (self.url, self._sources_of, snapshot and snapshot.name)

    def _symbol_history(self) -> pl.DataFrame:
        return self._stored.rows(SYMBOL_HISTORY)

    def _securities(self) -> SecurityRows:
        """Return the selection of rows by security; the symbol history is parsed once per version."""
        version, known = self._stored.version(SYMBOL_HISTORY), self._security_rows
        if known is None or known[0] is not version:
            known = self._security_rows = version, SecurityRows(history_of(self._symbol_history()))
        return known[1]

    def _known(
        self, table: Table, selection: Selection, moment: PointInTime, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Return the rows of a selection that were known, and public, at a moment, with all columns or some."""
        selection = self._public(table, selection, moment.public_by)
        rows = self._stored.known_at(table, selection, moment.as_of, columns)
        return rows if moment.day is None else rows.with_columns(public_ends(table, moment.day))

    def _public(self, table: Table, selection: Selection, public_by: datetime | None) -> Selection:
        """Return the rows of a selection that were public at a moment; None: all."""
        if public_by is None:
            return selection
        chosen = selection.symbols
        symbols = partial(self._symbols_in, table) if chosen is None else lambda: chosen
        return selection.filtered(public_rows(table, symbols, public_by, self._sessions))

    def _symbols_in(self, table: Table) -> list[str]:
        """Return the stored symbols of a table."""
        stored = self._stored[table.name]
        return stored.collect(stored.scan().select(pl.col("symbol").unique()), in_pieces=True)["symbol"].to_list()


def _reopen(kind: type[LakeHandle], url: str, sources_of: SourcesOf, name: str | None = None) -> LakeHandle:
    settings = load_settings(lake_url=url)
    location = open_location(settings.lake_url, settings, create=False)
    snapshot = None if name is None else LakeSnapshot.read(location, name)
    return kind(location, sources_of, cache_folder(settings, location.url), snapshot)
