"""How the command talks: tables and JSON on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_WIDE = 140  # the width of a table where stdout is no terminal
_READABLE = 26  # characters: in less a long text is a strip; no rule, date or vendor is longer
_COPIED = ("id", "run_id")  # people copy them: whole, without commas
_EDGE = 3  # characters between two columns

# Where nobody looks, lines are not broken: scripts search them. Errors quote vendors, whose text is never markup.
out = Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=not sys.stdout.isatty(), highlight=False)
err = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False, markup=False)


def print_json(value: Any) -> None:
    """Print a value as JSON, with dates and instants in ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> None:
    """Print rows as a table, numbers to the right; where they are too wide for one, each as a paragraph of its own."""
    if not rows:
        out.print(f"{title}: none")
        return
    names = list(columns) if columns is not None else list(rows[0])
    least = {name: _least_width(name, rows) for name in names}
    if sum(least.values()) + _EDGE * len(names) + 1 > out.width:
        _print_paragraphs(title, rows, names)
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in names:
        numeric = isinstance(next((r[name] for r in rows if r[name] is not None), None), (int, float))
        table.add_column(_label(name), justify="right" if numeric else "left", overflow="fold", min_width=least[name])
    for row in rows:
        table.add_row(*(Text(_cell(name, row)) for name in names))
    out.print(table, soft_wrap=False)


def _least_width(name: str, rows: Sequence[Mapping[str, Any]]) -> int:
    """Return with how many characters a column can be read: dates, symbols and rules are whole, long texts are wrapped."""
    longest = max(len(_cell(name, row)) for row in rows)
    return max(*map(len, _label(name).split()), longest if name in _COPIED else min(longest, _READABLE))


def _print_paragraphs(title: str, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    out.print(Text(title, style="italic"))
    for row in rows:
        told = [name for name in names if row[name] is not None and row[name] != ""]
        parts = [Text.assemble((f"{_label(name)}: ", "dim"), _cell(name, row)) for name in told]
        out.print(Text("• ") + Text("  ").join(parts))


def _cell(name: str, row: Mapping[str, Any]) -> str:
    value = row[name]
    return str(value) if name in _COPIED and value is not None else _text(value)


def _label(name: str) -> str:
    return name.replace("_", " ")


def work_progress(*, quiet: bool = False) -> Progress:
    """Return a progress display on stderr, which shows nothing where stderr is no terminal."""
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
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    return str(value)


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
