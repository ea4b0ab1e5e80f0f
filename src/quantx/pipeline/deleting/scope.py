"""The stored symbols that a deletion means: renamed securities have rows under several, and filers under their CIK."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.fact_tables import FILER_SYMBOLS
from quantx.core.symbol_history import SymbolHistory, history_of
from quantx.core.symbols import is_filer, parse_symbol
from quantx.core.tables import SYMBOL_HISTORY
from quantx.core.tombstones import SymbolDays
from quantx.errors import ConfigError
from quantx.lake.protocol import StoredTables


def deleted_symbols(tables: StoredTables, requested: Sequence[str]) -> tuple[SymbolDays, ...]:
    """Return the stored symbols of the requested ones, each with its days.

    A renamed security has all of its symbols. A symbol that another security carried at another time has only the days
    on which this one carried it; ConfigError where a requested symbol means several securities.
    """
    history = history_of(tables[SYMBOL_HISTORY.name].read())
    found = dict[SymbolDays, None]()
    for text in requested:
        symbol = text.strip().upper() if is_filer(text.strip().upper()) else parse_symbol(text)
        found |= dict.fromkeys(_of_security(history, symbol))
    named = [each.symbol for each in found]
    filers = tables[FILER_SYMBOLS.name].read(pl.col("symbol").is_in(named))
    found |= dict.fromkeys(SymbolDays(filer) for filer in filers["filer"].unique(maintain_order=True))
    return tuple(found)


def _of_security(history: SymbolHistory, symbol: str) -> list[SymbolDays]:
    namings = history.namings_of(symbol)
    if not namings:
        return [SymbolDays(symbol)]
    instruments = list(dict.fromkeys(naming.instrument for naming in namings))
    if len(instruments) > 1:
        carried = ", ".join(naming.describe() for naming in namings)
        raise ConfigError(
            f"{symbol} was the symbol of several securities: {carried}; name another symbol of the one that you mean"
        )
    days = []
    for naming in history.symbols_of(instruments[0]):
        is_shared = any(other.instrument != naming.instrument for other in history.namings_of(naming.symbol))
        days.append(SymbolDays(naming.symbol, naming.first, naming.last) if is_shared else SymbolDays(naming.symbol))
    return days
