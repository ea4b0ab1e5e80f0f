"""`quantx import` and the inbox, as people use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from quantx.core.calendars import calendar
from quantx.pipeline.fetching.worker import Worker
from quantx.pipeline.importing.inbox import import_inbox
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.pipeline.wiring import worker_of
from quantx.reader.lake import open_lake
from quantx.settings import Settings

from ..databases import Databases
from .conftest import Ran, runs_with

Run = Callable[..., Ran]
HEAD = "date,open,high,low,close,volume\n"
DAYS = calendar("XNYS").sessions(date(2016, 3, 1), date(2016, 3, 31))


def rows(start: float = 50.0, days: list[date] | None = None) -> str:
    closes = ((day, start + n / 8) for n, day in enumerate(days or DAYS))
    return HEAD + "".join(f"{day},{c},{c + 1},{c - 1},{c},{1000 + n}\n" for n, (day, c) in enumerate(closes))


@pytest.fixture
def fresh(
    databases: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Commands in a lake without data."""
    monkeypatch.chdir(tmp_path)
    with databases.migrated() as state:
        settings = {"QUANTX_LAKE_URL": str(tmp_path / "lake"), "QUANTX_STATE_URL": state, "QUANTX_INSPECT": "false"}
        yield runs_with(settings, monkeypatch, capsys)


def raw_objects(lake: Path) -> list[Path]:
    return sorted((lake / "raw").rglob("*.parquet"))


def imported(run: Run, *arguments: object) -> dict[str, object]:
    done = run("import", *arguments, "--json")
    assert done.code == 0, done.err + done.out
    facts: dict[str, object] = json.loads(done.out)
    return facts


def test_a_folder_is_imported_once_corrected_explained_and_derived_again(fresh: Run, tmp_path: Path) -> None:
    folder, lake = tmp_path / "files", tmp_path / "lake"
    folder.mkdir()
    for symbol in ("AAA", "BRK-B"):
        (folder / f"{symbol}.csv").write_text(rows())
    given = (folder, "--source", "mine", "--basis", "as_traded")

    seen = fresh("import", *given, "--dry-run", "--json")
    understood = json.loads(seen.out)["understood"]
    assert (seen.code, [(row["symbol"], row["rows"]) for row in understood]) == (
        0,
        [("AAA", len(DAYS)), ("BRK.B", len(DAYS))],
    )
    assert not raw_objects(lake)

    first = imported(fresh, *given)
    assert (first["done"], first["rows_new"], first["known"]) == (2, 2 * len(DAYS), 0)
    stored = raw_objects(lake)
    again = imported(fresh, *given)
    assert (again["done"], again["known"]) == (0, 2)
    assert raw_objects(lake) == stored

    (folder / "AAA.csv").write_text(rows().replace("2016-03-02,50.125", "2016-03-02,50.25"))
    changed = imported(fresh, *given)
    assert (changed["done"], changed["rows_changed"], changed["known"]) == (1, 1, 1)
    bars = open_lake(str(lake)).bars("AAA", start="2016-03-02", end="2016-03-02", source="mine")
    assert bars.select("open", "close", "source").row(0) == (50.25, 50.125, "mine")

    explained = fresh("explain", "AAA", "2016-03-02", "--json").out
    assert f"import:{folder}/AAA.csv?page=file&sha256=" in explained
    for file in folder.iterdir():
        file.unlink()
    assert "nothing changes" in fresh("reprocess", "--source", "mine", "--dry-run").out
    assert fresh("quarantine", "list", "--source", "nobody").code == 2


def test_what_can_not_be_imported_is_named_and_the_rest_goes_on(fresh: Run, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "AAA.csv").write_text(rows())
    assert (fresh("import", folder, "--source", "mine").code, fresh("import", folder, "--source", "yf").code) == (2, 2)
    (folder / "empty.csv").write_text("")
    (folder / "12?.csv").write_text(rows())
    (folder / "cut.csv").write_text(rows()[:-9])
    (folder / "README.md").write_text("text")
    done = fresh("import", folder, "--source", "mine", "--basis", "as_traded")
    assert (done.code, "1 task done" in done.out, "3 refused, 1 left out" in done.out) == (1, True, True)
    for name in ("empty.csv: it is empty", "12?.csv: '12?' is not a symbol", "cut off"):
        assert name in done.err
    other = fresh("import", folder / "AAA.csv", "--source", "mine", "--basis", "total_adjusted")
    assert (other.code, "a source has one price basis" in other.err) == (2, True)
    assert fresh("import", tmp_path / "nowhere", "--source", "mine").code == 2


def test_what_was_deleted_for_good_is_not_imported_again(fresh: Run, tmp_path: Path) -> None:
    (tmp_path / "AAA.csv").write_text(rows())
    given = (tmp_path / "AAA.csv", "--source", "mine", "--basis", "as_traded")
    assert fresh("import", *given).code == 0
    assert fresh("delete", "--source", "mine", "--symbols", "AAA", "--reason", "the licence ended", "--yes").code == 0
    before = raw_objects(tmp_path / "lake")
    again = fresh("import", *given)
    assert (again.code, "deleted for good" in again.err, raw_objects(tmp_path / "lake")) == (1, True, before)


def test_files_that_contradict_each_other_are_not_imported(fresh: Run, tmp_path: Path) -> None:
    for name, start in (("a", 50.0), ("b", 51.0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "AAA.csv").write_text(rows(start))
        (tmp_path / name / "BBB.csv").write_text(rows())
        (tmp_path / name / "CCC.csv").write_text(rows(days=DAYS[: 15 if name == "a" else 5]))
    given = (tmp_path / "a", tmp_path / "b", "--source", "mine", "--basis", "as_traded")
    done = fresh("import", *given)
    assert (done.code, "2 tasks done" in done.out) == (1, True)  # BBB is there twice, CCC is a part of the other
    assert "a/AAA.csv and " in done.err
    assert open_lake(str(tmp_path / "lake")).bars("CCC", source="mine").height == 15


def test_prices_that_are_divided_by_splits_are_turned_back_with_the_splits_of_a_vendor(
    quantx: Run, environment: dict[str, str], tmp_path: Path
) -> None:
    lake = open_lake(environment["QUANTX_LAKE_URL"])
    own = lake.bars("AAA", start="2016-01-04", end="2016-12-29", source="yahoo", adjust="split")
    own.select("date", "open", "high", "low", "close", "volume").write_csv(tmp_path / "AAA.csv")
    given = (tmp_path / "AAA.csv", "--source", "divided", "--basis", "split_adjusted")
    refused = quantx("import", *given)
    assert (refused.code, "--splits yahoo" in refused.err) == (2, True)
    assert quantx("import", *given, "--splits", "yahoo").code == 0
    traded = lake.bars("AAA", start="2016-01-04", end="2016-12-29", source="yahoo")
    found = open_lake(environment["QUANTX_LAKE_URL"]).bars("AAA", source="divided")
    assert found["date"].to_list() == traded["date"].to_list()
    assert ((found["close"] / traded["close"] - 1).abs() < 1e-9).all()
    assert "nothing changes" in quantx("reprocess", "--source", "divided", "--dry-run").out


def test_files_of_the_inbox_are_imported_by_a_sweep_and_bad_ones_stay(fresh: Run, tmp_path: Path) -> None:
    inbox = tmp_path / "lake" / "inbox" / "mine"
    (inbox / "2016").mkdir(parents=True)
    (inbox / "2016" / "AAA.csv").write_text(rows())
    (inbox / "bad.csv").write_text("text")
    (tmp_path / "imports.yaml").write_text("sources: {mine: {basis: as_traded, currency: EUR}}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUANTX_IMPORTS_PATH", str(tmp_path / "imports.yaml"))
        swept = fresh("sweep", "--json")
        assert json.loads(swept.out)["curated_rows"] == len(DAYS)
        assert sorted(path.name for path in inbox.rglob("*.csv")) == ["bad.csv"]
        (finding,) = json.loads(fresh("findings", "list", "--rule", "import_refused", "--json").out)
        assert finding["subject"] == "inbox/mine/bad.csv"
        (inbox / "bad.csv").unlink()
        (inbox / "BBB.csv").write_text(rows())
        assert json.loads(fresh("sweep", "--json").out)["curated_rows"] == len(DAYS)
    bars = open_lake(str(tmp_path / "lake")).bars("AAA", source="mine")
    assert bars.height == len(DAYS)
    assert "import:inbox/mine/2016/AAA.csv?" in fresh("explain", "AAA", "2016-03-01", "--json").out


def test_a_file_of_the_inbox_that_grows_while_it_is_imported_stays(databases: Databases, tmp_path: Path) -> None:
    inbox = tmp_path / "lake" / "inbox"
    (inbox / "mine").mkdir(parents=True)
    (inbox / "mine" / "AAA.csv").write_text(rows(days=DAYS[:5]))
    (inbox / "AAA.csv").write_text(rows())
    (tmp_path / "imports.yaml").write_text("sources: {mine: {basis: as_traded}}\n")

    def opened_while_a_copy_goes_on(platform: Platform) -> Worker:
        (inbox / "mine" / "AAA.csv").write_text(rows())
        return worker_of(platform)

    with databases.migrated() as state:
        settings = Settings(
            lake_url=str(tmp_path / "lake"), state_url=state, imports_path=tmp_path / "imports.yaml", inspect=False
        )
        with open_platform(settings) as platform:
            first = import_inbox(platform, opened_while_a_copy_goes_on)
            assert (first.imported, first.rows, (inbox / "mine" / "AAA.csv").exists()) == (0, 5, True)
            (refused,) = platform.state.findings.open("import_refused")
            assert (refused.subject, "no folder of a source" in refused.message) == ("inbox/AAA.csv", True)
            second = import_inbox(platform, worker_of)
            assert (second.imported, second.rows, (inbox / "mine" / "AAA.csv").exists()) == (1, len(DAYS) - 5, False)


def test_a_wrong_declaration_is_named_with_its_line(fresh: Run, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "imports.yaml").write_text("sources:\n  mine:\n    basis: as_traded\n    prices: 3\n")
    (tmp_path / "AAA.csv").write_text(rows())
    done = fresh("import", tmp_path / "AAA.csv", "--source", "mine")
    assert (done.code, "imports.yaml, line 4: sources.mine.prices is no name that is known here" in done.err) == (
        2,
        True,
    )
