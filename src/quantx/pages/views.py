"""Views of HTML pages: values as a person reads them, tables and month grids.

Views hold plain text. The templates escape it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# The least share in per cent of each level of a month cell; smaller shares are `poor`.
SHARE_LEVELS = ((100, "full"), (99, "high"), (95, "part"), (50, "low"))


@dataclass(frozen=True)
class MonthCell:
    """One month of a grid."""

    text: str
    level: str  # CSS class
    title: str  # the figures behind the text


@dataclass(frozen=True)
class HtmlTable:
    """A table of texts; `numeric` has the positions of the columns with numbers."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()


@dataclass(frozen=True)
class MonthGrid:
    """A grid of years with twelve months each; None: no cell."""

    caption: str
    years: Sequence[tuple[int, Sequence[MonthCell | None]]]


def text_of(value: Any) -> str:
    """Return a value as a person reads it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return f"{value:,}" if isinstance(value, int) else str(value)


def table_of(rows: Iterable[Mapping[str, Any]], caption: str = "", heads: Mapping[str, str] | None = None) -> HtmlTable:
    """Return rows as a table; `heads` has its columns and their headings, all columns by default."""
    rows = list(rows)
    heads = heads or {name: name.replace("_", " ") for name in (rows[0] if rows else ())}
    numeric = frozenset(i for i, name in enumerate(heads) if any(_is_number(row[name]) for row in rows))
    texts = [[text_of(row[name]) for name in heads] for row in rows]
    return HtmlTable(caption, list(heads.values()), texts, numeric)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def month_grid(caption: str, cells: Mapping[int, MonthCell]) -> MonthGrid:
    """Return a grid of years and months; the keys of `cells` are months as in 202410."""
    years = range(min(cells) // 100, max(cells) // 100 + 1) if cells else ()
    return MonthGrid(caption, [(year, [cells.get(year * 100 + m) for m in range(1, 13)]) for year in years])


def per_cent(part: int, whole: int) -> float:
    """Return a share in per cent, truncated to a tenth: only a complete share is 100.

    >>> per_cent(99_999, 100_000), per_cent(5, 5)
    (99.9, 100.0)
    """
    return part * 1000 // whole / 10


def share_cell(part: int, whole: int, what: str) -> MonthCell:
    """Return a share in per cent as a cell of a grid; tenths are shown from 99 on.

    >>> (
    ...     share_cell(999, 1000, "sessions").text,
    ...     share_cell(873, 1000, "sessions").text,
    ...     share_cell(1, 900, "sessions").text,
    ... )
    ('99.9', '87', '<1')
    """
    share = per_cent(part, whole)
    text = text_of(share) if share >= 99 else "<1" if part and share < 1 else str(int(share))
    level = next((css for least, css in SHARE_LEVELS if share >= least), "poor")
    return MonthCell(text, level, f"{part:,} of {whole:,} {what}")


def month_text(number: int | None) -> str:
    """Return a month such as 202410 as 2024-10."""
    return "–" if number is None else f"{number // 100}-{number % 100:02}"


def first_of(title: str, shown: int, total: int) -> str:
    """Return the title of a list, with the number of shown items if not all are shown."""
    return title if shown == total else f"{title}: the first {shown:,} of {total:,}"
