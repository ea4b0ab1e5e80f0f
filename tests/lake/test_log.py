"""The entries that we write into Delta's log: bound to one version, with digests, and plain Delta for every reader."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from quantx.core.tables import BARS_1D
from quantx.errors import CommitConflict, LakeError
from quantx.lake.file_changes import DIGEST
from quantx.lake.log import entry_path, is_whole
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable

from .test_table import bars, ctx, interrupted, rows


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    return open_location(str(tmp_path / "lake"))


@pytest.fixture
def table(location: LakeLocation) -> LakeTable:
    made = LakeTable(location, BARS_1D)
    made.commit(ctx(1), bars("AB", range(3)))
    made.commit(ctx(2), bars("C", [0]), bars("A", [1], close=50.0))
    return made


def entries(table: LakeTable) -> list[bytes]:
    return [path.read_bytes() for path in sorted(Path(table.url, "_delta_log").glob("*.json"))]


def actions(table: LakeTable, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for entry in entries(table) for line in entry.splitlines()]
    return [action[kind] for action in found if kind in action]


def test_each_data_file_has_its_size_and_digest_in_the_log(table: LakeTable) -> None:
    for added in actions(table, "add"):
        body = Path(table.url, added["path"]).read_bytes()
        assert (added["size"], added["tags"][DIGEST]) == (len(body), hashlib.sha256(body).hexdigest())


def test_a_checkpoint_keeps_the_digests(table: LakeTable) -> None:
    DeltaTable(table.url).create_checkpoint()
    (checkpoint,) = Path(table.url, "_delta_log").glob("*.checkpoint.parquet")
    kept = [row["add"]["tags"] for row in pq.read_table(checkpoint).to_pylist() if row["add"]]
    wanted = {added["tags"][DIGEST] for added in actions(table, "add")} - {
        added["tags"][DIGEST]
        for added in actions(table, "add")
        if added["path"] in {removed["path"] for removed in actions(table, "remove")}
    }
    assert {dict(tags)[DIGEST] for tags in kept} == wanted


def test_every_flipped_bit_of_an_entry_is_detected(table: LakeTable) -> None:
    rng = random.Random(11)
    for entry in entries(table):
        assert is_whole(entry) is True
        for bit in rng.sample(range(8 * len(entry)), 500):
            damaged = bytearray(entry)
            damaged[bit // 8] ^= 1 << bit % 8
            assert is_whole(bytes(damaged)) is False, bit
        assert is_whole(entry[: len(entry) // 2]) is False


def test_entries_of_other_programs_have_no_digest(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_delta(str(tmp_path / "other"))
    (entry,) = (tmp_path / "other" / "_delta_log").glob("*.json")
    assert is_whole(entry.read_bytes()) is None


def test_a_commit_whose_reply_is_lost_is_a_success(location: LakeLocation) -> None:
    class Retrying(LakeLocation):
        def create(self, path: str, body: bytes) -> bool:
            return super().create(path, body) and super().create(path, body)  # as an HTTP client that tries again

    table = LakeTable(Retrying(location.url, location.store, location.options), BARS_1D)
    assert table.commit(ctx(1), bars("A", [0]))
    assert (table.version(), rows(table.scan())) == (1, rows(bars("A", [0])))


def test_what_delta_rs_has_committed_is_read_on(table: LakeTable) -> None:
    """Earlier programs commit through delta-rs; both kinds of entries make one table."""
    DeltaTable(table.url).alter.set_table_properties({"delta.logRetentionDuration": "interval 60 days"})
    assert table.commit(ctx(3), bars("D", [0]))
    assert (table.version(), table.read().height) == (4, 8)


def test_a_fold_between_data_and_commit_of_a_fold_is_a_conflict(table: LakeTable, location: LakeLocation) -> None:
    before = rows(table.scan())
    slow = interrupted(location, lambda: LakeTable(location, BARS_1D).fold(CommitContext(), 1) and None)
    with pytest.raises(CommitConflict, match="another process has changed the table"):
        slow.fold(CommitContext(), 1)
    assert rows(table.scan()) == before


def test_an_entry_never_replaces_another(table: LakeTable, location: LakeLocation) -> None:
    path = f"curated/bars_1d/{entry_path(2)}"
    before = location.get(path)
    with pytest.raises(LakeError, match="exists with other bytes"):
        location.put_new(path, b"{}")
    assert location.get(path) == before
