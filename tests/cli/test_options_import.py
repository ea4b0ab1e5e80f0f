"""`quantx options import` as people use it: on this machine, on S3 and on Azure, interrupted and killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.azurite import Azurite

from quantx.lake.raw_replies import find_raw
from quantx.lake.store import open_location
from quantx.reader.lake import open_lake
from quantx.sandbox.option_archives import OptionSession, write_archive

from ..databases import Databases
from .conftest import Ran, runs_with

Run = Callable[..., Ran]
DAYS = [date(2024, 5, 1) + timedelta(n) for n in range(21) if (date(2024, 5, 1) + timedelta(n)).weekday() < 5]
ROWS = 8 * 5  # of a session


def session(day: date, spot: float = 100.0) -> OptionSession:
    strikes = (90.0, 95.0, 105.0, 110.0)
    return OptionSession(
        underlying="SPY", day=day, spot=spot, strikes=strikes, expirations=(date(2024, 6, 21),), minutes=5
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_archive(tmp_path / "spy.zip", [session(day) for day in DAYS[:3]], modified=date(2024, 6, 1))


@pytest.fixture
def settings(databases: Databases, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The settings of an installation without data."""
    with databases.migrated() as state:
        yield {"QUANTX_LAKE_URL": str(tmp_path / "lake"), "QUANTX_STATE_URL": state, "QUANTX_INSPECT": "false"}


@pytest.fixture
def run(
    settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)
    return runs_with(settings, monkeypatch, capsys)


def imported(run: Run, *arguments: object) -> dict[str, object]:
    done = run("options", "import", *arguments, "--json")
    assert done.code == 0, done.err + done.out
    facts: dict[str, object] = json.loads(done.out)
    return facts


def rows_of(lake: str) -> tuple[int, int]:
    """Return the rows of quotes, and how many are distinct."""
    found = open_lake(lake).sql("select count(*), count(distinct (contract, time)) from options_quotes_1m")
    rows, distinct = found.row(0)
    return int(rows), int(distinct)


def test_an_archive_is_shown_imported_once_and_found_again_from_each_row(
    run: Run, archive: Path, settings: dict[str, str]
) -> None:
    shown = run("options", "import", archive, "--dry-run", "--json")
    assert [(row["first"], row["action"]) for row in json.loads(shown.out)["members"]] == [
        (str(day), "import") for day in DAYS[:3]
    ]
    part = imported(run, archive, "--dates", f"{DAYS[1]}..{DAYS[1]}")
    assert (part["done"], part["rows"]) == (1, ROWS)
    rest = imported(run, archive)
    assert (rest["done"], rest["known"]) == (2, 1)
    assert imported(run, archive)["known"] == 3
    lake = settings["QUANTX_LAKE_URL"]
    assert rows_of(lake) == (3 * ROWS, 3 * ROWS)
    raws = open_lake(lake).sql("select distinct raw from options_quotes_1m")["raw"].to_list()
    location = open_location(lake)
    assert len(raws) == 3
    assert all(find_raw(location, "databento", raw, ["options"]) for raw in raws)
    assert run("verify").code == 0
    rejected = run("quarantine", "list", "--source", "databento")
    assert (rejected.code, "no rejected rows" in rejected.out) == (0, True)
    assert run("quarantine", "list", "--source", "other").code == 2


def test_a_later_version_corrects_the_rows_and_an_earlier_one_does_not(
    run: Run, tmp_path: Path, settings: dict[str, str]
) -> None:
    def version(name: str, spot: float, day: int) -> Path:
        return write_archive(tmp_path / name, [session(DAYS[0], spot)], modified=date(2024, 6, day))

    def bid() -> float:
        where = "where contract = 'SPY240621C00090000' order by time limit 1"
        return float(open_lake(settings["QUANTX_LAKE_URL"]).sql(f"select bid from options_quotes_1m {where}").item())

    assert imported(run, version("first.zip", 100.0, 2))["rows"] == ROWS
    before = bid()
    corrected = imported(run, version("second.zip", 101.0, 9))
    assert (corrected["rows"], corrected["rows_changed"]) == (ROWS, ROWS)
    after = bid()
    assert after > before
    late = imported(run, version("third.zip", 99.0, 5))
    assert (late["done"], late["superseded"]) == (0, 1)
    assert bid() == after
    assert imported(run, tmp_path / "first.zip")["known"] == 1
    lake = open_lake(settings["QUANTX_LAKE_URL"])
    assert lake.sql("select count(*) from options_quotes_1m_revisions").item() == ROWS


def test_bad_input_is_named_with_the_next_step(run: Run, tmp_path: Path, archive: Path) -> None:
    assert "there is no" in run("options", "import", tmp_path / "absent.zip").err
    wrong = run("options", "import", archive, "--dates", "May")
    assert (wrong.code, "write it as in 2024-05-01..2024-05-31" in wrong.err) == (2, True)
    page = tmp_path / "page.zip"
    page.write_text("<html>Sign in</html>")
    assert run("options", "import", page).code in (1, 2)
    text = tmp_path / "page.html"
    text.write_text("<html>Sign in</html>")
    refused = run("options", "import", text)
    assert (refused.code, "no form of options reads it" in refused.err) == (2, True)
    none = run("options", "import", archive, "--dates", "2001-01-02")
    assert (none.code, "has a day of --dates" in none.err) == (2, True)
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive) as good, zipfile.ZipFile(bad, "w") as other:
        for name in good.namelist():
            body = good.read(name)
            other.writestr(name, body[:-9] if str(DAYS[1]).replace("-", "") in name else body)
    done = run("options", "import", bad)
    assert done.code == 1
    assert "2 members imported, 0 imported before, 1 failed" in done.out
    assert "download it again" in done.err


def test_the_lake_may_lie_on_s3(run: Run, archive: Path, s3_lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_LAKE_URL", s3_lake)
    assert imported(run, archive)["done"] == 3
    assert imported(run, archive)["known"] == 3
    assert rows_of(s3_lake) == (3 * ROWS, 3 * ROWS)


def test_the_lake_may_lie_on_azure(run: Run, archive: Path, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
    monkeypatch.setenv("QUANTX_LAKE_URL", f"az://{azurite.new_container()}")
    assert imported(run, archive)["done"] == 3
    assert imported(run, archive)["known"] == 3
    assert run("sql", "select count(*) as n from options_quotes_1m", "--format", "csv").out.split() == [
        "n",
        str(3 * ROWS),
    ]


class TestProcesses:
    """Real processes that are interrupted and killed."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        return write_archive(tmp_path / "many.zip", [session(day) for day in DAYS])

    def test_the_first_ctrl_c_finishes_the_member_the_second_stops_at_once(
        self, many: Path, settings: dict[str, str]
    ) -> None:
        process = _start(settings, many)
        _wait_for_objects(settings, 2, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1, err
        assert "run the same command again to resume" in err
        held = rows_of(settings["QUANTX_LAKE_URL"])
        assert held[0] % ROWS == 0
        strikes = [60.0 + n / 2 for n in range(200)]  # a member that takes a moment
        large = replace(session(date(2024, 5, 30)), strikes=strikes, minutes=390)
        process = _start(settings, write_archive(many.with_name("large.zip"), [large]))
        _wait_for_objects(settings, _objects(settings) + 1, process)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "Traceback" not in err

    def test_killed_at_random_moments_and_again_all_is_there_exactly_once(
        self, many: Path, settings: dict[str, str]
    ) -> None:
        seed = random.randrange(10**6)
        chance = random.Random(seed)
        for _ in range(4):
            process = _start(settings, many)
            _wait_for_objects(settings, _objects(settings) + 1, process)
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
            process.communicate()
        process = _start(settings, many)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, f"{err} {out} seed {seed}"
        assert rows_of(settings["QUANTX_LAKE_URL"]) == (len(DAYS) * ROWS, len(DAYS) * ROWS), seed


def _start(settings: Mapping[str, str], archive: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "quantx", "options", "import", str(archive)],
        env={**os.environ, **settings, "TMPDIR": str(archive.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _objects(settings: Mapping[str, str]) -> int:
    return len(list(Path(settings["QUANTX_LAKE_URL"], "raw").rglob("*.parquet")))


def _wait_for_objects(settings: Mapping[str, str], objects: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 40
    while _objects(settings) < objects and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
