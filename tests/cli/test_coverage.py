from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture
def refreshed(quantx: Run) -> None:
    assert quantx("refresh-universe").code == 0


def test_the_command_writes_a_page_and_its_facts(
    quantx: Run, refreshed: None, environment: dict[str, str], tmp_path: Path
) -> None:
    ran = quantx("coverage", "--output", "out")
    assert ran.code == 0
    assert "mine" in ran.out
    stored = Path(environment["QUANTX_LAKE_URL"]) / "reports" / "coverage"
    for name in ("coverage.html", "coverage.json"):
        assert (tmp_path / "out" / name).read_text("utf-8").startswith("<!doctype html>" if ".html" in name else "{")
        assert (stored / name).exists()
    facts = json.loads((tmp_path / "out" / "coverage.json").read_text("utf-8"))
    assert 2016 in {row["month"] // 100 for row in facts["months"] if row["present"]}
    assert {row["universe"] for row in facts["months"]} == {"mine", None}  # BBB is in none


def test_one_universe_one_file_and_json_for_scripts(quantx: Run, refreshed: None, tmp_path: Path) -> None:
    ran = quantx("coverage", "--universe", "mine", "--output", "mine.html", "--json")
    facts = json.loads(ran.out)
    assert (ran.code, facts["universe"]) == (0, "mine")
    assert {row["symbol"] for row in facts["symbols"]} == {"AAA", "BRK.B"}
    assert "Coverage of mine" in (tmp_path / "mine.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--universe", "nobody"), "the lake has no universe 'nobody'; it has mine"),
        (("--output", "page.pdf"), "must be a folder, or a file that ends in .html or .json"),
        (("--output", "/dev/null/x"), "cannot write /dev/null/x"),
    ],
)
def test_impossible_arguments_are_refused(quantx: Run, refreshed: None, arguments: tuple[str, ...], said: str) -> None:
    ran = quantx("coverage", *arguments)
    assert ran.code == 2
    assert said in ran.err
