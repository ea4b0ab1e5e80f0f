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

# Where nobody looks, lines are not broken: scripts search them. Errors quote vendors, whose text is never markup.
out = Console(width=None if sys.stdout.isatty() else _WIDE, soft_wrap=not sys.stdout.isatty(), highlight=False)
err = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False, markup=False)


def print_json(value: Any) -> None:
    """Print a value as JSON, with dates and instants in ISO 8601."""
    sys.stdout.write(json.dumps(value, indent=2, default=_plain, ensure_ascii=False) + "\n")


def print_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> None:
    """Print rows as a table; numbers to the right."""
    if not rows:
        out.print(f"{title}: none")
        return
    table = Table(title=title, title_justify="left", header_style="bold")
    names = list(columns) if columns is not None else list(rows[0])
    for name in names:
        numeric = isinstance(next((r[name] for r in rows if r[name] is not None), None), (int, float))
        whole = name in ("id", "run_id")  # to be copied
        table.add_column(name.replace("_", " "), justify="right" if numeric else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(Text(_text(row[name])) for name in names))
    out.print(table, soft_wrap=False)


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
