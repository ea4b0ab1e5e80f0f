"""The commands explain, changes and snapshot, on a lake that a backfill made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl

from .conftest import Ran

Run = Callable[..., Ran]


def test_explain_shows_one_screen_and_writes_the_reply(quantx: Run, tmp_path: Path) -> None:
    ran = quantx("explain", "AAA", "2016-05-31", "--raw", tmp_path / "reply.json")
    assert ran.code == 0
    assert ran.out.startswith("AAA 2016-05-31: close ")
    assert len(ran.out.splitlines()) < 40
    for part in (
        "Reply",
        "/chart/result/0/timestamp/",
        "Rules",
        "Adjustment",
        "2016-06-01 split 2: × 0.5",
        "Nothing recorded",
    ):
        assert part in ran.out
    assert "split-adjusted: prices × 2 are as traded" in ran.out
    body = (tmp_path / "reply.json").read_bytes()
    digest = hashlib.sha256(body).hexdigest()
    assert digest in ran.out
    assert digest in ran.err
    assert quantx("explain", "AAA", "2016-05-31", "--raw", tmp_path / "reply.json").code == 2  # never overwritten

    facts = json.loads(quantx("explain", "AAA", "2016-05-31", "--json", "--field", "open").out)
    position = int(facts["reply"]["place"].rpartition("/")[2])
    sent = json.loads(body)["chart"]["result"][0]["indicators"]["quote"][0]["open"][position]
    assert facts["value"] == 2 * sent
    assert facts["adjustment"]["split"]["open"] == sent
    assert {rule["state"] for rule in facts["rules"]["results"]} == {"passed", "checked"}


def test_explain_of_a_day_without_a_bar(quantx: Run, tmp_path: Path) -> None:
    ran = quantx("explain", "AAA", "2016-07-04", "--raw", tmp_path / "reply.json")
    assert (ran.code, "2016-07-04 is no session of XNYS: the exchange is closed" in ran.out) == (2, True)
    assert "was not written: there is no value" in ran.err
    assert quantx("explain", "AAA", "2016-07-04").code == 1
    assert quantx("explain", "AAB", "2016-07-05").code == 2
    assert "did you mean AAA" in quantx("explain", "AAB", "2016-07-05").err


def test_changes_are_counted_and_listed(quantx: Run) -> None:
    ran = quantx("changes", "--symbols", "AAA", "--limit", 3)
    bars, every = re.search(r"(\d+) new in bars_1d", ran.out), re.search(r"(\d+) changes, the newest 3", ran.out)
    assert "2 new in actions" in ran.out
    assert bars is not None
    assert every is not None
    assert int(every[1]) - 2 >= int(bars[1]) >= 252  # other tests fetch more into the same lake, and reject rows
    rows = json.loads(quantx("changes", "--symbols", "AAA", "--kind", "new", "--limit", 3, "--json").out)
    assert [row["change"] for row in rows] == ["new"] * 3
    assert "nothing changed" in quantx("changes", "--since", "2099-01-01").out


def test_a_snapshot_is_created_read_and_dropped(quantx: Run, tmp_path: Path) -> None:
    assert "snapshot paper of " in quantx("snapshot", "create", "paper").out
    assert [row["name"] for row in json.loads(quantx("snapshot", "list", "--json").out)] == ["paper"]
    file = tmp_path / "bars.parquet"
    assert quantx("query", "--symbols", "AAA", "--snapshot", "paper", "-o", file).code == 0
    assert json.loads(pl.read_parquet_metadata(file)["quantx.provenance"])["snapshot"] == "paper"
    assert "snapshot paper is dropped; 0 files deleted" in quantx("snapshot", "drop", "paper").out
    assert "there is no snapshot 'paper'" in quantx("query", "--symbols", "AAA", "--snapshot", "paper").err
