"""The program of the release before works on this program's schema and lake, so that a deployment can be rolled back.

The release is the last tag of the clone. Its `src` runs from `git archive`: the release's wheel contains nothing else.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.fleet.fleet import Fleet, Vendor, clean_environment

from quantx.sandbox import Sandbox, load_market, running
from quantx.state.schema.migrations import SCHEMA_VERSION, oldest_program

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SYMBOLS = "QXAA,QXAC"
SESSIONS = 83  # of New York from 2024-01-02 to 2024-04-30
LATER = SCHEMA_VERSION + 1
# Commands in one process, which imports the program once.
PROGRAM = """
import contextlib, io, json, sys, quantx
from quantx.cli import main
done = []
for command in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        done.append((main(command), out.getvalue()))
json.dump({"file": quantx.__file__, "done": done}, sys.stdout)
"""


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source of the last release."""
    git = ["git", "-C", str(REPOSITORY)]
    describe = [*git, "describe", "--tags", "--match", "v*", "--abbrev=0"]
    found = subprocess.run(describe, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("the history of this clone has no tag of a release; `git fetch --tags --unshallow` fetches it")
    packed = subprocess.run([*git, "archive", found.stdout.strip(), "src"], capture_output=True, check=True)
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"


@pytest.fixture
def installation(migrated_database_url: str, tmp_path: Path) -> Iterator[Fleet]:
    """An installation whose schema is this program's, expanded as a later version may: with columns and a version."""
    with psycopg.connect(migrated_database_url, options="-c search_path=quantx") as connection:
        connection.execute(
            "insert into schema_version (version, oldest_program) values (%s, %s)", [LATER, oldest_program()]
        )
    with running(Sandbox(load_market(None))) as vendor:
        settings = {
            "QUANTX_LAKE_URL": (tmp_path / "lake").as_uri(),
            "QUANTX_STATE_URL": migrated_database_url,
            "QUANTX_YFINANCE_BASE_URL": vendor,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
        }
        yield Fleet(settings, Vendor(vendor), tmp_path)


def run(source: Path, installation: Fleet, *commands: Sequence[str]) -> list[Any]:
    """Run commands of the program in `source`; return what each printed, of `--json` the document."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**clean_environment(), **installation.settings, "PYTHONPATH": str(source)},
        cwd=installation.folder,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    program = json.loads(ran.stdout)
    assert Path(program["file"]).is_relative_to(source)
    assert [code for code, _ in program["done"]] == [0] * len(commands), ran.stderr[-4000:]
    outputs = [text for _, text in program["done"]]
    return [json.loads(text) if "--json" in c else text for c, text in zip(commands, outputs, strict=True)]


def test_the_release_before_plans_works_and_reports_on_this_schema_and_lake(installation: Fleet, former: Path) -> None:
    backfill = ["backfill", "--symbols", SYMBOLS, "--start"]
    installation.here(*backfill, "2024-01-02", "--end", "2024-02-29")
    migrated, _, _, corrected, *_, status, verified = run(
        former,
        installation,
        ["migrate", "--json"],  # as its deployment does
        [*backfill, "2024-03-01", "--end", "2024-03-28", "--enqueue-only"],
        ["work"],
        [*backfill, "2024-02-26", "--end", "2024-03-01", "--again", "--json"],
        ["curate"],
        ["sweep", "--json"],
        ["tasks", "list", "--dead", "--json"],
        ["findings", "list", "--json"],
        ["quarantine", "list", "--json"],
        ["coverage", "--output", "."],
        ["show-manifest", "--json"],
        ["status", "--json"],
        ["verify", "--json"],
    )
    assert migrated == {"version": LATER, "was": LATER, "granted": []}
    assert (corrected["success"], corrected["rows_new"], corrected["rows_changed"]) == (2, 0, 0)
    assert [(r["tasks"], r["success"], r["report"] is not None) for r in status["runs"]] == [(2, 2, True)] * 3
    assert verified["damaged"] == []

    installation.here(*backfill, "2024-03-28", "--end", "2024-04-30")
    series = installation.told("show-manifest")["series"]
    assert [(s["symbol"], s["rows"], s["revised"], s["rejected"]) for s in series] == [
        (symbol, SESSIONS, 0, 0) for symbol in SYMBOLS.split(",")
    ]
    assert installation.told("status")["tasks"]["done"] == 8
    assert installation.told("verify")["damaged"] == []
