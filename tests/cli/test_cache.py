"""`quantx cache`: what it shows, writes and removes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.cli.app import run
from quantx.core.tables import BARS_1D
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.reader import open_lake


def test_the_command_shows_warms_and_clears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built = tmp_path / "lake"
    known = datetime(2024, 1, 3, tzinfo=UTC)
    row = ("yahoo", 2024, "S01", date(2024, 1, 2), 1.0, 1.0, 1.0, 1.0, 5, "USD", "raw", known)
    bars = pl.DataFrame([row], schema=dict(BARS_1D.schema), orient="row")
    LakeTable(open_location(str(built)), BARS_1D).commit(CommitContext(1), bars)
    monkeypatch.setenv("QUANTX_CACHE_SIZE", "1GB")
    monkeypatch.setenv("QUANTX_CACHE_DIR", str(tmp_path / "copies"))
    monkeypatch.setenv("QUANTX_LAKE_URL", str(built))
    lake = open_lake()
    lake._stored.decoded.small = -1  # so that even this file is large
    assert lake.warm().written == 1

    assert run(["cache", "show", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(row["lake"], row["table"], row["copies"]) for row in shown["copies"]] == [(built.as_uri(), "bars_1d", 1)]
    assert run(["cache", "show"]) == 0
    assert str(tmp_path / "copies") in capsys.readouterr().out
    assert run(["cache", "clear", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 1
    assert not list(tmp_path.rglob("*.rows"))
    assert run(["cache", "warm", "--symbols", "S01"]) == 0
    assert capsys.readouterr().out.startswith("no file of the selection is large enough")
