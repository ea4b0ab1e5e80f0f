"""The book that all wires read: a market, the clock that decides which part of it is visible, and revisions."""

from __future__ import annotations

import math
from datetime import date

from quantx.core.rate_series import RATE_SERIES
from quantx.core.symbols import parse_symbol
from quantx.errors import ConfigError
from quantx.sandbox.clock import SandboxClock
from quantx.sandbox.columns import FIELDS
from quantx.sandbox.market import Market, PriceHistory, with_revision
from quantx.sandbox.minutes import Minutes, invented_minutes
from quantx.sandbox.view import Stage, View, stage, view_at

_KEPT = 1_000  # days of minutes, of about 20 kB each


class Book:
    """Each symbol's history with its revisions, and its view at the clock's time."""

    def __init__(self, market: Market, clock: SandboxClock) -> None:
        self.market = market
        self.clock = clock
        self.histories: dict[str, PriceHistory] = dict(market.histories)  # by canonical symbol
        self.revised_rates: dict[tuple[str, date, str], float] = {}  # by series, day, and tenor or currency
        self._views: dict[str, tuple[Stage, View]] = {}
        self._minutes: dict[tuple[str, int], tuple[tuple[float, ...], Minutes]] = {}

    def view(self, symbol: str) -> View | None:
        """Return the view of a canonical symbol's history now, None where no vendor has it (yet, or any more).

        The same object is returned until the view changes.
        """
        past = self._history(symbol)
        if past is None:
            return None
        clock = int(self.clock.now().timestamp())
        first, end = past.listed_between
        if not first <= clock < end:
            return None
        at = stage(past, clock)
        kept = self._views.get(symbol)
        if kept is None or kept[0] != at:
            kept = self._views[symbol] = (at, view_at(past, at))
        return kept[1]

    def _history(self, symbol: str) -> PriceHistory | None:
        """Return the history with its revisions."""
        past = self.histories.get(symbol)
        return self.market.find(symbol) if past is None else past

    def minutes(self, view: View, row: int) -> Minutes:
        """Return the ended minute bars of a row's day, as traded: recorded ones, else ones that add up to the row."""
        past = view.history
        day = int(past.days[row])
        at = (past.symbol, day)
        minutes = self.market.minutes.get(at)
        if minutes is None:
            bar = tuple(float(view.traded[name][row]) for name in FIELDS)
            kept = self._minutes.get(at)
            if kept is None or kept[0] != bar:
                hours = int(past.opens[row]), int(past.closes[row])
                made = invented_minutes(past.symbol, day, hours, bar, extended=past.venue.market == "us")
                if len(self._minutes) >= _KEPT:
                    self._minutes.clear()
                kept = self._minutes[at] = (bar, made)
            minutes = kept[1]
        return minutes.until(self.clock.now().timestamp())

    def revise(self, symbol: str, day: str, field: str, value: object) -> None:
        """Replace one as-traded value, or one published rate, from now on; ConfigError where the request is wrong."""
        symbol = parse_symbol(symbol)
        past = self._history(symbol)
        if past is None and symbol not in RATE_SERIES:
            raise ConfigError(f"the sandbox has no bars of {symbol}, so none can be revised")
        try:
            on, number = date.fromisoformat(day), float(str(value))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ConfigError(f"{day[:20]!a} and {str(value)[:20]!a} are not a date and a number")
        if past is None:
            self.revised_rates[symbol, on, field] = number
            return
        self.histories[symbol] = with_revision(past, on, field, number)
        self._views.pop(symbol, None)

    def revise_from(self, spec: str) -> None:
        """Apply a revision written as SYMBOL:DATE:FIELD:VALUE, or raise ConfigError."""
        parts = spec.split(":")
        if len(parts) != 4:
            raise ConfigError(
                f"{spec[:60]!a} is not a revision; write SYMBOL:DATE:FIELD:VALUE as in AAPL:2016-12-28:close:116.5"
            )
        self.revise(*parts)
