"""Tables of pages: cells with links and levels, made of rows by columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quantx.pages.views import text_of

Link = Callable[[Mapping[str, Any]], str]
_LONGEST = 240  # characters of a text in a list; its own page has all of it
_LEVELS = {
    **dict.fromkeys(("error", "failed", "refused"), "bad"),
    **dict.fromkeys(("open", "warn"), "warn"),
    **dict.fromkeys(("done", "accepted", "replayed", "resolved"), "good"),
    **dict.fromkeys(("pending", "leased", "acknowledged", "info"), "soft"),
}


@dataclass(frozen=True)
class ShownColumn:
    """A column of a table: the value of a row by name, or by a function."""

    name: str
    head: str = ""
    value: Callable[[Mapping[str, Any]], Any] | None = None
    link: Link | None = None  # "": no link
    text: bool = False  # of many words, which wrap
    level: bool = False  # a state or a severity, which has a colour


@dataclass(frozen=True)
class ShownCell:
    """A cell."""

    text: str
    href: str = ""
    css: str = ""


@dataclass(frozen=True)
class ShownTable:
    """A table of cells; `numeric` has the positions of the columns with numbers."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[ShownCell]]
    numeric: frozenset[int] = frozenset()


def shown_table(rows: Iterable[Mapping[str, Any]], caption: str, columns: Sequence[ShownColumn]) -> ShownTable:
    """Return rows as a table."""
    values = [(row, [row[c.name] if c.value is None else c.value(row) for c in columns]) for row in rows]
    numeric = frozenset(i for i in range(len(columns)) if any(_is_number(texts[i]) for _, texts in values))
    heads = [c.head or c.name.replace("_", " ") for c in columns]
    cells = [[_cell(c, row, v) for c, v in zip(columns, texts, strict=True)] for row, texts in values]
    return ShownTable(caption, heads, cells, numeric)


def _cell(column: ShownColumn, row: Mapping[str, Any], value: Any) -> ShownCell:
    css = _LEVELS.get(str(value), "") if column.level else "text" if column.text else ""
    return ShownCell(shortened(text_of(value)), column.link(row) if column.link else "", css)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shortened(text: str, most: int = _LONGEST) -> str:
    """Return a text in one line, cut to `most` characters.

    >>> shortened("a  long text", 7)
    'a long…'
    """
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most and len(text) <= 4 * most else f"{line[: most - 1]}…"


def days_of_row(row: Mapping[str, Any], first: str = "first_day", last: str = "last_day") -> str:
    """Return the days of a row: one, or the first to the last."""
    start, end = row[first], row[last]
    if start is None and end is None:
        return "–"
    return str(start or end) if end in (None, start) else f"{start or '…'} to {end}"
