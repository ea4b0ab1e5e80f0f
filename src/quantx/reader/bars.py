"""Queries of bars: rows by symbol and session, adjusted and as known at any time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from quantx.core.adjustment import AdjustmentSteps
from quantx.core.ordering import sorted_by
from quantx.core.preference import least_doubted, of_one_source, preferred, with_doubts, without_absurd
from quantx.core.prices import Adjust, adjust_by_steps
from quantx.core.tables import VERDICTS
from quantx.reader.actions import ActionQueries
from quantx.reader.arguments import Day, On, Symbols, shifted
from quantx.reader.bar_request import BarRequest, SymbolsAs
from quantx.reader.rates import RateQueries
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state
from quantx.reader.symbol_history import SymbolRequest, all_plain

_BESIDE = 20  # days of bars before and after the requested ones, for three neighbours of each


class BarQueries(RateQueries, ActionQueries):
    """Daily and minute bars."""

    @one_state
    def bars(
        self,
        symbols: Symbols,
        start: Day | None = None,
        end: Day | None = None,
        *,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        as_of: Day | None = None,
        public_by: Day | None = None,
        source: str | None = None,
        columns: str | Sequence[str] | None = None,
        base: Day | None = None,
        extended: bool = False,
        on: On | None = None,
        symbols_as: SymbolsAs = "asked",
        currency: str | None = None,
    ) -> pl.DataFrame:
        """Return bars, sorted by symbol and date (1m: and time); start and end are sessions, both inclusive.

        Columns: symbol, date (session of the exchange), open, high, low, close, volume, adj_close, source, known_from
        (UTC), or those in `columns` (also `currency`, the unit of the prices, and `raw`, the raw object's id). Minutes,
        `timeframe="1m"`, also have `time`, their start (UTC); those outside of the regular session need `extended`.

        `adjust`: "none" gives prices and volume as traded, "split" applies later splits, "total" also dividends by
        Yahoo's rule, to the last known action or to the day `base`. `adj_close` is always total-adjusted.
        `as_of` gives bars and actions as this system knew them, `public_by` as they were public in the world.
        `source`: a vendor's name, or "best": per session the first vendor's bar that no other vendor contradicts.
        A symbol means a security with all its symbols: META includes the bars of FB. Several securities may have
        carried it: `on` (a day, or a day per symbol) chooses the one of that day. `symbols_as="of_day"` gives rows
        the symbol of their day. docs/how-to/query.md explains each argument.
        `currency` ("USD") gives prices in that currency: adjusted first, then multiplied by `fx_rate`, the rate of the
        bar's session or of the last day before it, at most a week (`fx_date`, `fx_source`); null without one.

        Warns with IncompleteData of symbols without bars. Raises NotInLake for a symbol or vendor that the lake does
        not know, and ConfigError for an invalid argument, and if several securities carried a symbol.
        """
        request = BarRequest.parse(
            symbols,
            start,
            end,
            timeframe=timeframe,
            adjust=adjust,
            as_of=as_of,
            public_by=public_by,
            source=source,
            columns=columns,
            base=base,
            extended=extended,
            on=on,
            symbols_as=symbols_as,
            currency=currency,
        )
        requests, rows = self._read_bars(request)
        self._check_rows(request, requests, rows)
        return self._shown_bars(request, requests, rows)

    def _shown_bars(self, request: BarRequest, requests: Sequence[SymbolRequest], rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of `_read_bars` with the requested columns, in order."""
        if request.symbols_as == "of_day":
            rows = sorted_by(self._securities().of_day(rows, requests, "date"), request.table.sort)
        return rows.select(request.columns)

    def _check_rows(self, request: BarRequest, requests: Sequence[SymbolRequest], rows: pl.DataFrame) -> None:
        """Warn of symbols without rows, or raise NotInLake; see `_check_bars`."""
        if len(requests) == 1 and rows.height:
            return
        present = set(rows["symbol"].unique()) if rows.height else ()
        self._check_bars(request.table, requests, present, source=request.vendor, moment=request.moment)

    def _read_bars(self, request: BarRequest) -> tuple[list[SymbolRequest], pl.DataFrame]:
        """Return the requested securities, and their adjusted bars by requested symbol, sorted, one per session."""
        requests, rows = self._read_traded(request)
        if request.adjusted:
            rows = adjust_by_steps(rows, self._adjustment_steps(request, requests), request.adjust)
        if request.currency is not None:
            rows = self._converted(rows, request.currency, request.moment)
        return requests, rows

    def _adjustment_steps(self, request: BarRequest, requests: Sequence[SymbolRequest]) -> AdjustmentSteps:
        """Return the steps by which the requested bars are adjusted.

        Events come with daily bars: a vendor of minutes only has none.
        """
        source, first = None if request.minutes else request.source, None if request.best else request.source
        return self._steps(requests, source, request.moment, request.base, first=first)

    def _read_traded(self, request: BarRequest) -> tuple[list[SymbolRequest], pl.DataFrame]:
        """Return the requested securities, and their as-traded bars by requested symbol, sorted, one per session."""
        requests = self._securities().requests(request.names, request.first, request.last, request.on)
        return requests, self._traded_of(request, requests)

    def _traded_of(self, request: BarRequest, requests: Sequence[SymbolRequest]) -> pl.DataFrame:
        """Return the as-traded bars of securities by requested symbol, sorted, one per session."""
        securities, table = self._securities(), request.table
        columns = request.needed_columns
        if all_plain(requests):
            columns = [c for c in columns if c != "known_from" or c in request.columns]  # it separates securities
        of_symbols = Selection.of(securities.stored_symbols(requests), request.vendor)
        beside = _BESIDE if request.best else 0
        wanted = of_symbols.between(
            request.first and shifted(request.first, -beside), request.last and shifted(request.last, beside)
        )
        if request.minutes and not request.extended:
            wanted = wanted.filtered(pl.col("regular"))
        stored = self._known(table, wanted, request.moment, columns)
        if request.best:
            inside = of_symbols.between(request.first, request.last).of_rows(table)
            verdicts = self._known(VERDICTS, of_symbols, request.moment)
            stored = with_doubts(without_absurd(stored).filter(inside), verdicts)
        rows = securities.rows(stored, requests, "date", request.day_key)
        order = partial(self._sources_of, request.timeframe)
        if request.best:
            rows = least_doubted(rows, ("symbol", "date"), order)
        elif request.minutes:
            rows = of_one_source(rows, ("symbol", "date"), order)
        else:
            rows = preferred(rows, ("symbol", "date"), order)
        return sorted_by(rows, table.sort)

    def _bars_to_export(self, symbols: Symbols, start: Day | None, end: Day | None, **how: object) -> pl.DataFrame:
        """Return bars as `bars` does, without checks: an export knows the stored symbols, and reports others."""
        request = BarRequest.parse(symbols, start, end, **how)  # type: ignore[arg-type]
        return self._shown_bars(request, *self._read_bars(request))
