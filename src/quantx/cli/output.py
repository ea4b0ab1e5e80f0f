"""Output of the command: tables and JSON on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quantx.errors import IncompleteData

if TYPE_CHECKING:
    from rich.progress import Progress

_WIDE = 140  # width of a table where stdout is not a terminal
_READABLE = 26  # characters: a long text in fewer is a strip; no rule, date or vendor name is longer
_COPIED = ("id", "run_id")  # values that people copy: shown whole, without commas
_SMALL = 0.1  # a smaller number has four significant digits, not four decimals
_EDGE = 3  # characters between two columns

# Lines are not wrapped on a pipe: scripts search them. Errors quote vendors, whose text is never markup.
out = Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=not sys.stdout.isatty(), highlight=False)
err = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False, markup=False)


def print_json(value: Any) -> None:
    """Print a value as JSON, with dates and instants in ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


@contextmanager
def incomplete_data_reported() -> Iterator[None]:
    """Print the warnings of queries in the block on stderr, one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", IncompleteData)
        yield
    for each in caught:
        err.print(f"warning: {each.message}")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun in the right form: 1 request, 2,000 requests."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def print_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> None:
    """Print rows as a table, numbers to the right: in a narrow window without lines, and if need be as paragraphs.

    `columns` selects and orders the columns; a mapping also gives their heads.
    """
    if not rows:
        out.print(f"{title}: none")
        return
    heads = dict(columns) if isinstance(columns, Mapping) else {n: _head(n) for n in columns or rows[0]}
    widths = {name: _min_width(name, head, rows) for name, head in heads.items()}
    if sum(widths.values()) + len(heads) - 1 > out.width:
        _print_paragraphs(title, rows, heads)
        return
    framed = sum(widths.values()) + _EDGE * len(heads) + 1 <= out.width
    look: dict[str, Any] = {} if framed else {"box": None, "padding": (0, 1, 0, 0), "pad_edge": False}
    table = Table(title=title, title_justify="left", header_style="bold", **look)
    for name, head in heads.items():
        numeric = isinstance(next((r[name] for r in rows if r[name] is not None), None), (int, float))
        table.add_column(head, justify="right" if numeric else "left", overflow="fold", min_width=widths[name])
    for row in rows:
        table.add_row(*(Text(_cell(name, row)) for name in heads))
    out.print(table, soft_wrap=False)


def _min_width(name: str, head: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the smallest readable width of a column: dates, symbols and rules are whole, long texts are wrapped."""
    longest = max(len(_cell(name, row)) for row in rows)
    return max(*map(len, head.split()), longest if name in _COPIED else min(longest, _READABLE))


def _print_paragraphs(title: str, rows: Sequence[Mapping[str, Any]], heads: Mapping[str, str]) -> None:
    out.print(Text(title, style="italic"))
    for row in rows:
        filled = {name: head for name, head in heads.items() if row[name] is not None and row[name] != ""}
        parts = [Text.assemble((f"{head}: ", "dim"), _cell(name, row)) for name, head in filled.items()]
        out.print(Text("• ") + Text("  ").join(parts))


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    return str(value) if name in _COPIED and value is not None else _text(value)


def _head(name: str) -> str:
    return name.replace("_", " ")


def work_progress(*, quiet: bool = False) -> Progress:
    """Return a progress display on stderr; it shows nothing where stderr is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if 0 < abs(value) < _SMALL:
            return f"{value:.4g}"
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return str(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
