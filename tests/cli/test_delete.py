"""`quantx delete` and `backfill --dry-run` over a vendor on HTTP, a real PostgreSQL and a real lake."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran
from tests.cli.test_heal import traded

from quantx.cli import main
from quantx.sandbox import Market, Sandbox, running

Run = Callable[..., Ran]
WINDOW = ("--start", "2016-01-01", "--end", "2016-12-30")


def test_data_is_shown_deleted_listed_refused_and_lifted(
    migrated_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    known = {h.symbol: h for h in (traded("AAA"), traded("BBB"))}
    with running(Sandbox(Market("files", known), now="2016-12-30")) as vendor:
        for name, value in {
            "QUANTX_LAKE_URL": str(tmp_path / "lake"),
            "QUANTX_STATE_URL": migrated_database_url,
            "QUANTX_YFINANCE_BASE_URL": vendor,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
            "QUANTX_INSPECT": "false",
        }.items():
            monkeypatch.setenv(name, value)
        dry = json.loads(run("backfill", *WINDOW, "--symbols", "AAA,BBB", "--dry-run", "--json").out)
        assert (dry["tasks"], dry["requests"], dry["rows"], dry["raw_megabytes"]) == (2, 2, 504, None)
        assert run("backfill", *WINDOW, "--symbols", "AAA,BBB").code == 0
        again = run("backfill", "--start", "2015-01-01", "--end", "2016-12-30", "--symbols", "AAA", "--dry-run")
        assert "1 task: 1 requests" in again.out
        assert "nothing is recorded" in again.out

        said = run("delete", "--source", "yahoo", "--symbols", "AAA", "--reason", "ended")
        assert "would delete yahoo's data of AAA ('ended'" in said.out
        assert "nothing is deleted yet: repeat the command with --yes" in said.out
        assert json.loads(run("delete", "--list", "--json").out) == []
        done = json.loads(
            run(
                "delete", "--source", "yahoo", "--symbols", "AAA", "--reason", "ended", "--by", "eve", "--yes", "--json"
            ).out
        )
        assert (done["complete"], done["rows"]["bars_1d"], done["raw_replaced"]) == (True, 252, 1)
        (stone,) = json.loads(run("delete", "--list", "--json").out)
        assert (stone["id"], stone["state"], stone["by"]) == (done["id"], "complete", "eve")
        (gone,) = json.loads(run("changes", "--kind", "deleted", "--json").out)
        assert (gone["symbol"], gone["source"]) == ("AAA", "yahoo")

        refused = run("backfill", *WINDOW, "--symbols", "AAA")
        assert refused.code == 2
        assert f"tombstone {done['id']}) was deleted for good" in refused.err
        assert run("delete", "--lift", done["id"], "--reason", "renewed").code == 0
        assert run("backfill", *WINDOW, "--symbols", "AAA").code == 0
        assert json.loads(run("status", "--json").out)["deletions"]["tombstones"] == 0

    waiting = tmp_path / "lake/inbox/my_files/AAA.csv"
    waiting.parent.mkdir(parents=True)
    waiting.write_text("date,close")
    for _ in range(2):  # of a source that was deleted before, too
        assert run("delete", "--source", "my_files", "--reason", "ended", "--yes").code == 0
        assert not waiting.exists()

    for wrong, why in (
        ((), "give one of --source VENDOR, --list, --resume or --lift ID"),
        (("--source", "yahoo"), '--reason "…" is missing'),
        (("--source", "yaho", "--reason", "x"), "is no vendor here"),
        (("--source", "yahoo", "--reason", "x", "--dataset", "ticks"), "must be one of bars, fundamentals"),
        (("--lift", "T", "--reason", "x"), "there is no tombstone 'T'"),
    ):
        ran = run("delete", *wrong)
        assert (ran.code, why in ran.err) == (2, True), ran.err
