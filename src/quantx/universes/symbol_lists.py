"""A list of symbols in a file: a CSV with a column of symbols, or one symbol on each line.

Triggers read such lists, so importing this module loads no library for pages or workbooks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from quantx.core.symbols import MARKET_OF_CALENDAR, US
from quantx.errors import InvalidSymbol, RefusedList
from quantx.universes.forms import from_any_form
from quantx.universes.protocol import Document
from quantx.universes.texts import csv_rows, decode, numbered_rows

_HEADS = ("symbol", "ticker", "code", "symbols", "tickers")
_SEPARATORS = ",;\t"
_MARKET, _TO = "market", "member_to"  # as in meta/universe_<phase>.csv
_MARKETS = frozenset(MARKET_OF_CALENDAR.values())


class ListedSymbol(NamedTuple):
    """A canonical symbol in a list, and the last day on which it belongs to it."""

    symbol: str
    member_to: date | None  # None: it still belongs


def listed_symbols(document: Document) -> list[ListedSymbol]:
    """Return the symbols of a list in its order; RefusedList with the row of a problem.

    The header is the first row with a column `symbol`, `ticker` or `code` (or its plural), in any case; `market` and
    `member_to` are read where they exist. Commas, semicolons or tabs separate columns. Without a header, the first cell
    of each line is a symbol, and a line that begins with # is a comment. A symbol without a suffix or a market is
    American.
    """
    where, text = document.origin, decode(document)
    rows = csv_rows(text, _separator(text), where)
    heads = next((names for row in rows if (names := _heads(row))), None)
    found = list(_under(heads, rows, where) if heads else _of_lines(rows, where))
    if not found:
        raise RefusedList(f"{where} has no symbols")
    return found


def _separator(text: str) -> str:
    """Return the separator that the first line has most often, without comments; a comma by default.

    >>> _separator("symbol;name"), _separator("AAPL")
    (';', ',')
    """
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return max(_SEPARATORS, key=next(lines, "").count)


def _heads(row: Sequence[str]) -> dict[str, str] | None:
    """Return the columns of a header by their names here; None for a row that is not a header."""
    cells = {cell.strip().lower(): cell.strip() for cell in row}
    head = next((head for head in _HEADS if head in cells), None)
    return None if head is None else {"symbol": cells[head], **{n: cells[n] for n in (_MARKET, _TO) if n in cells}}


def _under(heads: dict[str, str], rows: Sequence[Sequence[str]], where: str) -> Iterator[ListedSymbol]:
    for number, row in numbered_rows(rows, list(heads.values()), where):
        cells = {name: row[column].strip() for name, column in heads.items()}
        market = cells.get(_MARKET, "").lower()
        left = _day(cells[_TO], number, where) if cells.get(_TO) else None
        yield ListedSymbol(_symbol(cells["symbol"], market, number, where), left)


def _of_lines(rows: Sequence[Sequence[str]], where: str) -> Iterator[ListedSymbol]:
    for number, row in enumerate(rows, 1):
        cell = row[0].strip() if row else ""
        if cell and not cell.startswith("#"):
            yield ListedSymbol(_symbol(cell, "", number, where), None)


def _symbol(text: str, market: str, number: int, where: str) -> str:
    try:
        return from_any_form(text, market if market in _MARKETS else US.market)
    except InvalidSymbol as error:
        raise RefusedList(f"{where}, row {number}: {error}") from error


def _day(text: str, number: int, where: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise RefusedList(f"{where}, row {number}: {text[:40]!a} is not a date; use YYYY-MM-DD") from None
