"""Which filer a ticker belongs to, over time: the SEC's lists have only today's tickers. Pure.

A list shows the tickers of one day. What a later list changes is recorded: a ticker that has moved to another filer (a
reorganisation) ends at the old one, a ticker that is gone (a delisting) ends, and both stay in the record. A move that
was before the first list can be declared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl

from quantx.core.fact_tables import FILER_SYMBOLS
from quantx.errors import ConfigError

DECLARED = "declared"  # the beginning of the evidence of a person's entry
_LISTED = "in the list of"
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class FilerSymbol:
    """A filer's securities carried a symbol for some time; both days are inclusive."""

    filer: str
    symbol: str
    first: date | None  # None: since before the record began
    last: date | None  # None: still
    evidence: str


def observe_list(known: Sequence[FilerSymbol], listed: Mapping[str, str], day: date) -> list[FilerSymbol]:
    """Return the record after a list of a day: filers by symbol.

    Symbols of the first list are taken as carried since before the record began, later ones since their first list.
    """
    is_first = not any(_LISTED in each.evidence for each in known)
    after, current = list[FilerSymbol](), set[tuple[str, str]]()
    for each in known:
        if each.last is None and listed.get(each.symbol) != each.filer:
            now = listed.get(each.symbol)
            change = f"{now} has it in the list of {day}" if now else f"it is not in the list of {day}"
            each = replace(each, last=max(day - _DAY, each.first or day - _DAY), evidence=f"{each.evidence}; {change}")
        elif each.last is None:
            current.add((each.filer, each.symbol))
        after.append(each)
    begun = {each.symbol: each.last for each in known if each.last is not None}
    for symbol, filer in listed.items():
        if (filer, symbol) not in current:
            first = (begun[symbol] + _DAY if symbol in begun else None) if is_first else day
            after.append(FilerSymbol(filer, symbol, first, None, f"{_LISTED} {day}"))
    return after


def add_tickers(known: Sequence[FilerSymbol], tickers: Iterable[tuple[str, str]], day: date) -> list[FilerSymbol]:
    """Return the record with the tickers in filers' submissions (filer, symbol), where it does not have the symbol."""
    after, symbols = list(known), {each.symbol for each in known}
    for filer, symbol in tickers:
        if symbol not in symbols:
            after.append(FilerSymbol(filer, symbol, None, None, f"in its submissions of {day}"))
            symbols.add(symbol)
    return after


def link(known: Sequence[FilerSymbol], symbol: str, filer: str, until: date, evidence: str) -> list[FilerSymbol]:
    """Return the record with a predecessor: `filer` had the symbol up to a day, and the present filer since.

    ConfigError where another filer has the symbol then by evidence of its own.
    """
    after = list[FilerSymbol]()
    linked = {each.last + _DAY for each in known if (each.symbol, each.filer) == (symbol, filer) and each.last}
    for each in known:
        if each.symbol != symbol:
            after.append(each)
            continue
        if each.filer == filer and each.last is not None:  # linked before: the new entry replaces it
            continue
        if each.filer == filer:
            raise ConfigError(f"{filer} has the symbol {symbol} still; name the filer that had it before")
        if each.last == until:
            raise ConfigError(
                f"{each.filer} had the symbol {symbol} on {until}: {each.evidence}; give another last day"
            )
        if each.last is not None and each.last <= until:
            after.append(each)
        elif each.first is None or each.first <= until + _DAY or each.first in linked:
            after.append(replace(each, first=until + _DAY))
        else:
            raise ConfigError(f"{each.filer} has the symbol {symbol} from {each.first} on: {each.evidence}")
    start = max((each.last + _DAY for each in after if each.symbol == symbol and each.last is not None), default=None)
    return [*after, FilerSymbol(filer, symbol, start, until, evidence)]


def filers_by_symbol(known: Iterable[FilerSymbol]) -> dict[str, list[str]]:
    """Return the filers of each symbol, the newest first: all whose facts belong to its history."""
    by_symbol: dict[str, list[str]] = {}
    for each in sorted(known, key=lambda each: each.last or date.max, reverse=True):
        filers = by_symbol.setdefault(each.symbol, [])
        if each.filer not in filers:
            filers.append(each.filer)
    return by_symbol


def filer_symbols_of(rows: pl.DataFrame) -> list[FilerSymbol]:
    """Return the record in the rows of FILER_SYMBOLS."""
    columns = ("filer", "symbol", "symbol_from", "symbol_to", "evidence")
    return [FilerSymbol(*row) for row in rows.select(columns).iter_rows()]


def filer_symbol_rows(record: Iterable[FilerSymbol], known_from: datetime) -> pl.DataFrame:
    """Return the record as rows of FILER_SYMBOLS."""
    rows = [(each.filer, each.symbol, each.first, each.last, each.evidence, known_from) for each in record]
    return pl.DataFrame(rows, schema=dict(FILER_SYMBOLS.schema), orient="row")
