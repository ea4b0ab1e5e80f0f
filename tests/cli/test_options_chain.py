"""The commands `options chain` and `options expirations`, over a lake written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.reader.option_lake import OptionLake, option_lake

from .conftest import Ran, runs_with

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> OptionLake:
    return option_lake(tmp_path_factory.mktemp("chains") / "lake")


@pytest.fixture
def quantx(
    written: OptionLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)
    return runs_with({"QUANTX_LAKE_URL": str(written.folder)}, monkeypatch, capsys)


def test_a_chain_for_scripts_has_the_rows_of_the_reader(quantx: Run, written: OptionLake) -> None:
    ran = quantx("options", "chain", "SPX", "--at", "2025-08-07T12:00", "--greeks", "--format", "json")
    expected = written.lake.chain("SPX", "2025-08-07T12:00", greeks=True)
    assert ran.code == 0
    assert [row["contract"] for row in json.loads(ran.out)] == expected["contract"].to_list()
    assert list(json.loads(ran.out)[0]) == expected.columns


def test_a_chain_is_written_to_a_file(quantx: Run, tmp_path: Path, written: OptionLake) -> None:
    ran = quantx("options", "chain", "SPX", "--at", "2025-08-07T12:00", "-o", str(tmp_path / "chain.parquet"))
    assert ran.code == 0
    assert pl.read_parquet(tmp_path / "chain.parquet").equals(written.lake.chain("SPX", "2025-08-07T12:00"))


def test_exit_codes_and_next_steps(quantx: Run) -> None:
    assert quantx("options", "chain", "SPX", "--at", "2025-08-05T12:00").code == 1
    unknown = quantx("options", "chain", "SPQ", "--at", "2025-08-07T12:00")
    assert (unknown.code, "did you mean SPX" in unknown.err) == (2, True)
    assert quantx("options", "chain", "SPX", "--at", "noon").code == 2
    shown = quantx("options", "expirations", "SPX", "--on", "2025-08-07")
    assert (shown.code, "SPXW" in shown.out) == (0, True)
