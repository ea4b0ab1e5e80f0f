"""The vendor behind the wire: answers chart questions about a market at the time of its clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

from quantx.core.symbols import parse_symbol
from quantx.errors import ConfigError
from quantx.providers.yahoo import wire_symbol
from quantx.sandbox.asof import Stage, View, stage, view_at
from quantx.sandbox.clock import Clock
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import Market, SymbolHistory, with_revision
from quantx.sandbox.window import ChartQuestion, parse_question
from quantx.sandbox.yahoo_wire import Reply, Shown, chart_error, chart_reply, empty_chart, not_found, show


class Vendor:
    """Keeps a market, the clock that decides what of it is visible, and the revisions made since it was loaded."""

    def __init__(self, market: Market, clock: Clock) -> None:
        self.market = market
        self.clock = clock
        self._histories: dict[str, SymbolHistory] = {
            wire: market.histories[symbol] for wire, symbol in market.by_wire_symbol.items()
        }
        self._views: dict[str, tuple[Stage, View]] = {}
        self._shown: dict[str, tuple[int, Shown | None]] = {}
        self._last_day = day_number(market.last_day) if market.last_day else 0

    def answer(self, wire: str, params: Mapping[str, str]) -> Reply:
        """Return the reply to `/v8/finance/chart/{wire}?params`; a recording is preferred to the market's bars."""
        if self.market.recordings is not None:
            recorded = self.market.recordings.best(wire, params)
            if recorded is not None:
                return recorded
        question = parse_question(params)
        if not isinstance(question, ChartQuestion):
            return chart_error(*question)
        shown = self._show(wire)
        return not_found() if shown is None else chart_reply(shown, question, self._last_day)

    def answer_empty(self, wire: str) -> Reply:
        """Return the reply of status 200 without timestamps, as if the vendor had lost the symbol's bars."""
        shown = self._show(wire)
        return empty_chart(shown.meta if shown else {"currency": None, "symbol": wire, "exchangeName": "YHD"})

    def another(self, wire: str) -> str:
        """Return the wire symbol that follows `wire`, itself where it is the only one."""
        known = sorted(self._histories) or sorted(wire_symbol(symbol) for symbol in self.market.symbols)
        return next((other for other in known if other > wire), known[0] if known else wire)

    def revise(self, symbol: str, day: str, field: str, value: object) -> None:
        """Replace one as-traded value from now on, or raise ConfigError saying what is wrong with the request."""
        wire = wire_symbol(parse_symbol(symbol))
        known = self._histories.get(wire)
        if known is None:
            raise ConfigError(f"the sandbox has no bars of {symbol}, so none can be revised")
        try:
            on, number = date.fromisoformat(day), float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"{day[:20]!a} and {str(value)[:20]!a} are not a date and a number")
        self._histories[wire] = with_revision(known, on, field, number)
        self._views.pop(wire, None)
        self._shown.pop(wire, None)

    def revise_from(self, spec: str) -> None:
        """Apply a revision written as SYMBOL:DATE:FIELD:VALUE, or raise ConfigError."""
        parts = spec.split(":")
        if len(parts) != 4:
            raise ConfigError(
                f"{spec[:60]!a} is not a revision; write SYMBOL:DATE:FIELD:VALUE as in AAPL:2016-12-28:close:116.5"
            )
        self.revise(*parts)

    def _show(self, wire: str) -> Shown | None:
        known = self._histories.get(wire)
        if known is None:
            return None
        now = self.clock.now()
        clock = int(now.timestamp())
        first, end = known.known_between
        if not first <= clock < end:
            return None
        kept = self._shown.get(wire)
        if kept is None or kept[0] != clock:
            kept = self._shown[wire] = (clock, show(self._view(wire, known, clock), now))
        return kept[1]

    def _view(self, wire: str, known: SymbolHistory, clock: int) -> View:
        at = stage(known, clock)
        kept = self._views.get(wire)
        if kept is None or kept[0] != at:
            kept = self._views[wire] = (at, view_at(known, at))
        return kept[1]
