"""Queries of panels: a field of many symbols, side by side."""

from __future__ import annotations

import polars as pl

from quantx.core.prices import Adjust
from quantx.core.tables import BARS_1D
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, Symbols, bars_table, to_date, to_names
from quantx.reader.bars import BarQueries
from quantx.reader.universes import UniverseQueries


class PanelQueries(BarQueries, UniverseQueries):
    """Panels of bars."""

    def panel(
        self,
        field: str = "close",
        *,
        universe: str | None = None,
        symbols: Symbols | None = None,
        start: Day | None = None,
        end: Day | None = None,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        as_of: Day | None = None,
        source: str | None = None,
        extended: bool = False,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return one row per session and one column per symbol, filled with `field`; null without a bar.

        With `timeframe="1m"` it has a row per minute (`time`, UTC) with a bar of any symbol. The symbols are `symbols`,
        or all that were members of `universe` on any day between start and end.
        """
        if (universe is None) == (symbols is None):
            raise ConfigError("a panel needs either a universe or symbols")
        when: On | None = on
        if symbols is not None:
            names = to_names(symbols)
        else:
            members = self._members_between(str(universe), to_date(start), to_date(end))
            names, when = list(members), on or members
        index = "date" if bars_table(timeframe) is BARS_1D else "time"
        bars = self.bars(
            names,
            start,
            end,
            timeframe=timeframe,
            adjust=adjust,
            as_of=as_of,
            source=source,
            columns=["symbol", index, field],
            extended=extended,
            on=when,
        )
        wide = bars.pivot("symbol", index=index, values=field, sort_columns=True)
        return wide.sort(index)
