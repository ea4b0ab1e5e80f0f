"""A block in which each table's version is looked up once: the requests, and what is seen of commits."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from quantx.core.tables import ACTIONS, BARS_1D, TABLES
from quantx.errors import CommitConflict
from quantx.lake.one_state import one_state
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable

from ..counted_lake import counted_tables
from .test_table import bars


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    return open_location(str(tmp_path / "lake"))


def test_a_block_looks_each_table_up_once_and_all_absent_ones_together(location: LakeLocation) -> None:
    counted, tables = counted_tables(location)
    tables[BARS_1D.name].commit(CommitContext(1), bars("A", range(3)))
    for _ in range(2):  # a second block looks up again
        counted.counts.clear()
        with one_state():
            for _ in range(3):
                versions = {name: table.version() for name, table in tables.items()}
                assert tables[BARS_1D.name].read().height == 3
        assert versions == {name: 1 if name == BARS_1D.name else None for name in TABLES}
        assert counted.counts == {"listings": 2, "curated/bars_1d": 1, "quarantine": 1}  # a listing per zone


def test_own_commits_are_seen_within_a_block(location: LakeLocation) -> None:
    table = LakeTable(location, BARS_1D)
    with one_state():
        assert table.version() is None
        for number in (1, 2):
            assert table.commit(CommitContext(number), bars("A", [number]), read_at=table.version())
            assert (table.version(), table.read().height) == (number, number)
        table.seal(CommitContext())
        assert table.version() == 3
        assert table.fold(CommitContext(), most_files=1) == 1
        assert (table.version(), table.read().height, table.committed_round()) == (4, 2, 2)


def test_a_commit_of_another_process_is_a_conflict_and_is_seen_by_the_next_block(location: LakeLocation) -> None:
    table, other = LakeTable(location, BARS_1D), LakeTable(location, BARS_1D)
    table.commit(CommitContext(1), bars("A", [0]))
    with one_state():
        before = table.version()
        other.commit(CommitContext(2), bars("A", [1]))
        assert table.version() == before
        with pytest.raises(CommitConflict):
            table.commit(CommitContext(3), bars("A", [2]), read_at=before)
        assert table.read().height == 2  # after a conflict it is looked up again
    with one_state():
        assert table.commit(CommitContext(3), bars("A", [2]), read_at=table.version())


def test_a_table_that_another_process_creates_is_seen_by_the_next_block_and_by_tables_outside(
    location: LakeLocation,
) -> None:
    table, other = LakeTable(location, BARS_1D), LakeTable(location, BARS_1D)
    with one_state([ACTIONS.name]), one_state([BARS_1D.name]):
        assert table.version() is None
        other.commit(CommitContext(1), bars("A", [0]))
        assert table.version() is None
        with pytest.raises(CommitConflict):
            table.commit(CommitContext(2), bars("A", [1]), read_at=None)
        assert table.version() == 1
    with one_state([ACTIONS.name]):  # not a table of the block
        other.commit(CommitContext(2), bars("A", [1]))
        assert table.read().height == 2


def test_a_block_within_another_looks_its_tables_up_again(location: LakeLocation) -> None:
    table, other = LakeTable(location, BARS_1D), LakeTable(location, BARS_1D)
    with one_state():
        assert table.read().is_empty()
        other.commit(CommitContext(1), bars("A", [0]))
        with one_state([BARS_1D.name]):
            assert table.read()["symbol"].to_list() == ["A"]
        assert isinstance(table.scan(), pl.LazyFrame)
        assert table.version() == 1
