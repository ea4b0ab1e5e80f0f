"""Queries of panels: fields of bars, and concepts of filers, of many symbols side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from quantx.core.fundamentals.ratio_fields import RATIOS
from quantx.core.prices import Adjust
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, On, to_date, to_texts
from quantx.reader.bar_request import BarRequest
from quantx.reader.concept_panels import ConceptPanelRequest, masked
from quantx.reader.filers import Filers
from quantx.reader.panel_request import PanelRequest
from quantx.reader.point_in_time import PointInTime
from quantx.reader.ratio_panels import RatioPanels
from quantx.reader.reshape import wide
from quantx.reader.stored import one_state
from quantx.reader.universes import Members, UniverseQueries


class PanelQueries(RatioPanels, UniverseQueries):
    """Panels of bars and concepts."""

    @one_state
    def panel(
        self,
        field: str | Sequence[str] = "close",
        *,
        universe: str | None = None,
        symbols: Filers | None = None,
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
        currency: str | None = None,
    ) -> pl.DataFrame:
        """Return one row per session and one column per symbol, filled with `field`; null without a bar.

        The symbols are `symbols`, or all that were members of `universe` on any day between start and end. Each has a
        column, in the order of the alphabet. With several fields the columns are named as in `close_AAPL`. With
        `timeframe="1m"` there is a row per minute (`time`, UTC) with a bar of any symbol.

        `members_only` gives null on days on which a security was no member: a panel without survivorship bias. The
        other arguments are those of `bars`; `currency` is for prices only. Prices are as traded by default: returns
        across splits and dividends need `adjust="total"`.

        A field may be a concept and a period, as in "revenue_ttm", "net_income_annual", "assets" (the latest
        quarter): on each session the newest period's last value that was public before the session's close. A panel of
        concepts alone has a row per session of the exchanges, and no look-ahead; `source` then means a source of
        filings. Ratios are fields, too, as in "book_to_market": of values and prices that were public then, with
        as-traded prices and the shares of the same day; quantx.core.fundamentals.ratio_fields lists them.

        Warns with IncompleteData of symbols without bars or fundamentals.
        """
        members = self._panel_members(universe, symbols, start, end, PointInTime.parse(as_of, public_by))
        if members_only and members is None:
            raise ConfigError("members_only needs a universe")
        bars = partial(
            BarRequest.parse, timeframe=timeframe, adjust=adjust, base=base, source=source, extended=extended
        )
        request = PanelRequest(
            fields=to_texts(field, "field"),
            names=list(members.on) if members is not None else () if symbols is None else symbols,
            bars=partial(bars, start=start, end=end, as_of=as_of, public_by=public_by, currency=currency),
            on=on if on is not None or members is None else members.on,
            shown=members if members_only else None,
        )
        concepts, ratios = self._concept_fields(request.fields), [name for name in request.fields if name in RATIOS]
        if not concepts and not ratios:
            return self._price_panel(request, request.fields, universe)
        prices = [name for name in request.fields if name not in concepts and name not in ratios]
        panel = self._price_panel(request, prices, universe) if prices else None
        of_concepts = request.of_concepts(concepts, self._filer_requests(request.names, request.on), self._sessions)
        return self._with_concepts(request, of_concepts, panel)

    def _price_panel(self, request: PanelRequest, fields: Sequence[str], universe: str | None) -> pl.DataFrame:
        """Return the panel of bars; null on the days on which a security was none of the shown members."""
        bars = request.of_bars(fields)
        requests, rows = self._read_bars(bars)
        if request.shown is not None:
            self._check_reach(str(universe), bars.first, bars.moment)
            rows = request.shown.rows_of_members(rows)
        self._check_rows(bars, requests, rows)
        return wide(rows, bars.columns[1], fields, [each.symbol for each in requests], prefixed=request.prefixed)

    def _with_concepts(
        self, request: PanelRequest, of_concepts: ConceptPanelRequest, prices: pl.DataFrame | None
    ) -> pl.DataFrame:
        """Return the panel of prices, if any, with the columns of concepts, in the order of the fields."""
        days, by_field = None if prices is None else prices["date"], dict[str, list[pl.Series]]()
        if of_concepts.fields:
            days, by_field = self._concept_columns(of_concepts, days)
        if ratios := [name for name in request.fields if name in RATIOS]:
            days, columns_of_ratios = self._ratio_columns(request, of_concepts, ratios, days)
            by_field |= columns_of_ratios
        assert days is not None, "a field is a concept or a ratio"
        mask = None if request.shown is None else request.shown.mask(days)
        columns = [days]
        for field in request.fields:
            if field in by_field:
                values = by_field[field] if mask is None else masked(by_field[field], mask)
                columns += [each.alias(request.column(field, each.name)) for each in values]
            elif prices is not None:
                own = [request.column(field, each.symbol) for each in of_concepts.in_order]
                columns += prices.select(own).get_columns()
        return pl.DataFrame(columns)

    def _panel_members(
        self, universe: str | None, symbols: Filers | None, start: Day | None, end: Day | None, moment: PointInTime
    ) -> Members | None:
        """Return the members of a panel's universe; None: the panel is of symbols."""
        if (universe is None) == (symbols is None):
            raise ConfigError("a panel needs either a universe or symbols")
        if universe is None:
            return None
        return self._members_between(universe, to_date(start), to_date(end), moment)
