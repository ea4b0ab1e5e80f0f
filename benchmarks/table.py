"""The outcome of a benchmark, and its printed form."""

from __future__ import annotations

import operator
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

_SIGNS = {"≤": operator.le, "<": operator.lt, "≥": operator.ge, "=": operator.eq}
_LIBRARIES = ("polars", "pyarrow", "deltalake", "obstore", "psycopg", "urllib3", "yfinance")
HEADINGS = ("what", "measured", "floor or peer", "ratio", "aim", "")


@dataclass(frozen=True)
class Line:
    """One measured value, and the floor or the peer of the same run."""

    what: str
    measured: float
    floor: float | None = None
    aim: str = ""  # a sign and a number, as in "≤ 0.2" or "≥ 1,000"
    digits: int = 2
    rate: bool = False  # more is better: the ratio of times is inverted
    ratio: bool = True  # the two values are compared

    @property
    def met(self) -> bool | None:
        """Return whether the aim is met, None where there is none."""
        if not self.aim:
            return None
        sign, _, number = self.aim.partition(" ")
        return bool(_SIGNS[sign](self.measured, float(number.replace(",", ""))))

    def cells(self) -> tuple[str, ...]:
        """Return the cells under the headings."""
        ratio = ""
        if self.ratio and self.floor and self.measured:
            ratio = f"{self.floor / self.measured if self.rate else self.measured / self.floor:.2f}"
        floor = "" if self.floor is None else f"{self.floor:,.{self.digits}f}"
        met = {None: "", True: "met", False: "missed"}[self.met]
        return self.what, f"{self.measured:,.{self.digits}f}", floor, ratio, self.aim, met


@dataclass(frozen=True)
class Outcome:
    """A benchmark's lines, and the counts that do not depend on the machine."""

    title: str
    lines: tuple[Line, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: str | None = None  # the reason where it was not measured
    headings: tuple[str, ...] = HEADINGS


def machine() -> str:
    """Return the facts of the machine that every figure depends on."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    return (
        f"{_processor()}, {os.cpu_count()} cores{load}, {_memory()}, {platform.system()},"
        f" Python {platform.python_version()}, {libraries}"
    )


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB"


def print_outcome(outcome: Outcome) -> None:
    """Print one benchmark."""
    console = Console(width=150, highlight=False)
    if outcome.skipped:
        console.print(f"{outcome.title}: skipped, {outcome.skipped}")
        return
    console.print(outcome.title, style="bold")
    table = Table()
    for place, name in enumerate(outcome.headings):
        table.add_column(name, justify="right" if 0 < place < len(outcome.headings) - 1 else "left")
    for line in outcome.lines:
        table.add_row(*line.cells())
    console.print(table)
    console.print(f"counts: {counts_of(outcome)}")


def counts_of(outcome: Outcome) -> str:
    """Return the counts as a text."""
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in outcome.counts.items())
