"""Map stored rows to securities. A stored row has the requested symbol; securities change symbols.

A vendor's series of a symbol is the whole history of the security that carries the symbol at the time of the request,
also under its earlier symbols. A row therefore belongs to the security that carried its symbol when the row became
known, if that security was listed on the row's day. Otherwise it belongs to the one that carried the symbol on the
row's day, or to the last one that carried it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import repeat
from operator import attrgetter
from typing import NamedTuple

import polars as pl

from quantx.core.symbol_history import Naming, SymbolHistory


class SymbolRequest(NamedTuple):
    """A requested symbol and its security; None: the symbol is always this one security's, or unknown."""

    symbol: str
    instrument: str | None


def all_plain(requests: Sequence[SymbolRequest]) -> bool:
    """Return whether the symbol of each request is always one security's."""
    return not any(map(attrgetter("instrument"), requests))


class SecurityRows:
    """Select the rows of securities among the rows stored by symbol."""

    def __init__(self, history: SymbolHistory) -> None:
        self._history = history

    @property
    def history(self) -> SymbolHistory:
        """Return the symbol history."""
        return self._history

    def requests(
        self, symbols: Sequence[str], first: date | None, last: date | None, on: Mapping[str, date | None]
    ) -> list[SymbolRequest]:
        """Return the security of each symbol; ConfigError if a symbol means several of them in that time."""
        history = self._history
        if history.is_of_none(symbols):
            return list(map(SymbolRequest, symbols, repeat(None)))
        return [
            SymbolRequest(s, self._instrument(s, first, last, on.get(s)) if s in history else None) for s in symbols
        ]

    def unique(self, requests: Sequence[SymbolRequest]) -> list[SymbolRequest]:
        """Return each security once, by its last request."""
        last = {each.instrument: each for each in requests if each.instrument is not None}
        return [each for each in requests if each.instrument is None or last[each.instrument] is each]

    def _instrument(self, symbol: str, first: date | None, last: date | None, on: date | None) -> str | None:
        instrument = self._history.find_instrument(symbol, first, last, on)
        if instrument is None:
            return None
        # One symbol that no other security ever had: no rows need to be separated.
        plain = len(self._history.symbols_of(instrument)) == len(self._history.namings_of(symbol)) == 1
        return None if plain else instrument

    def instrument_on(self, symbol: str, day: date) -> str | None:
        """Return the instrument that carried a symbol on a day, else the one that carried it at the nearest time."""
        namings = self._history.namings_of(symbol)
        apart = [max((n.begins - day).days, (day - n.ends).days, 0) for n in namings]
        return namings[apart.index(min(apart))].instrument if namings else None

    def namings(self, request: SymbolRequest) -> list[Naming]:
        """Return the symbols of a requested security in order; of a symbol that is always one security's, this one."""
        if request.instrument is None:
            return [Naming("", request.symbol, None, None)]
        return self._history.symbols_of(request.instrument)

    def is_reused(self, naming: Naming) -> bool:
        """Return whether another security carried the symbol of a naming later."""
        later = self._history.namings_of(naming.symbol)
        return any(each.begins > naming.ends and each.instrument != naming.instrument for each in later)

    def stored_symbols(self, requests: Sequence[SymbolRequest]) -> list[str]:
        """Return all symbols under which rows of these securities may be stored."""
        if all_plain(requests):
            return [each.symbol for each in requests]
        symbols = [s for each in requests for s in (each.symbol, *self._symbols(each))]
        return list(dict.fromkeys(symbols))

    def rows(
        self, stored: pl.DataFrame, requests: Sequence[SymbolRequest], day: str, key: Sequence[str]
    ) -> pl.DataFrame:
        """Return the rows of the requested securities by requested symbol; one row per source, symbol and `key`.

        Of two rows for one day, under the old and the new symbol, the result has the one under the symbol of that day.
        """
        if all_plain(requests):
            return stored
        plain = [each.symbol for each in requests if each.instrument is None]
        parts = [stored.filter(pl.col("symbol").is_in(plain))]
        parts += [self._part(stored, each, day, key) for each in requests if each.instrument is not None]
        return pl.concat(parts)

    def of_day(self, rows: pl.DataFrame, requests: Sequence[SymbolRequest], day: str) -> pl.DataFrame:
        """Return the rows with the symbol that each security carried on the row's day."""
        for each in requests:
            if each.instrument is not None:
                symbols = [
                    pl.when(_on(n, pl.col(day))).then(pl.lit(n.symbol))
                    for n in self._history.symbols_of(each.instrument)
                ]
                own = pl.col("symbol") == each.symbol
                rows = rows.with_columns(
                    pl.when(own).then(pl.coalesce(*symbols, "symbol")).otherwise("symbol").alias("symbol")
                )
        return rows

    def rows_of_day(self, rows: pl.DataFrame, requests: Sequence[SymbolRequest], day: str) -> pl.DataFrame:
        """Return rows that are stored under the symbol of their day by requested symbol; the inverse of `of_day`."""
        if all_plain(requests):
            return rows
        parts = [rows.filter(pl.col("symbol").is_in([each.symbol for each in requests if each.instrument is None]))]
        for each in requests:
            if each.instrument is None:
                continue
            own = self._history.symbols_of(each.instrument)
            on_day = pl.any_horizontal((pl.col("symbol") == n.symbol) & _on(n, pl.col(day)) for n in own)
            named = pl.any_horizontal(_on(n, pl.col(day)) for n in [*own, *self._history.namings_of(each.symbol)])
            unnamed = (pl.col("symbol") == each.symbol) & ~named
            parts.append(rows.filter(on_day | unnamed).with_columns(pl.lit(each.symbol).alias("symbol")))
        return pl.concat(parts)

    def without_others(self, rows: pl.DataFrame, requests: Sequence[SymbolRequest], day: str) -> pl.DataFrame:
        """Return rows under the symbol of their day, except those of days on which another security carried it."""
        own = {each.instrument for each in requests if each.instrument is not None}
        symbols = {n.symbol for instrument in own for n in self._history.symbols_of(instrument)}
        others = [
            (pl.col("symbol") == n.symbol) & _on(n, pl.col(day))
            for symbol in symbols
            for n in self._history.namings_of(symbol)
            if n.instrument not in own
        ]
        return rows.filter(~pl.any_horizontal(others)) if others else rows

    def _symbols(self, request: SymbolRequest) -> list[str]:
        return [n.symbol for n in self._history.symbols_of(request.instrument)] if request.instrument else []

    def _part(self, stored: pl.DataFrame, request: SymbolRequest, day: str, key: Sequence[str]) -> pl.DataFrame:
        own = self._history.symbols_of(request.instrument or "")
        symbols = list(dict.fromkeys(n.symbol for n in own))
        rows = pl.concat(
            [stored.filter((pl.col("symbol") == s) & (self._owner(s, day) == request.instrument)) for s in symbols]
        )
        rank = pl.any_horizontal((pl.col("symbol") == n.symbol) & _on(n, pl.col(day)) for n in own)
        one = rows.with_columns(rank.alias("__of_day")).sort("__of_day", "known_from", descending=True)
        return (
            one.unique(["source", *key], keep="first", maintain_order=True)
            .with_columns(pl.lit(request.symbol).alias("symbol"))
            .drop("__of_day")
        )

    def _owner(self, symbol: str, day: str) -> pl.Expr:
        """Return the instrument to which a row stored under `symbol` belongs."""
        namings = self._history.namings_of(symbol)
        known, on = pl.col("known_from").dt.date(), pl.col(day)
        at_request = [pl.when(_on(n, known) & self._listed(n, on)).then(pl.lit(n.instrument)) for n in namings]
        on_day = [pl.when(_on(n, on)).then(pl.lit(n.instrument)) for n in namings]
        before = [
            pl.when((known >= n.begins) & self._listed(n, on)).then(pl.lit(n.instrument)) for n in reversed(namings)
        ]
        return pl.coalesce(*at_request, *on_day, *before)

    def _listed(self, naming: Naming, day: pl.Expr) -> pl.Expr:
        first, last = self._history.life(naming.instrument)
        return day.is_between(pl.lit(first), pl.lit(last))


def _on(naming: Naming, day: pl.Expr) -> pl.Expr:
    return day.is_between(pl.lit(naming.begins), pl.lit(naming.ends))
