"""The securities of an export, and what the lake has of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from quantx.core.symbol_history import SymbolHistory
from quantx.core.tables import UNIVERSE_MEMBERS
from quantx.errors import ConfigError
from quantx.reader.export.changes import Changes
from quantx.reader.export.request import ExportReads, ExportRequest


@dataclass(frozen=True)
class ExportedSecurity:
    """A security to export under one symbol."""

    symbol: str
    on: date | None  # a day on which it carried the symbol
    instrument: str | None
    stored: tuple[str, ...]  # symbols under which its rows may be stored


def selected(reads: ExportReads, request: ExportRequest, earlier: Iterable[str]) -> Mapping[str, date | None] | None:
    """Return the symbols to export, each with a day on which its security carried it; None for the whole lake.

    With `symbols`, those of `earlier` exports to the folder stay.
    """
    if request.symbols is not None:
        return {symbol: day_of(reads.history, symbol, request) for symbol in sorted({*request.symbols, *earlier})}
    if request.universe is not None:
        return reads.members(request.universe)
    if request.phase is None:
        return None
    members = reads.tables[UNIVERSE_MEMBERS.name].read()
    universes = members.filter(pl.col("phase") == request.phase)["universe"].unique().sort()
    if universes.is_empty():
        known = ", ".join(members["phase"].unique().sort()) or "none; run `quantx refresh-universe`"
        raise ConfigError(f"the lake has no phase {request.phase!r}; it has {known}")
    return _each_once(reads, {symbol: day for name in universes for symbol, day in reads.members(name).items()})


def whole_lake(reads: ExportReads, changes: Changes) -> Mapping[str, date | None]:
    """Return all symbols with bars in the window, each with the last day on which a security carried it."""
    symbols = {symbol for stored in changes.stored.values() for symbol in stored}
    return _each_once(reads, {symbol: _last_day(reads.history, symbol) for symbol in symbols})


def _each_once(reads: ExportReads, days: Mapping[str, date | None]) -> Mapping[str, date | None]:
    """Return each security once, under its last symbol."""
    by_day = sorted(days, key=lambda symbol: (days[symbol] or date.max, symbol))
    return {symbol: days[symbol] for symbol in reads.preferred({symbol: days[symbol] for symbol in by_day})}


def day_of(history: SymbolHistory, symbol: str, request: ExportRequest) -> date | None:
    """Return a day that names the security; ConfigError if several carried the symbol in the window."""
    instrument = history.find_instrument(symbol, request.start, request.end)
    own = [naming for naming in history.namings_of(symbol) if naming.instrument == instrument]
    return own[-1].ends if own else date.max


def _last_day(history: SymbolHistory, symbol: str) -> date:
    namings = history.namings_of(symbol)
    return namings[-1].ends if namings else date.max


def security_of(history: SymbolHistory, symbol: str, on: date | None) -> ExportedSecurity:
    """Return the security that carried a symbol on a day."""
    instrument = history.find_instrument(symbol, None, None, on)
    others = [naming.symbol for naming in history.symbols_of(instrument)] if instrument is not None else []
    return ExportedSecurity(symbol, on, instrument, tuple(dict.fromkeys((symbol, *others))))
