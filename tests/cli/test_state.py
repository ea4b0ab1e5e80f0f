"""`quantx state load|save`: nightly runs on machines that do not outlive them, with the lake in S3."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from quantx.lake.store import open_location

from .conftest import Ran, runs_with, settings_of

Quantx = Callable[..., Ran]


@pytest.mark.slow
def test_a_night_begins_where_the_last_one_ended(
    vendor: str,
    s3_lake: str,
    server_folder: Callable[[], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, second, other = server_folder(), server_folder(), server_folder()
    settings = settings_of(tmp_path, str(first), vendor) | {"QUANTX_LAKE_URL": s3_lake}
    quantx = runs_with(settings, monkeypatch, capsys)

    assert quantx("state", "load").out == "no saved state; the state begins empty\n"
    assert quantx("backfill", "--start", "2016-01-01", "--end", "2016-06-30", "--symbols", "AAA").code == 0
    assert quantx("state", "save").out.startswith("saved the state: ")
    assert open_location(s3_lake).paths("state") == ["state/quantx.dump"]
    shutil.rmtree(first)  # the machine has gone

    monkeypatch.setenv("QUANTX_STATE_URL", str(second))
    assert quantx("state", "load").out.startswith("loaded the state: ")
    ran = quantx("state", "load")
    assert (ran.code, "has a state" in ran.err) == (2, True)
    monkeypatch.setenv("QUANTX_STATE_URL", str(other))
    quantx("state", "load")

    monkeypatch.setenv("QUANTX_STATE_URL", str(second))
    ran = quantx("backfill", "--start", "2016-01-01", "--end", "2016-07-29", "--symbols", "AAA")
    assert (ran.code, "20 new rows" in ran.out) == (0, True)  # July's sessions only
    assert quantx("state", "save").code == 0
    monkeypatch.setenv("QUANTX_STATE_URL", str(other))
    ran = quantx("state", "save")
    assert (ran.code, "another run has saved its state" in ran.err) == (2, True)


def test_only_an_embedded_state_is_saved(s3_lake: str, tmp_path: Path, quantx: Quantx) -> None:
    ran = quantx("state", "save")
    assert (ran.code, "is a PostgreSQL of its own" in ran.err) == (2, True)


def test_a_folder_without_a_state_is_not_saved(quantx: Quantx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", str(tmp_path / "none"))
    ran = quantx("state", "save")
    assert (ran.code, "has no state" in ran.err) == (2, True)
    assert not (tmp_path / "none").exists()
