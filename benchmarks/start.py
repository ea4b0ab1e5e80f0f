"""Start times: processes that import the package, open a lake and read, in seconds of CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median

import polars as pl

from benchmarks.table import Line, Outcome
from quantx.core.tables import BARS_1D, TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables

_TRIES = 7
_MAIN = "import sys; sys.argv[1:] = {words!r}; from quantx.cli import main; main()"
_LIBRARIES = "import polars, deltalake, obstore, pydantic_settings"


def run(folder: Path, *, quick: bool) -> Outcome:
    """Measure each start in processes of its own; the floor is Python alone, or the libraries alone."""
    lake = folder / "lake"
    _write(lake)
    tries = 2 if quick else _TRIES
    python, libraries = (_seconds(script, lake, tries) for script in ("pass", _LIBRARIES))
    light = "import sys; sys.modules['pyarrow'] = None; "  # as in the install for reading
    read = "import quantx; quantx.open_lake().bars(['AAA'])"
    query = _MAIN.format(words=["query", "--symbols", "AAA"])
    starts = (
        ("import quantx", "import quantx", python, "≤ 0.05"),
        ("quantx --version", _MAIN.format(words=["--version"]), python, "≤ 0.25"),
        ("quantx --help", _MAIN.format(words=["--help"]), python, "≤ 0.25"),
        ("open_lake and the first read", light + read, libraries, "≤ 0.6"),
        ("quantx query", light + query, libraries, "≤ 0.6"),
        ("the first read where pyarrow is installed, which Polars then imports", read, libraries, ""),
    )
    return Outcome(
        "Start: seconds of CPU, median; floor: Python alone, or with the libraries for reading",
        tuple(Line(what, _seconds(script, lake, tries), floor, aim) for what, script, floor, aim in starts),
    )


def _write(lake: Path) -> None:
    """Write a lake of one symbol with a year of bars."""
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(366)]
    columns = {
        **dict.fromkeys(("open", "high", "low", "close"), 10.0),
        "source": "yahoo",
        "year": 2024,
        "symbol": "AAA",
        "date": days,
        "volume": 100,
        "currency": "USD",
        "raw": "raw",
        "known_from": datetime(2025, 1, 1, tzinfo=UTC),
    }
    frame = pl.DataFrame({name: columns[name] for name in BARS_1D.schema}, schema=dict(BARS_1D.schema))
    open_tables(open_location(str(lake)), TABLES)["bars_1d"].commit(CommitContext(1), frame)


def _seconds(script: str, lake: Path, tries: int) -> float:
    """Return the CPU that a process with this script takes, in seconds: the median of some tries."""
    environment = {**os.environ, "QUANTX_LAKE_URL": str(lake)}
    taken = []
    for _ in range(tries + 1):  # the first one compiles
        process = subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"{script} ended with {process.returncode}")
        taken.append(used.ru_utime + used.ru_stime)
    return median(taken[1:])
