"""What a benchmark returns, and how it is printed."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Line:
    """One measured thing, ready to be printed."""

    what: str
    measured: str
    floor: str = ""
    ratio: str = ""  # measured time / floor time
    aim: str = ""


@dataclass(frozen=True)
class Outcome:
    """A benchmark's lines, and the counts that do not depend on the machine."""

    title: str
    lines: tuple[Line, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: str | None = None  # why nothing was measured


def machine() -> str:
    """Return the facts without which no figure means anything."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("polars", "pyarrow", "deltalake", "exchange-calendars")
    )
    return f"{os.cpu_count()} cores{load}, {platform.system()}, Python {platform.python_version()}, {libraries}"


def print_outcome(outcome: Outcome) -> None:
    """Print one benchmark."""
    console = Console(width=150, highlight=False)
    if outcome.skipped:
        console.print(f"{outcome.title}: skipped, {outcome.skipped}")
        return
    console.print(outcome.title, style="bold")
    table = Table()
    for name, side in (
        ("what", "left"),
        ("measured", "right"),
        ("floor", "right"),
        ("× floor", "right"),
        ("aim", "right"),
    ):
        table.add_column(name, justify=side)
    for line in outcome.lines:
        table.add_row(line.what, line.measured, line.floor, line.ratio, line.aim)
    console.print(table)
    console.print("counts: " + ", ".join(f"{name} {value:,}" for name, value in outcome.counts.items()))
