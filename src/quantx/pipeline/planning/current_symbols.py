"""The current symbols of securities, from the symbol history in the state: planning reads no tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from quantx.core.asset_classes import contract_month
from quantx.state.instruments.port import Instruments


def current_symbols(instruments: Instruments, symbols: Sequence[str], today: date) -> tuple[str, ...]:
    """Return the symbols under which these securities trade today, without delisted ones; unknown symbols stay.

    A future's contract is left out after its month of delivery.
    """
    symbols = [symbol for symbol in symbols if (contract_month(symbol) or today) >= today]
    namings = instruments.namings()
    if not namings:
        return tuple(symbols)
    # Imported only where there is a history: it loads a library for frames.
    from quantx.core.symbol_history import Naming, SymbolHistory, symbols_on

    history = SymbolHistory(Naming(*naming) for naming in namings)
    return tuple(symbols_on(history, symbols, today))
