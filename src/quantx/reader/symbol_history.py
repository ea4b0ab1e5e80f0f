"""SecurityRows rows are these? Stored rows carry the symbol under which a vendor was asked; securities change symbols.

A vendor's series of a symbol is the whole history of who carries the symbol when it is asked, also from the time under
another one. So a row belongs to who carried its symbol when the row became known, if that security lived on the row's
day; otherwise to who carried the symbol on the row's day; otherwise to the last one who carried it before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quantx.core.symbol_history import Naming, SymbolHistory


@dataclass(frozen=True)
class SymbolRequest:
    """A symbol as somebody asks for it, and the security that is meant; None: nothing is known of the symbol."""

    symbol: str
    instrument: str | None


class SecurityRows:
    """Finds the rows of securities among those stored under symbols."""

    def __init__(self, history: SymbolHistory) -> None:
        self._history = history

    def asked(
        self, symbols: Sequence[str], first: date | None, last: date | None, on: Mapping[str, date | None]
    ) -> list[SymbolRequest]:
        """Return which securities are meant; ConfigError where a symbol means several of them in that time."""
        return [SymbolRequest(symbol, self._meant(symbol, first, last, on.get(symbol))) for symbol in symbols]

    def once(self, asked: Sequence[SymbolRequest]) -> list[SymbolRequest]:
        """Return each security once, by the symbol that stands last."""
        last = {each.instrument: each for each in asked if each.instrument is not None}
        return [each for each in asked if each.instrument is None or last[each.instrument] is each]

    def _meant(self, symbol: str, first: date | None, last: date | None, on: date | None) -> str | None:
        instrument = self._history.find_instrument(symbol, first, last, on)
        if instrument is None:
            return None
        # One symbol, and nobody else ever had it: there is nothing to tell apart.
        plain = len(self._history.symbols_of(instrument)) == len(self._history.namings_of(symbol)) == 1
        return None if plain else instrument

    def stored_under(self, asked: Sequence[SymbolRequest]) -> list[str]:
        """Return all symbols under which rows of these securities may be stored."""
        symbols = [s for each in asked for s in (each.symbol, *self._symbols(each))]
        return list(dict.fromkeys(symbols))

    def rows(self, stored: pl.DataFrame, asked: Sequence[SymbolRequest], day: str, key: Sequence[str]) -> pl.DataFrame:
        """Return the rows of the asked securities, with the symbol as asked; one row per source, symbol and `key`.

        Of several rows for one day, under the old and the new symbol, the one under the symbol of its day is taken.
        """
        if all(each.instrument is None for each in asked):
            return stored
        plain = [each.symbol for each in asked if each.instrument is None]
        parts = [stored.filter(pl.col("symbol").is_in(plain))]
        parts += [self._part(stored, each, day, key) for each in asked if each.instrument is not None]
        return pl.concat(parts)

    def of_day(self, rows: pl.DataFrame, asked: Sequence[SymbolRequest], day: str) -> pl.DataFrame:
        """Return the rows with the symbol that each security carried on the row's day."""
        for each in asked:
            if each.instrument is not None:
                named = [
                    pl.when(_on(n, pl.col(day))).then(pl.lit(n.symbol))
                    for n in self._history.symbols_of(each.instrument)
                ]
                here = pl.col("symbol") == each.symbol
                rows = rows.with_columns(
                    pl.when(here).then(pl.coalesce(*named, "symbol")).otherwise("symbol").alias("symbol")
                )
        return rows

    def _symbols(self, asked: SymbolRequest) -> list[str]:
        return [n.symbol for n in self._history.symbols_of(asked.instrument)] if asked.instrument else []

    def _part(self, stored: pl.DataFrame, asked: SymbolRequest, day: str, key: Sequence[str]) -> pl.DataFrame:
        own = self._history.symbols_of(asked.instrument or "")
        symbols = list(dict.fromkeys(n.symbol for n in own))
        rows = pl.concat(
            [stored.filter((pl.col("symbol") == s) & (self._owner(s, day) == asked.instrument)) for s in symbols]
        )
        rank = pl.any_horizontal((pl.col("symbol") == n.symbol) & _on(n, pl.col(day)) for n in own)
        one = rows.with_columns(rank.alias("__of_day")).sort("__of_day", "known_from", descending=True)
        return (
            one.unique(["source", *key], keep="first", maintain_order=True)
            .with_columns(pl.lit(asked.symbol).alias("symbol"))
            .drop("__of_day")
        )

    def _owner(self, symbol: str, day: str) -> pl.Expr:
        """Return the instrument to which a row stored under `symbol` belongs."""
        namings = self._history.namings_of(symbol)
        then, here = pl.col("known_from").dt.date(), pl.col(day)
        told = [pl.when(_on(n, then) & self._lives(n, here)).then(pl.lit(n.instrument)) for n in namings]
        carried = [pl.when(_on(n, here)).then(pl.lit(n.instrument)) for n in namings]
        before = [
            pl.when((then >= n.begins) & self._lives(n, here)).then(pl.lit(n.instrument)) for n in reversed(namings)
        ]
        return pl.coalesce(*told, *carried, *before)

    def _lives(self, naming: Naming, day: pl.Expr) -> pl.Expr:
        first, last = self._history.life(naming.instrument)
        return day.is_between(pl.lit(first), pl.lit(last))


def _on(naming: Naming, day: pl.Expr) -> pl.Expr:
    return day.is_between(pl.lit(naming.begins), pl.lit(naming.ends))
