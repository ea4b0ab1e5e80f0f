from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Ran

from ..databases import Databases

Run = Callable[..., Ran]
QUERY = ("query", "--symbols", "AAA", "--format", "csv")


@pytest.mark.slow
def test_a_backup_is_created_listed_verified_and_restored(
    quantx: Run, tmp_path: Path, databases: Databases, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = str(tmp_path / "backups")
    monkeypatch.setenv("QUANTX_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("QUANTX_STATE_URL", empty_database_url)  # without the columns of a later program
    assert quantx("backfill", "--start", "2016-05-02", "--end", "2016-06-10", "--symbols", "AAA").code == 0
    rows = quantx(*QUERY).out
    created = json.loads(quantx("backup", "create", place, "--json").out)
    assert (created["copied"] > 0, created["damaged"], created["deleted_backups"]) == (True, {}, [])
    again = quantx("backup", "create", place, "--keep", 1)
    # Only the record of the first backup is new.
    assert (again.code, "copied 1 object," in again.out, "deleted 1 old backup" in again.out) == (0, True, True)
    (listed,) = json.loads(quantx("backup", "list", place, "--json").out)
    assert (listed["objects"], listed["tables"]) == (created["objects"], created["tables"])
    verified = quantx("backup", "verify", place, "--sample", "50%")
    assert (verified.code, "nothing is damaged" in verified.out) == (0, True)

    assert quantx("backup", "restore", place).code == 2  # the lake that was copied is not empty
    with databases.empty() as state:
        monkeypatch.setenv("QUANTX_LAKE_URL", str(tmp_path / "restored"))
        monkeypatch.setenv("QUANTX_STATE_URL", state)
        restored = quantx("backup", "restore", place, "--backup", listed["id"], "--json")
        assert (restored.code, json.loads(restored.out)["objects"]) == (0, created["objects"])
        assert quantx(*QUERY).out == rows
        assert quantx("verify").code == 0
        object_ = next((tmp_path / "backups" / "objects").rglob("*/*"))
        object_.write_bytes(b"")
        damaged = quantx("backup", "verify", place)
        assert (damaged.code, f"objects/{object_.parent.name}/{object_.name} has 0 bytes" in damaged.out) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("verify", "nowhere"), "there is no backup in nowhere"),
        (("restore", "ftp://host/x"), "the place of backups 'ftp://host/x'"),
        (("verify", "nowhere", "--sample", "0%"), "--sample"),
    ],
)
def test_wrong_usage_ends_with_2(quantx: Run, arguments: tuple[str, ...], reason: str) -> None:
    ran = quantx("backup", *arguments)
    assert (ran.code, reason in ran.err) == (2, True)
