"""Queries of bars: rows by symbol and session, adjusted and as known at any time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Literal

import polars as pl

from quantx.core.preference import (
    BEST,
    least_doubted,
    of_one_source,
    preferred,
    with_doubts,
    without_absurd,
)
from quantx.core.prices import ADJUSTMENTS, Adjust, adjust_bars
from quantx.core.tables import BARS_1M, VERDICTS
from quantx.errors import ConfigError
from quantx.reader.actions import ActionQueries
from quantx.reader.arguments import (
    Day,
    On,
    Symbols,
    bars_table,
    shown_columns,
    to_date,
    to_days,
    to_instant,
    to_names,
    to_vendor,
)
from quantx.reader.selection import Selection

SymbolsAs = Literal["asked", "of_day"]
_BESIDE = timedelta(days=20)  # of bars before and after the requested ones, for three neighbours of each


class BarQueries(ActionQueries):
    """Daily and minute bars."""

    def bars(
        self,
        symbols: Symbols,
        start: Day | None = None,
        end: Day | None = None,
        *,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        as_of: Day | None = None,
        source: str | None = None,
        columns: Sequence[str] | None = None,
        base: Day | None = None,
        extended: bool = False,
        on: On | None = None,
        symbols_as: SymbolsAs = "asked",
    ) -> pl.DataFrame:
        """Return bars, sorted by symbol and date (1m: and time); start and end are sessions, both inclusive.

        A symbol means a security with its whole history, including earlier symbols that the lake knows: META includes
        the bars of FB. With `on` (a day, or a day per symbol) it is the security that carried the symbol on that day.
        Without it, it is the one that carries the symbol now or, with an end, carried it between start and end. The
        frame has the requested symbol, or with `symbols_as="of_day"` the symbol of each day.

        Columns: symbol, date (session of the exchange), open, high, low, close, volume, adj_close, source, known_from
        (UTC), or those in `columns` (also `currency`, the unit of the prices, and `raw`, the raw object's id).

        `timeframe`: "1d", or "1m" for minutes. Minutes also have `time`, the start of the minute (UTC), and `columns`
        may include `regular`. Minutes outside of the regular session need `extended`. All minutes of one session are of
        one source.

        `source`: a vendor's name, or "best": per session the bar of the first vendor that no other vendor contradicts,
        by the verdicts of `quantx crossvalidate reconcile` (a doubtful bar only if there is no other, a wrong one
        last). A bar that is 20 times the bars before and after it, or a 20th of them, is never shown.

        `adjust`: "none" gives prices and volume as traded, "split" applies later splits, "total" also dividends by
        Yahoo's rule. `adj_close` is the total-adjusted close in every case. `base` adjusts to that day instead of to
        the last known action. `as_of` gives bars and actions as known at that time.

        Raises ConfigError for an invalid symbol, date or name, and if several securities carried a symbol.
        """
        table = bars_table(timeframe)
        if symbols_as not in ("asked", "of_day"):
            raise ConfigError(f"symbols_as={symbols_as!r} must be asked or of_day")
        if adjust not in ADJUSTMENTS:
            raise ConfigError(f"adjust={adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
        minutes = table is BARS_1M
        shown = shown_columns(columns, minutes=minutes)
        names = to_names(symbols)
        first, last = to_date(start), to_date(end)
        if first is not None and last is not None and first > last:
            raise ConfigError(f"the start {first} lies after the end {last}")
        best = source == BEST
        if best and minutes:
            raise ConfigError("source='best' needs verdicts, which exist only for daily bars; use timeframe='1d'")
        securities = self._securities()
        requests = securities.requests(names, first, last, to_days(names, on))
        of_symbols = Selection.of(securities.stored_symbols(requests), to_vendor(source))
        beside = _BESIDE if best else timedelta(0)
        wanted = of_symbols.between(first and first - beside, last and last + beside)
        if minutes and not extended:
            wanted = wanted.filtered(pl.col("regular"))
        moment = to_instant(as_of)
        stored = self._stored.known_at(table, wanted, moment)
        if best:
            stored = without_absurd(stored).filter(of_symbols.between(first, last).condition(table))
            stored = with_doubts(stored, self._stored.known_at(VERDICTS, of_symbols, moment))
        rows = securities.rows(stored, requests, "date", ("time",) if minutes else ("date",))
        if best:
            rows = least_doubted(rows, ("symbol", "date"), partial(self._sources_of, timeframe))
        elif minutes:
            rows = of_one_source(rows, ("symbol", "date"), partial(self._sources_of, timeframe))
        else:
            rows = preferred(rows, ("symbol", "date"), partial(self._sources_of, timeframe))
        # Events come with daily bars: a vendor of minutes only has none.
        actions = self._actions(
            requests, None if minutes else source, moment, to_date(base), first=None if best else source
        )
        frame = adjust_bars(rows, actions, adjust)
        if symbols_as == "of_day":
            frame = securities.of_day(frame, requests, "date")
        return frame.sort(table.sort).select(shown)
