"""The wheel in an environment of its own, with the core's libraries only, reads a lake; its size has a limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.tables import BARS_1D, SESSIONS, TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables

ROOT = Path(__file__).parents[2]
MOST_BYTES = 500_000_000
KNOWN = datetime(2024, 1, 10, 22, tzinfo=UTC)


def pip(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(home / "bin/python"), "install", "-qq", "--no-deps"]
    done = subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with what `pip install quantx-data-builder` installs."""
    home = tmp_path_factory.mktemp("reading") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    pip(home, "--require-hashes", "--only-binary", ":all:", "-r", "requirements/read.txt")
    pip(home, "--no-build-isolation", ".")
    return home


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one symbol with five sessions of 2024, on which nothing can be written."""
    folder = tmp_path_factory.mktemp("shared") / "lake"
    tables = open_tables(open_location(str(folder)), TABLES)
    held = calendar("XNYS")
    days = held.sessions(date(2024, 1, 2), date(2024, 1, 8))
    rows = [("yahoo", 2024, "AAA", day, 10.0, 11.0, 9.0, 10.5, 100, "USD", "raw1", KNOWN) for day in days]
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row"))
    columns = {"calendar": "XNYS", "date": held.days, "open": held.opens, "close": held.closes, "known_from": KNOWN}
    tables["sessions"].commit(CommitContext(1), pl.DataFrame(columns, schema=dict(SESSIONS.schema)))
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return folder


def quantx(home: Path, lake: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("QUANTX_")}
    return subprocess.run(
        [str(home / "bin/quantx"), *words],
        env=environment | {"QUANTX_LAKE_URL": str(lake)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_at_most_half_a_gigabyte(home: Path) -> None:
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"\n{size / 1e6:.0f} MB installed")
    assert size <= MOST_BYTES
    (packages,) = home.glob("lib/python3*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert {"pyarrow", "pandas", "numpy", "psycopg", "yfinance", "alpaca", "azure"}.isdisjoint(names)


def test_it_reads_a_lake_that_it_can_not_write(home: Path, lake: Path) -> None:
    bars = quantx(home, lake, "query", "--symbols", "AAA", "--adjust", "total", "--format", "csv")
    assert (bars.returncode, bars.stdout.count("\n")) == (0, 6)
    manifest = json.loads(quantx(home, lake, "show-manifest", "--json").stdout)
    assert [(series["symbol"], series["rows"]) for series in manifest["series"]] == [("AAA", 5)]
    coverage = json.loads(quantx(home, lake, "coverage", "--json").stdout)
    assert coverage["months"][0]["present"] == 5
    assert quantx(home, lake, "export", "csv", "--layout", "csv").returncode == 0
    assert (home / "csv" / "AAA.csv").exists()


def test_what_is_not_installed_is_named(home: Path, lake: Path) -> None:
    for words, needed in (
        (("export", "out", "--layout", "hive-ticker"), "[pandas]"),
        (("backfill", "--start", "2024-01-01", "--symbols", "AAA"), "[local]"),
    ):
        done = quantx(home, lake, *words)
        assert (done.returncode, f"quantx-data-builder{needed}" in done.stderr) == (2, True), done.stderr
