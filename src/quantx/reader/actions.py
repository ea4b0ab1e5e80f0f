"""Queries of splits, dividends and capital gains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial

import polars as pl

from quantx.core.adjustment import AdjustmentSteps
from quantx.core.preference import BEST, events_of_shown_bars, with_first, without_wrong_vendors
from quantx.core.tables import ACTIONS, BARS_1D, VERDICTS
from quantx.reader.arguments import Day, On, Symbols, to_days, to_names, to_vendor
from quantx.reader.known_names import KnownNames
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state
from quantx.reader.symbol_history import SymbolRequest, all_plain

_MANY = 100  # symbols
ACTION_COLUMNS = ("symbol", "ex_date", "kind", "value", "reference_close", "currency", "source", "known_from")


class ActionQueries(KnownNames):
    """Corporate actions."""

    @one_state
    def actions(
        self,
        symbols: Symbols,
        *,
        as_of: Day | None = None,
        public_by: Day | None = None,
        source: str | None = None,
        on: On | None = None,
    ) -> pl.DataFrame:
        """Return splits, dividends and capital gains, sorted by symbol and ex-date.

        Columns: symbol, ex_date, kind (split, dividend, capital_gain), value (new shares per old one; cash per share of
        the ex-date in `currency`), reference_close (the close before, in the shares of the ex-date; null: the event
        moves no price, as a gain that the dividend contains), currency, source, known_from.

        `as_of` gives the actions that this system knew then, `public_by` those whose ex-date's session had opened.
        Raises NotInLake for a symbol or vendor that the lake does not know.
        """
        names, moment = to_names(symbols), PointInTime.parse(as_of, public_by)
        requests = self._securities().requests(names, None, None, to_days(names, on))
        frame = self._actions(requests, source, moment, None)
        if frame.is_empty():
            self._check_source(ACTIONS, to_vendor(source))
        self._check_symbols(requests, set(frame["symbol"]), moment)
        return frame.select(ACTION_COLUMNS)

    def _actions_to_export(self, symbols: Symbols, *, source: str | None, on: On) -> pl.DataFrame:
        """Return actions as `actions` does, without checks."""
        names = to_names(symbols)
        requests = self._securities().requests(names, None, None, to_days(names, on))
        return self._actions(requests, source, NOW, None).select(ACTION_COLUMNS)

    def _steps(
        self,
        requests: Sequence[SymbolRequest],
        source: str | None,
        moment: PointInTime,
        base: date | None,
        *,
        first: str | None = None,
    ) -> AdjustmentSteps:
        """Return the steps by which bars are adjusted.

        For many symbols they are computed for all of the table, once per version, where no other table matters.
        """
        version = self._stored.version(ACTIONS)
        files = version.files if version is not None else ()
        vendors = {file.partition["source"] for file in files}
        plain = len(requests) >= _MANY and all_plain(requests)
        of_one_vendor = source != BEST and (source is not None or len(vendors) <= 1)
        if not plain or not of_one_vendor or moment != NOW or base is not None:
            return AdjustmentSteps(self._actions(requests, source, moment, base, first=first))
        known = self._all_steps.get(source)
        if known is None or known[0] is not version:
            stored = self._stored.rows(ACTIONS, Selection(source=to_vendor(source)))
            known = self._all_steps[source] = version, AdjustmentSteps(stored)
        return known[1]

    def _actions(
        self,
        requests: Sequence[SymbolRequest],
        source: str | None,
        moment: PointInTime,
        base: date | None,
        *,
        first: str | None = None,
    ) -> pl.DataFrame:
        securities = self._securities()
        any_source = Selection.of(securities.stored_symbols(requests))
        wanted = replace(any_source, source=to_vendor(source), last=base)
        stored = self._known(ACTIONS, wanted, moment)
        if stored.is_empty():
            return stored
        verdicts = self._known(VERDICTS, any_source, moment) if source == BEST else VERDICTS.empty()
        # If a vendor is wrong by a factor, its splits are wrong; its dividends are in the units of their close.
        split = pl.col("kind") == "split"
        usable = stored
        if not verdicts.is_empty():
            usable = without_wrong_vendors(stored.filter(split), verdicts, "ex_date")
            usable = pl.concat([usable, stored.filter(~split)])
        effect = pl.when(pl.col("kind") == "split").then(pl.col("value") != 1.0).otherwise(pl.col("value") != 0.0)
        rows = securities.rows(usable.filter(effect), requests, "ex_date", ("ex_date", "kind"))
        if rows["source"].n_unique() > 1:
            days = any_source.filtered(pl.col("date").is_in(rows["ex_date"].unique().to_list()))
            shown = without_wrong_vendors(self._known(BARS_1D, days, moment), verdicts, "date")
            bars = securities.rows(shown, requests, "date", ("date",))
            rows = events_of_shown_bars(rows, bars, with_first(first, partial(self._sources_of, "1d")))
        return rows.sort("symbol", "ex_date", "kind")
