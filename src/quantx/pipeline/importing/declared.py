"""The declared facts about a source's files: those of config/imports.yaml, and flags above them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantx.core.symbols import symbol_of
from quantx.errors import ConfigError, InvalidSymbol
from quantx.providers.importing.names import SymbolRule
from quantx.providers.importing.options import ImportOptions, parse_columns
from quantx.settings.imports import ImportDeclaration, declared_imports

_PLAIN = (
    "separator",
    "decimal",
    "date_format",
    "zone",
    "stamps",
    "timeframe",
    "basis",
    "currency",
    "price_factor",
    "volume_factor",
)


def declared_options(
    path: Path, source: str, given: Mapping[str, Any] | None = None
) -> tuple[ImportOptions, str | None]:
    """Return the options of a source's files, and where the splits of their prices are from.

    Raises ConfigError where a declaration or a flag is wrong.
    """
    declared = declared_imports(path).get(source, ImportDeclaration())
    flags = {name: value for name, value in (given or {}).items() if value is not None}
    columns, order = _columns(declared, flags.get("columns"))
    values = {name: flags.get(name, getattr(declared, name)) for name in _PLAIN}
    if values["separator"] is not None:
        values["separator"] = {"\\t": "\t", "tab": "\t"}.get(values["separator"], values["separator"])
    options = ImportOptions(columns=columns, order=order, symbols=_symbol_rule(declared, flags), **values)
    return options, flags.get("splits", declared.splits)


def _columns(declared: ImportDeclaration, flag: str | None) -> tuple[dict[str, str], tuple[str, ...]]:
    if flag is not None:
        return parse_columns(flag)
    if isinstance(declared.columns, list):
        return {}, tuple(name or "" for name in declared.columns)
    return dict(declared.columns), ()


def _symbol_rule(declared: ImportDeclaration, flags: Mapping[str, Any]) -> SymbolRule:
    pattern = flags.get("symbol_pattern", declared.symbol_pattern)
    if pattern is not None:
        try:
            has_group = "symbol" in re.compile(pattern).groupindex
        except re.error:
            has_group = False
        if not has_group:
            raise ConfigError(
                f"--symbol-pattern {pattern!a} must be a regular expression with a group, as in"
                r" (?P<symbol>[A-Z.]+)_\d+\.csv"
            )
    for symbol in declared.symbols.values():
        try:
            symbol_of(symbol)
        except InvalidSymbol as error:
            raise ConfigError(f"symbols: {error}") from None
    return SymbolRule(names=declared.symbols, suffix=flags.get("suffix", declared.suffix), pattern=pattern)
