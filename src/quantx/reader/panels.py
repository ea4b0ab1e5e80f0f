"""Queries of panels: fields of many symbols, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.prices import Adjust
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, Symbols, to_date, to_texts
from quantx.reader.bar_request import BarRequest
from quantx.reader.bars import BarQueries
from quantx.reader.point_in_time import PointInTime
from quantx.reader.reshape import wide
from quantx.reader.stored import one_state
from quantx.reader.universes import Members, UniverseQueries


class PanelQueries(BarQueries, UniverseQueries):
    """Panels of bars."""

    @one_state
    def panel(
        self,
        field: str | Sequence[str] = "close",
        *,
        universe: str | None = None,
        symbols: Symbols | None = None,
        start: Day | None = None,
        end: Day | None = None,
        members_only: bool = False,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        base: Day | None = None,
        as_of: Day | None = None,
        public_by: Day | None = None,
        source: str | None = None,
        extended: bool = False,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return one row per session and one column per symbol, filled with `field`; null without a bar.

        The symbols are `symbols`, or all that were members of `universe` on any day between start and end. Each has a
        column, in the order of the alphabet. With several fields the columns are named as in `close_AAPL`. With
        `timeframe="1m"` there is a row per minute (`time`, UTC) with a bar of any symbol.

        `members_only` gives null on days on which a security was no member: a panel without survivorship bias. The
        other arguments are those of `bars`. Prices are as traded by default: returns across splits and dividends need
        `adjust="total"`.

        Warns with IncompleteData of symbols without bars.
        """
        fields = to_texts(field, "field")
        members = self._panel_members(universe, symbols, start, end, PointInTime.parse(as_of, public_by))
        if members_only and members is None:
            raise ConfigError("members_only needs a universe")
        request = BarRequest.parse(
            list(members.on) if members is not None else () if symbols is None else symbols,
            start,
            end,
            timeframe=timeframe,
            adjust=adjust,
            as_of=as_of,
            public_by=public_by,
            source=source,
            columns=["symbol", "time" if timeframe == "1m" else "date", *fields],
            base=base,
            extended=extended,
            on=on if on is not None or members is None else members.on,
        )
        requests, rows = self._read_bars(request)
        if members_only and members is not None:
            self._check_reach(str(universe), request.first, request.moment)
            rows = members.rows_of_members(rows)
        self._check_rows(request, requests, rows)
        return wide(rows, request.columns[1], fields, [each.symbol for each in requests])

    def _panel_members(
        self, universe: str | None, symbols: Symbols | None, start: Day | None, end: Day | None, moment: PointInTime
    ) -> Members | None:
        """Return the members of a panel's universe; None: the panel is of symbols."""
        if (universe is None) == (symbols is None):
            raise ConfigError("a panel needs either a universe or symbols")
        if universe is None:
            return None
        return self._members_between(universe, to_date(start), to_date(end), moment)
