"""The symbols of a run: named ones, those of a universe, a phase or a list, or all that are enabled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from quantx.core.symbols import parse_symbol, stored_symbol
from quantx.errors import ConfigError
from quantx.pipeline.planning.symbols_of_list import symbols_of_list
from quantx.pipeline.runtime.context import Context
from quantx.settings import is_symbol_list
from quantx.universes.declaration import enabled_universes


@dataclass(frozen=True)
class Scope:
    """The symbols of a run: some symbols, a universe or a file of symbols, a phase, or all that is enabled."""

    symbols: tuple[str, ...] = ()
    universe: str | None = None  # its name, or the path of a CSV on disk or in the lake
    phase: str | None = None

    def describe(self) -> dict[str, object]:
        """Return the scope as the run records it."""
        parts = {"universe": self.universe, "phase": self.phase, "symbols": list(self.symbols)}
        return {name: value for name, value in parts.items() if value}


def resolve_symbols(context: Context, scope: Scope, *, since: date | None = None) -> tuple[str, ...]:
    """Return the canonical symbols of a scope; those of all enabled universes where it names nothing.

    `since` adds the symbols that left a universe on that day or later. A universe that is not in the declaration any
    more, or not enabled there, counts only where the scope names it. Where the setting `universe_path` is a file of
    symbols, a scope that names nothing means these.
    """
    if scope.symbols:
        return tuple(dict.fromkeys(parse_symbol(symbol) for symbol in scope.symbols))
    settings = context.settings
    listed = scope.universe or (None if scope.phase else str(settings.universe_path))
    if listed is not None and is_symbol_list(listed):
        return symbols_of_list(context.location, listed, since or context.clock.now().date())
    among = None if scope.universe else enabled_universes(settings.declaration_path)
    symbols = context.state.universes.symbols(scope.universe, scope.phase, since=since, among=among)
    if not symbols:
        raise ConfigError(_why_empty(context, scope))
    return tuple(dict.fromkeys(map(stored_symbol, symbols)))


def _why_empty(context: Context, scope: Scope) -> str:
    wanted = (
        f"universe {scope.universe!r}"
        if scope.universe
        else f"enabled universe of phase {scope.phase!r}"
        if scope.phase
        else "enabled universe"
    )
    names = ", ".join(row["name"] for row in context.state.universes.listed()) or "none yet"
    return f"no {wanted} with members (known: {names}); run `quantx refresh-universe` or give --symbols"
