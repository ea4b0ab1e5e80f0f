from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 4
    path.write_bytes(body)


@pytest.mark.slow
def test_damage_is_listed_repaired_and_then_gone(quantx: Run, environment: dict[str, str]) -> None:
    assert quantx("backfill", "--symbols", "AAA,BBB", "--start", "2016-01-01", "--end", "2016-12-30").code == 0
    good, rows = quantx("verify"), quantx("query", "--symbols", "AAA,BBB", "--format", "csv").out
    assert (good.code, "nothing is damaged" in good.out) == (0, True)
    lake = Path(environment["QUANTX_LAKE_URL"].removeprefix("file://"))
    (file,) = (lake / "curated/bars_1d").rglob("source=*/**/*.parquet")
    flip(file)
    found = quantx("verify", "--json")
    facts = json.loads(found.out)
    assert (found.code, facts["left"], [damage["kind"] for damage in facts["damaged"]]) == (1, 1, ["file"])
    assert json.loads(quantx("status", "--json").out)["findings"]["error"] == 1
    repaired = quantx("verify", "--repair")
    assert (repaired.code, "repaired: its rows are derived again" in repaired.out) == (0, True)
    assert quantx("verify").code == 0
    assert quantx("query", "--symbols", "AAA,BBB", "--format", "csv").out == rows
    entry = min((lake / "curated/bars_1d/_delta_log").glob("*1.json"))
    entry.write_bytes(entry.read_bytes()[:99])
    refused = quantx("query", "--symbols", "AAA")
    assert refused.code == 2
    assert refused.err.strip() == (
        f"DamagedObject: the log of the table bars_1d is damaged: {entry.relative_to(lake)} can't be read as a log"
        " entry; `quantx verify --repair` repairs it"
    )
    assert quantx("verify", "--repair").code == 0
    assert quantx("query", "--symbols", "AAA,BBB", "--format", "csv").out == rows


def test_a_sweep_verifies_the_next_portion(quantx: Run) -> None:
    assert json.loads(quantx("sweep", "--json").out)["damaged"] == []


@pytest.mark.parametrize("share", ["0%", "101%", "some", "-5%"])
def test_a_share_that_is_none_is_refused(quantx: Run, share: str) -> None:
    ran = quantx("verify", f"--sample={share}")
    assert (ran.code, "as in 5%" in ran.err) == (2, True)
