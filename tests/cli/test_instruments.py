from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


def test_symbol_histories_are_imported_shown_and_ended(quantx: Run, tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text(
        "symbol,from,to,instrument,name\nOLDY,2000-01-03,2010-06-30,us.OLDY.20000103,Oldy\nNEWY,2010-07-01,,us.OLDY.20000103,Newy\n"
    )
    told = json.loads(quantx("instruments", "import", "names.csv", "--json").out)
    assert (told["instruments"], told["symbols"], told["delisted"]) == (1, 2, 0)
    assert quantx("instruments", "import", "names.csv").code == 0
    (shown,) = json.loads(quantx("instruments", "show", "OLDY", "--on", "2005-01-03", "--json").out)
    assert shown["symbols"] == [
        {"symbol": "OLDY", "from": "2000-01-03", "to": "2010-06-30"},
        {"symbol": "NEWY", "from": "2010-07-01", "to": None},
    ]
    ended = quantx("instruments", "delist", "NEWY", "--on", "2016-06-30", "--reason", "bought", "--by", "ops")
    assert (ended.code, "us.OLDY.20000103" in ended.out) == (0, True)
    (row,) = json.loads(quantx("instruments", "list", "--status", "delisted", "--json").out)
    assert (row["delisted_on"], row["reason"], row["evidence"]) == ("2016-06-30", "bought", "the word of ops")
    assert "Newy" in quantx("instruments", "list").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "NOSUCH"), "no security has the symbol 'NOSUCH'"),
        (("show", "OLDY", "--on", "soon"), "is not a date"),
        (("import", "none.csv"), "can't be read"),
        (("delist", "../x", "--on", "2016-06-30", "--reason", "x"), "is not a symbol"),
        (("delist", "AAA", "--on", "2016-06-30", "--reason", " "), "the reason is empty"),
    ],
)
def test_wrong_input_is_reported(quantx: Run, arguments: tuple[str, ...], said: str) -> None:
    ran = quantx("instruments", *arguments)
    assert (ran.code, said in ran.err) == (2, True)


def test_a_refused_list_is_reported_with_exit_code_1(
    quantx: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "u.yaml").write_text(
        "phases: {cli: {fine: {market: us, type: static, symbols: [AAA]},"
        " page: {market: us, type: csv, path: page.csv, enabled: false}}}"
    )
    (tmp_path / "page.csv").write_text("<html><title>Sorry</title></html>")
    monkeypatch.setenv("QUANTX_UNIVERSE_PATH", str(tmp_path / "u.yaml"))
    assert quantx("refresh-universe", "--phase", "cli").code == 0
    refused = quantx("refresh-universe", "--name", "page")
    assert (refused.code, "HTML page (Sorry); the last good list stays" in refused.err) == (1, True)
    (row,) = json.loads(quantx("refresh-universe", "--name", "page", "--json").out)
    assert (row["decision"], row["members"]) == ("refused", 0)
    shown = json.loads(quantx("findings", "list", "--rule", "universe_refused", "--status", "open", "--json").out)
    assert [f["subject"] for f in shown] == ["page"]
    for half in (("--accept",), ("--reason", "so")):
        assert quantx("refresh-universe", *half).code == 2
    (tmp_path / "page.csv").write_text("symbol\nAAA\n")
    assert quantx("refresh-universe", "--name", "page").code == 0
    assert quantx("findings", "list", "--rule", "universe_refused", "--status", "open", "--json").out.strip() == "[]"
