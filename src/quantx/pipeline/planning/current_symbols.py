"""Under which symbols securities trade today, as the state knows it from the lake: planning reads no tables."""

from __future__ import annotations

from collections.abc import Sequence

from quantx.pipeline.runtime.context import Context


def trading_symbols(context: Context, symbols: Sequence[str]) -> tuple[str, ...]:
    """Return the symbols that these securities carry today; what is delisted is left out, what is unknown stays."""
    namings = context.state.instruments.namings()
    if not namings:
        return tuple(symbols)
    from quantx.core.symbol_history import Naming, SymbolHistory, symbols_on  # imports Polars: only where needed

    known = SymbolHistory(Naming(*naming) for naming in namings)
    return tuple(symbols_on(known, symbols, context.clock.now().date()))
