"""Queries of the record: earlier values, earlier symbols, and what is complete."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import polars as pl

from quantx.core.completeness import completeness, held_days
from quantx.core.tables import BARS_1D, SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.errors import ConfigError
from quantx.lake.sessions import calendars_of
from quantx.reader.arguments import Day, Symbols, bars_table, to_instant, to_names, to_vendor
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state
from quantx.reader.universes import UniverseQueries


class HistoryQueries(UniverseQueries):
    """Revisions, symbol history and coverage."""

    @one_state
    def revisions(
        self, symbols: Symbols | None = None, *, timeframe: str = "1d", source: str | None = None
    ) -> pl.DataFrame:
        """Return the bars that a vendor changed later: the values known from `known_from` until `known_to`.

        If the two are equal, `quantx reprocess` withdrew the bar: no `as_of` shows it. Raises NotInLake for a symbol or
        vendor that the lake does not know.
        """
        table = bars_table(timeframe)
        wanted = Selection.of(None if symbols is None else to_names(symbols), to_vendor(source))
        frame = self._stored.rows(table.revisions, wanted)
        if frame.is_empty():
            self._check_source(table, wanted.source)
        self._check_carried(wanted.symbols or (), frame["symbol"])
        return frame.drop("year" if timeframe == "1d" else "month").sort(*table.sort, "known_from")

    @one_state
    def symbol_history(
        self, symbols: Symbols | None = None, *, as_of: Day | None = None, public_by: Day | None = None
    ) -> pl.DataFrame:
        """Return the symbol history of all securities, or of those that ever carried one of `symbols`.

        Columns: instrument, symbol, symbol_from (null: since before the record began), symbol_to (null: still). `as_of`
        gives the history as this system knew it, `public_by` without later symbols and ends.
        """
        history = self._known(SYMBOL_HISTORY, Selection(), PointInTime.parse(as_of, public_by))
        if symbols is not None:
            names = to_names(symbols)
            self._check_carried(names, history["symbol"])
            carried = history.filter(pl.col("symbol").is_in(names))
            history = history.join(carried, on="instrument", how="semi")
        shown = history.select("instrument", "symbol", "symbol_from", "symbol_to")
        return shown.sort("instrument", "symbol_from", nulls_last=False)

    @one_state
    def coverage(
        self, universe: str | None = None, *, by: Literal["month", "symbol"] = "month", until: Day | None = None
    ) -> pl.DataFrame:
        """Return the expected and the present daily sessions of any vendor, for all universes or for one.

        Columns: universe (null: symbols in no universe), market, month (as in 202410), expected, present and share; by
        symbol: universe, market, symbol, expected, present, share, and the first and last month with a missing session.
        The expected sessions of a symbol start at its first bar or its joining, whichever is later. They end at the
        last session that has settled by now (or by `until`), at its leaving or at its delisting, whichever is first.
        """
        if by not in ("month", "symbol"):
            raise ConfigError(f"by={by!r} must be month or symbol")
        members = self._stored.rows(UNIVERSE_MEMBERS) if universe is None else self._universe(universe)
        bars = self._stored[BARS_1D.name]
        held = bars.collect(held_days(bars.scan()), in_pieces=True)
        moment = to_instant(until) or datetime.now(UTC)
        counts = completeness(held, members, self._symbol_history(), moment, calendars_of(self._stored, moment))
        rows = counts.by_month() if by == "month" else counts.by_symbol()
        return rows if universe is None else rows.filter(pl.col("universe") == universe)
