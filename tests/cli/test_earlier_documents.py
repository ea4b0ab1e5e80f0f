"""The earlier documents' files, commands, imports and paths work as written, in an empty folder, on the sandbox."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest

import quantx as package
from quantx import DataOperations
from quantx.cli import main
from quantx.core.calendars import calendar
from quantx.errors import ConfigError
from quantx.sandbox import Dividend, Market, Sandbox, Split, running
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import PriceHistory, history
from quantx.settings import load_settings, setting_references, source_of
from quantx.state.embedded import EmbeddedPostgres
from quantx.storage import AzureBlobStorage, LocalStorage

from ..azurite import Azurite
from .conftest import Ran, runs_with

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "come-from-earlier-documents.md").read_text("utf-8")
UNIVERSES = """
universes:
  phase_1:
    - name: us_tech
      source_type: static
      symbols: [AAPL, MSFT]
      enabled: true
    - name: hk_list
      source_type: csv
      path: hk.csv
      symbol_column: Code
      symbol_suffix: .HK
"""
SETTINGS = """
fetcher: {max_workers: 10, lookback_days: 5, chunk_size: 100, fetch_actions: true}
schedules:
  daily_update: {cron: "0 6 * * 1-5"}
"""
SYMBOLS = ("AAPL", "MSFT", "0700.HK")
DIFFERENT_DAY = "2024-06-03"  # on which Stooq's close is 0.2 % higher


def _history(symbol: str, code: str, level: float) -> PriceHistory:
    sessions = calendar(code).sessions(date(2020, 1, 2), date(2024, 12, 31))
    days = np.array([day_number(session) for session in sessions], dtype=np.int64)
    close = level + np.arange(len(days)) / 8
    columns = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": np.full(len(days), 1e6)}
    events = (
        {"splits": (Split(date(2020, 8, 31), 4, 1),), "dividends": (Dividend(date(2024, 11, 8), 1.0),)}
        if symbol == "AAPL"
        else {}
    )
    return history(symbol, days, columns, **events)


@pytest.fixture(scope="module")
def vendors() -> Iterator[dict[str, str]]:
    histories = [_history("AAPL", "XNYS", 300), _history("MSFT", "XNYS", 150), _history("0700.HK", "XHKG", 380)]
    market = Market("files", {h.symbol: h for h in histories})
    apple = market.histories["AAPL"]
    at = apple.days.tolist().index(day_number(date.fromisoformat(DIFFERENT_DAY)))
    close = float(apple.columns["close"][at]) * 1.002
    other = Sandbox(market, now="2024-12-31", revisions=[f"AAPL:{DIFFERENT_DAY}:close:{close}"])
    with running(Sandbox(market, now="2024-12-31")) as url, running(other) as other_url:
        yield {
            "QUANTX_YFINANCE_BASE_URL": url,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
            "QUANTX_STOOQ_BASE_URL": other_url,
            "QUANTX_STOOQ_QUOTA": "unlimited",
            "QUANTX_STOOQ_API_KEY": "any",
            "QUANTX_INSPECT": "false",
        }


@contextmanager
def _environment(folder: Path, settings: dict[str, str]) -> Iterator[pytest.MonkeyPatch]:
    """The folder as the working one, and the environment with these settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, value in settings.items():
            patch.setenv(name, value)
        yield patch


@pytest.fixture(scope="module")
def folder(vendors: dict[str, str], server_folder: Callable[[], Path]) -> Iterator[Path]:
    """A folder with the earlier files, whose universes are refreshed and filled by the commands as written."""
    folder, state = server_folder(), server_folder()
    for new in (folder / "config", folder / "data", state):
        new.mkdir(parents=True)
    (folder / "data" / "state").symlink_to(state)  # which ends with the session, also after a kill
    (folder / "config" / "universes.yaml").write_text(UNIVERSES)
    (folder / "config" / "settings.yaml").write_text(SETTINGS)
    (folder / "config" / "hk.csv").write_text("Code,Name\n700,Tencent\n")
    (folder / "tickers.csv").write_text("AAPL\nMSFT\n")
    server = EmbeddedPostgres(folder / "data" / "state")  # held open: each command attaches to it
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")
    environment = {**os.environ, **vendors}
    for line in (
        "refresh-universe --phase phase_1 --use-local",
        "backfill --start 2020-01-01 --end 2024-12-31 --universe meta/universe_phase_1.csv --max-workers 20"
        " --chunk-size 100",
    ):
        ran = subprocess.run(
            [sys.executable, ROOT / "container" / "cli.py", *line.split()],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    with _environment(folder, vendors):
        assert main(["backfill", "--start", "2024-01-01", "--symbols", "AAPL,MSFT", "--source", "stooq"]) == 0
    yield folder
    server.stop_if_unused()


@pytest.fixture
def quantx(
    folder: Path, vendors: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Ran]:
    """Runs a command line in this process, in the folder."""
    monkeypatch.chdir(folder)
    run = runs_with(vendors, monkeypatch, capsys)
    return lambda line: run(*shlex.split(line))


def test_the_files_and_the_backfill_give_every_session(quantx: Callable[[str], Ran], folder: Path) -> None:
    rows = json.loads(quantx("show-manifest --json").out)["series"]
    bars = {row["symbol"]: row["rows"] for row in rows if row["source"] == "yahoo"}
    start, end = date(2020, 1, 1), date(2024, 12, 31)
    assert bars == {
        symbol: len(calendar(code).sessions(start, end))
        for symbol, code in zip(SYMBOLS, ("XNYS", "XNYS", "XHKG"), strict=True)
    }
    members = pl.read_csv(folder / "data" / "lake" / "meta" / "universe_phase_1.csv")
    assert set(members.select("universe", "symbol", "market").iter_rows()) == {
        ("us_tech", "AAPL", "us"),
        ("us_tech", "MSFT", "us"),
        ("hk_list", "0700.HK", "hk"),
    }
    assert load_settings().daily_schedule == "0 0 6 * * 1-5"


def test_the_latest_bars(quantx: Callable[[str], Ran]) -> None:
    ran = quantx("query latest --symbol AAPL --rows 10 --format csv")
    days = [line.split(",")[1] for line in ran.out.splitlines()[1:]]
    assert (ran.code, days) == (0, [str(d) for d in calendar("XNYS").sessions(date(2024, 12, 17), date(2024, 12, 31))])
    assert len(quantx("query latest --symbols AAPL,MSFT --format csv").out.splitlines()) == 3


def test_a_list_of_symbols_is_the_scope_of_updates_that_name_none(
    quantx: Callable[[str], Ran], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    (folder / "mine.csv").write_text("Ticker,Weight\nmsft,0.5\n")
    for path, symbols in (("meta/universe_phase_1.csv", 3), ("mine.csv", 1)):  # in the lake, and on disk
        monkeypatch.setenv("UNIVERSE_PATH", path)
        done = json.loads(quantx("update-daily --use-local --lookback-days 5 --json").out)
        assert (done["tasks"] + done["skipped"], done["failures"]) == (symbols, [])
        assert quantx("refresh-universe --phase phase_1 --use-local").code == 0  # still of config/universes.yaml
    monkeypatch.setenv("UNIVERSE_PATH", "meta/universe_phase_9.csv")
    ran = quantx("update-daily")
    assert (ran.code, "neither here nor in the lake" in ran.err) == (2, True)


def test_vendors_by_their_other_names(quantx: Callable[[str], Ran]) -> None:
    """A vendor of adjusted prices is compared, too; the tolerance is in per cent."""
    line = "crossvalidate compare --symbol AAPL --sources yfinance,stooq --json"
    (row,) = json.loads(quantx(f"{line} --tolerance 1.0").out)
    assert (row["source_a"], row["source_b"], row["sessions"]) == ("yahoo", "stooq", 252)
    assert (row["agreed"], row["days"]) == (252, [])
    (row,) = json.loads(quantx(line).out)
    assert [day["date"] for day in row["days"]] == [DIFFERENT_DAY]
    matrix = json.loads(quantx("crossvalidate matrix --symbols AAPL,MSFT --sources yf,stooq --json").out)
    (pair,) = matrix
    assert (pair["source_a"], pair["source_b"], pair["symbols"]) == ("yahoo", "stooq", 2)
    assert (pair["sessions"], pair["agreed"]) == (504, 503)
    assert quantx("query --symbols AAPL --source yf --start 2024-12-31 --format csv").out.count("yahoo") == 1


# ---------------------------------------------------------------------------------------------------------- the imports


@pytest.fixture
def operations(folder: Path, vendors: dict[str, str]) -> Iterator[DataOperations]:
    with _environment(folder, vendors):
        yield DataOperations(LocalStorage(root_path="./data"), max_workers=10)


def test_operations_count_symbols(operations: DataOperations) -> None:
    assert operations.fetch_daily_incremental(["AAPL", "ZZZZ"], lookback_days=5) == {
        "success": 1,
        "failed": 1,
        "skipped": 0,
    }
    assert operations.fetch_backfill(["AAPL", "MSFT"], "2020-01-01", "2024-12-31") == {
        "success": 0,
        "failed": 0,
        "skipped": 2,
    }
    assert operations.refresh_universe(phase="phase_1") == {"success": 2, "failed": 0, "skipped": 0}
    assert sorted(operations.load_universe("phase_1")) == sorted(SYMBOLS)
    assert operations.load_universe("tickers.csv") == ["AAPL", "MSFT"]
    lake = package.open_lake(operations.storage.lake_url)
    assert lake.bars("AAPL", start="2024-12-31")["source"].to_list() == ["yahoo"]


def test_frames_are_saved_below_the_root(operations: DataOperations, folder: Path) -> None:
    frame = pl.DataFrame({"symbol": ["AAPL"], "date": [date(2024, 12, 31)], "close": [1.5]})
    for path in ("files/a.parquet", "files/a.csv"):
        operations.save_dataframe(frame, path)
        assert operations.load_dataframe(path).equals(frame)
        assert (folder / "data" / "lake" / path).is_file()
    operations.save_dataframe(frame.to_pandas().set_index("symbol"), "files/b.csv")
    assert operations.load_dataframe("files/b.csv").equals(frame)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("curated/bars_1d/a.parquet", "belongs to the pipeline"),
        ("../a.csv", "not a path below"),
        ("/a.csv", "not a path below"),
        ("a.xlsx", "must end in"),
    ],
)
def test_the_pipelines_files_are_not_replaced(path: str, reason: str, operations: DataOperations) -> None:
    with pytest.raises(ConfigError, match=reason):
        operations.save_dataframe(pl.DataFrame({"a": [1]}), path)


def test_a_container_is_a_storage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="needs a container"):
        AzureBlobStorage("account")
    monkeypatch.setenv("AZURE_CONTAINER_NAME", "of-the-environment")
    assert AzureBlobStorage().lake_url == "az://of-the-environment"
    settings = AzureBlobStorage("account", "box", use_managed_identity=True).settings(max_workers=3)
    assert (settings.lake_url, settings.azure_storage_account, settings.max_workers) == ("az://box", "account", 3)


def test_importing_the_interface_loads_no_library_for_frames_or_databases() -> None:
    code = "from quantx import DataOperations; from quantx.storage import AzureBlobStorage, LocalStorage"
    heavy = "{'polars', 'pandas', 'pyarrow', 'duckdb', 'psycopg', 'deltalake', 'obstore', 'typer'}"
    line = f"import sys; {code}; print({heavy} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_operations_on_a_container(
    vendors: dict[str, str], azurite: Azurite, migrated_database_url: str, tmp_path: Path
) -> None:
    with _environment(tmp_path, {**vendors, "QUANTX_STATE_URL": migrated_database_url}):
        storage = AzureBlobStorage(container_name="operations", connection_string=azurite.connection_string)
        operations = DataOperations(storage, max_workers=4, chunk_size=100)
        done = operations.fetch_backfill(pl.DataFrame({"symbol": ["MSFT"]}), date(2024, 12, 2), "2024-12-31")
        assert done == {"success": 1, "failed": 0, "skipped": 0}
        operations.save_dataframe(pl.DataFrame({"a": [1]}), "files/a.parquet")
        assert operations.load_dataframe("files/a.parquet")["a"].to_list() == [1]
        with pytest.raises(ConfigError, match="no symbols were given"):
            operations.fetch_backfill([], "2024-12-02")


# ------------------------------------------------------------------------------------------------------------- the page


def _rows(heading: str) -> list[tuple[str, str]]:
    """Return the rows of the page's tables below a heading."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:2] == "| "]
    return [(then, today) for then, today in cells if then != "then"]


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


COMMANDS = list(dict.fromkeys(line for _, today in _rows("Commands") for line in _code(today)))
EXPORTS = [(_code(then), line) for then, today in _rows("Paths") for line in _code(today) if line.startswith("quantx ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_runs(line: str, quantx: Callable[[str], Ran]) -> None:
    ran = quantx(line.removeprefix("quantx "))
    assert ran.code == 0, ran.err


def test_every_import_of_the_page_works() -> None:
    lines = [line for _, today in _rows("Imports") for line in _code(today)]
    assert len(lines) == 4
    for line in lines:
        exec(line, {})  # noqa: S102 — a line of the page


def test_every_variable_of_the_page_sets_what_stands_beside_it() -> None:
    rows = _rows("Variables")
    documented = {then: today for left, right in rows for then in _code(left) for today in _code(right)}
    known = {
        other: variables[0]
        for variables in (setting.variables for setting in setting_references().values())
        for other in variables[1:]
    }
    assert documented.items() <= known.items()


def test_every_source_of_the_page_means_what_stands_beside_it() -> None:
    for then, today in _rows("Sources"):
        assert {source_of(name) for name in _code(then)} == set(_code(today))


def test_every_path_of_the_page_exists(folder: Path) -> None:
    paths = [path for _, today in _rows("Paths") for path in _code(today) if not path.startswith("quantx ")]
    assert paths
    assert [path for path in paths if not (folder / "data" / "lake" / path).exists()] == []


@pytest.mark.parametrize(("paths", "line"), EXPORTS)
def test_every_layout_of_the_page_is_exported(
    paths: list[str], line: str, quantx: Callable[[str], Ran], folder: Path
) -> None:
    ran = quantx(line.removeprefix("quantx "))
    assert ran.code == 0, ran.err
    assert [path for path in paths if not (folder / shlex.split(line)[2] / path).is_file()] == []


def test_the_files_on_the_page_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from quantx.universes.declaration import read_declaration

    universes, settings = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "universes.yaml").write_text(universes)
    (tmp_path / "config" / "settings.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    declared = read_declaration(Path("config/universes.yaml")).phases["phase_1"]
    assert [(spec.name, spec.type, spec.market) for spec in declared] == [
        ("us_sp500", "wikipedia", "us"),
        ("hk_blue_chips", "static", "hk"),
        ("jp_large", "excel", "jp"),
    ]
    read = load_settings()
    assert (read.max_workers, read.lookback_days, read.chunk_size) == (10, 5, 100)
