"""`quantx sql`, its shell, and `quantx db init`."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from quantx.cli import main
from quantx.cli.sql_shell import completions
from quantx.errors import ConfigError
from quantx.reader import Lake, open_lake

AAA = "select date, close from bars where symbol = 'AAA' order by date"


@pytest.fixture
def in_lake(lake_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QUANTX_LAKE_URL", str(lake_folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("in_lake")
def test_formats(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["sql", AAA]) == 0
    assert "2024-01-02" in capsys.readouterr().out
    assert main(["sql", "select 1 as day_return"]) == 0
    assert "day_return" in capsys.readouterr().out
    assert main(["sql", AAA, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["date,close", "2023-12-28,100.0"]
    monkeypatch.setattr("sys.stdin", io.StringIO(AAA))
    assert main(["sql", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"date": "2023-12-28", "close": 100.0}
    assert main(["sql", AAA, "-o", "rows.parquet"]) == 0
    assert capsys.readouterr().out == "5 rows written to rows.parquet\n"
    assert pl.read_parquet("rows.parquet")["close"].to_list() == [100.0, 101.0, 102.0, 51.5, 52.0]
    assert main(["sql", "select [1, 2] as a, {'x': date '2024-01-02'} as b", "--format", "csv"]) == 0
    assert capsys.readouterr().out == 'a,b\n"[1, 2]","{""x"": ""2024-01-02""}"\n'
    assert main(["sql", "select 'nan'::DOUBLE as a, 'x'::BLOB as b", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"a": None, "b": "78"}]
    assert main(["sql", "select 1 where false"]) == 0
    assert capsys.readouterr().out == "no rows\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.usefixtures("in_lake")
def test_a_full_disk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main(["sql", AAA, "--format", "csv"]) == 2
    assert capsys.readouterr().err == (
        "error: cannot write: No space left on device; free some space, and repeat the command\n"
    )


@pytest.mark.usefixtures("in_lake")
def test_limits_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", AAA, "--format", "csv", "--max-rows", "2"]) == 0
    ran = capsys.readouterr()
    assert len(ran.out.splitlines()) == 3
    assert ran.err == "the result was cut to its first 2 rows; raise --max-rows for more\n"
    for query, text in (
        ("selec", "line 1, column 1"),
        ("select * from barz", "did you mean bars?"),
        ("drop view bars", "only SELECT"),
        ("select count(*) from range(100000000) a, range(1000000) b where a.range + b.range = -1", "longer than 0.2"),
    ):
        assert main(["sql", query, "--timeout", "0.2"]) == 2
        ran = capsys.readouterr()
        assert ran.out == ""
        assert text in ran.err
        assert len(ran.err.splitlines()) == 1
    for options in (["--format", "xml"], ["--format", "parquet"], ["-o", "x.txt"], ["-o", "no/such/x.csv"]):
        assert main(["sql", "select 1", *options]) == 2


@pytest.mark.slow
def test_the_shell_runs_queries_and_survives_errors(in_lake: Path) -> None:
    """A terminal of its own: history, the prompt and the completion are those of readline."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "HOME": str(in_lake), "TERM": "dumb", "COLUMNS": "200"}
    typed = f"select clos from bars;\n{AAA[:-14]}\norder by date;\n.tables\n.quit\n"
    with subprocess.Popen(
        [sys.executable, "-m", "quantx", "sql"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    ) as process:
        os.write(ours, typed.encode())
        assert process.stdout is not None
        shown = process.stdout.read().decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0
    for text in ("One SELECT, ended by a semicolon", "did you mean close?", "2023-12-28", "universe_members_revisions"):
        assert text in shown
    assert "Traceback" not in shown


def test_completion() -> None:
    assert [completions("bars_as", n) for n in range(2)] == ["bars_asof(", None]
    assert completions("ADJ_C", 0) == "adj_close"


def test_other_tools_read_the_file_of_views(in_lake: Path, lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["db", "init", "views.duckdb"]) == 0
    assert capsys.readouterr().out.endswith("set QUANTX_SQL_VIEWS=views.duckdb, and each run refreshes them\n")
    with duckdb.connect("views.duckdb", read_only=True) as connection:
        for query in (
            "select * from bars order by symbol, date",
            "select * from bars_adjusted order by symbol, date",
            "select * from bars_asof('2024-01-10') order by symbol, date",
            "select * from universe_on('us', '2024-01-03') order by symbol",
        ):
            theirs = connection.sql(query).pl()
            ours = lake.sql(query)
            assert theirs.select(pl.all().exclude(pl.Datetime)).equals(ours.select(pl.all().exclude(pl.Datetime)))
    assert [path.name for path in in_lake.iterdir()] == ["views.duckdb"]
    assert main(["db", "init", "views.duckdb"]) == 0  # again
    for name, body in (("own.duckdb", None), ("text.csv", b"a,b\n")):
        if body is None:
            duckdb.connect(name).execute("create table mine as select 1").close()
        else:
            Path(name).write_bytes(body)
        before = Path(name).read_bytes()
        assert main(["db", "init", name]) == 2
        assert "is not a file of views" in capsys.readouterr().err
        assert Path(name).read_bytes() == before


def test_a_file_of_views_needs_a_local_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a lake in a local folder"):
        open_lake("memory://").write_views(tmp_path / "x.duckdb")
