"""What every curated table promises: one class of tests, run against the one in memory and against Delta on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.table import Table
from quantx.core.tables import BARS_1D, QUARANTINE, UNIVERSE_MEMBERS
from quantx.errors import CommitConflict, Fenced, LakeError
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable

KNOWN = datetime(2024, 1, 10, 22, 0, tzinfo=UTC)
FIRST = date(2024, 1, 2)

Open = Callable[[Table], CuratedTable]


def day(n: int) -> date:
    return FIRST + timedelta(n)


def bars(symbols: Iterable[str], days: Iterable[int], close: float = 100.0, **facts: Any) -> pl.DataFrame:
    rows = [
        {"source": "yahoo", "year": day(n).year, "symbol": symbol, "date": day(n), "currency": "USD", "raw": "01HKZ"}
        | dict.fromkeys(("open", "high", "low", "close"), close)
        | {"volume": 1_000 + n, "known_from": KNOWN}
        | facts
        for symbol in symbols
        for n in days
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema))


def ctx(number: int) -> CommitContext:
    return CommitContext(number, ["R1"], [f"raw/{number}.parquet"])


@dataclass(frozen=True)
class Held:
    """A role that nobody takes over."""

    state_id: str = "S"
    origin: Mapping[str, str | int] = field(default_factory=lambda: {"quantx.role": "curator", "quantx.epoch": 3})

    def confirm(self) -> None:
        pass

    def note_version(self, table: str, version: int) -> None:
        pass


class Lost(Held):
    """A role that another process has taken over."""

    def confirm(self) -> None:
        raise Fenced("taken over")


@pytest.fixture(params=["memory", "delta"])
def open_table(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens tables of one lake; the second time a table is the same one, for another process."""
    if request.param == "memory":
        opened: dict[str, MemoryTable] = {}
        return lambda table: opened.setdefault(table.name, MemoryTable(table))
    location = open_location(str(tmp_path / "lake"))
    return lambda table: LakeTable(location, table)


@pytest.fixture
def table(open_table: Open) -> CuratedTable:
    return open_table(BARS_1D)


def closes(table: CuratedTable) -> dict[tuple[str, date], float]:
    found = table.read()
    assert found.select(table.table.key).is_unique().all()
    return {(r["symbol"], r["date"]): r["close"] for r in found.iter_rows(named=True)}


class TestACuratedTable:
    def test_a_partition_with_other_rows_has_other_files(self, table: CuratedTable) -> None:
        assert table.parts() == {}
        table.commit(ctx(1), bars(["A"], [1, 2, 400]))
        before = dict(table.parts())
        years = {("yahoo", day(n).year) for n in (1, 400)}
        assert set(before) == years
        table.commit(ctx(2), bars(["A"], [3]))
        changed = {part for part, files in table.parts().items() if files != before[part]}
        assert changed == {("yahoo", day(1).year)}

    def test_a_table_that_does_not_exist_is_an_empty_one(self, table: CuratedTable) -> None:
        assert (table.version(), table.committed_round(), table.facts()) == (None, 0, None)
        assert table.read().schema == table.collect(table.scan()).schema == pl.Schema(BARS_1D.schema)
        assert table.fold(CommitContext(), 1) == 0
        assert table.version() is None

    def test_new_rows_are_there_after_one_commit(self, table: CuratedTable) -> None:
        batch = bars("AB", range(3))
        assert table.commit(ctx(1), batch)
        assert table.read().sort("symbol", "date").equals(batch)
        assert table.collect(table.scan().sort("symbol", "date")).equals(batch)
        assert (table.version(), table.committed_round()) == (1, 1)  # version 0 is the empty table

    def test_only_the_wanted_rows_are_read(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("AB", range(3)))
        assert table.read(pl.col("symbol") == "B").height == 3

    def test_what_is_read_in_pieces_is_the_same(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("AB", range(3)))
        table.commit(ctx(2), bars("A", [3]))
        counted = table.collect(table.scan().group_by("symbol").agg(pl.len()), in_pieces=True)
        assert sorted(counted.rows()) == [("A", 4), ("B", 3)]

    def test_committing_nothing_is_no_commit(self, table: CuratedTable) -> None:
        assert not table.commit(ctx(1), BARS_1D.empty())
        assert (table.version(), table.committed_round()) == (None, 0)

    def test_the_same_round_again_changes_nothing(self, table: CuratedTable, open_table: Open) -> None:
        assert table.commit(ctx(7), bars("A", [0]))
        for handle in (table, open_table(BARS_1D)):
            assert not handle.commit(ctx(7), bars("A", [1]))
            assert not handle.commit(ctx(6), bars("A", [1]))
        assert (table.version(), closes(table).keys()) == (1, {("A", day(0))})

    def test_another_process_sees_what_was_committed(self, table: CuratedTable, open_table: Open) -> None:
        other = open_table(BARS_1D)
        table.commit(ctx(1), bars("A", [0]))
        assert other.committed_round() == 1
        assert other.commit(ctx(2), bars("A", [1]))
        assert (table.committed_round(), len(closes(table))) == (2, 2)

    def test_a_commit_is_bound_to_the_version_that_was_read(self, table: CuratedTable, open_table: Open) -> None:
        table.commit(ctx(1), bars("A", [0]))
        before = table.version()
        table.read()
        open_table(BARS_1D).commit(ctx(2), bars("A", [1]))
        for _ in range(2):  # also where a later version was read meanwhile
            with pytest.raises(CommitConflict):
                table.commit(ctx(3), bars("A", [1]), read_at=before)
            table.read()
        assert (table.version(), len(closes(table))) == (2, 2)
        assert table.commit(ctx(3), bars("A", [2]), read_at=table.version())

    def test_a_table_that_did_not_exist_was_read_as_empty(self, table: CuratedTable, open_table: Open) -> None:
        assert table.version() is None
        open_table(BARS_1D).commit(ctx(1), bars("A", [0]))
        with pytest.raises(CommitConflict):
            table.commit(ctx(2), bars("A", [0]), read_at=None)

    def test_a_seal_is_a_conflict_for_what_is_under_way(self, table: CuratedTable, open_table: Open) -> None:
        table.seal(CommitContext())
        assert table.version() is None
        table.commit(ctx(1), bars("A", [0]))
        before = table.version()
        open_table(BARS_1D).seal(CommitContext())
        with pytest.raises(CommitConflict):
            table.commit(ctx(2), bars("A", [1]), read_at=before)
        assert (table.read().height, table.committed_round()) == (1, 1)

    def test_the_role_is_confirmed_before_a_commit(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("A", [0]))
        with pytest.raises(Fenced):
            table.commit(CommitContext(2, by=Lost()), bars("A", [1]))
        assert table.version() == 1

    def test_each_state_numbers_its_own_rounds(self, table: CuratedTable, open_table: Open) -> None:
        table.commit(CommitContext(3), bars("A", [0]))  # of a program that knew no states
        assert table.commit(CommitContext(7, by=Held("S")), bars("A", [1]))
        for handle in (table, open_table(BARS_1D)):
            assert [handle.committed_round(state) for state in ("S", "T", None)] == [7, 3, 3]
        assert not table.commit(CommitContext(3, by=Held("T")), bars("A", [2]))
        assert table.commit(CommitContext(4, by=Held("T")), bars("A", [2]))
        assert not table.commit(CommitContext(7, by=Held("S")), bars("A", [3]))
        assert table.read().height == 3

    def test_a_commit_outside_rounds_leaves_them(self, table: CuratedTable) -> None:
        table.commit(ctx(4), bars("A", [0]))
        for n in (1, 2):
            assert table.commit(CommitContext(), bars("A", [n]))
        assert (table.committed_round(), table.version()) == (4, 3)

    def test_a_change_replaces_all_rows_of_a_doubled_key(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("AB", range(3)))
        table.commit(ctx(2), bars("A", [1], close=70.0))  # a second file
        table.commit(ctx(3), pl.concat([bars("A", [1, 2], close=80.0), bars("A", [1], close=90.0)]))
        assert table.read().height == 10
        table.commit(ctx(4), BARS_1D.empty(), bars("A", [1], close=50.0), bars("A", [2]))
        assert closes(table) == {
            ("A", day(0)): 100.0,
            ("A", day(1)): 50.0,
            **{("B", day(n)): 100.0 for n in range(3)},
        }

    def test_new_and_changed_rows_are_one_commit(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("AB", range(3)))
        assert table.commit(ctx(2), bars("A", [3]), bars("A", [1], close=50.0))
        assert table.version() == 2
        assert closes(table) == {(s, day(n)): 100.0 for s in "AB" for n in range(3)} | {
            ("A", day(1)): 50.0,
            ("A", day(3)): 100.0,
        }

    def test_a_change_of_a_row_that_is_not_there_adds_it(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("A", [0]))
        table.commit(ctx(2), BARS_1D.empty(), bars("A", [1], close=50.0))
        assert closes(table) == {("A", day(0)): 100.0, ("A", day(1)): 50.0}

    def test_rows_that_are_gone_are_removed(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("AB", range(2)))
        assert table.commit(ctx(2), BARS_1D.empty(), None, bars("A", [1]))
        assert closes(table).keys() == {("A", day(0)), ("B", day(0)), ("B", day(1))}

    def test_a_null_in_a_key_is_a_value(self, open_table: Open) -> None:
        table = open_table(UNIVERSE_MEMBERS)
        base = {"universe": "u", "phase": "p", "symbol": "A", "market": "us", "known_from": KNOWN}
        schema = dict(UNIVERSE_MEMBERS.schema)
        table.commit(ctx(1), pl.DataFrame([base], schema=schema))
        table.commit(ctx(2), UNIVERSE_MEMBERS.empty(), pl.DataFrame([base | {"member_to": FIRST}], schema=schema))
        assert table.read()["member_to"].to_list() == [FIRST]

    def test_nulls_are_kept(self, open_table: Open) -> None:
        table = open_table(QUARANTINE)
        row = {"source": "yahoo", "dataset": "bars_1d", "symbol": "A", "rules": "payload_readable", "row": "<html>"}
        frame = pl.DataFrame([row | {"known_from": KNOWN}], schema=dict(QUARANTINE.schema))
        table.commit(ctx(1), frame)
        assert table.read().equals(frame)

    def test_a_row_with_a_null_date_is_replaced_and_removed(self, open_table: Open) -> None:
        table = open_table(QUARANTINE)
        row = {"source": "yahoo", "dataset": "bars_1d", "symbol": "A", "rules": "payload_readable", "row": "<html>"}
        whole = pl.DataFrame([row | {"known_from": KNOWN}], schema=dict(QUARANTINE.schema))
        table.commit(ctx(1), pl.concat([whole, whole.with_columns(date=FIRST, row=pl.lit("{}"))]))
        table.commit(ctx(2), QUARANTINE.empty(), whole.with_columns(passed=pl.lit(3, pl.Int32)))
        assert table.read().sort("date", nulls_last=False)["passed"].to_list() == [3, None]
        table.commit(ctx(3), QUARANTINE.empty(), None, whole)
        assert table.read()["date"].to_list() == [FIRST]

    def test_folding_leaves_the_rows_and_the_round_as_they_are(self, table: CuratedTable) -> None:
        for number, symbol in enumerate("ABC", 1):
            table.commit(ctx(number), bars(symbol, range(3)))
        before = closes(table)
        table.fold(CommitContext(), 1, tail=1)
        assert (closes(table), table.committed_round()) == (before, 3)
        assert table.commit(ctx(4), bars("D", [0]))

    def test_erased_rows_are_in_no_version_and_others_stay(self, table: CuratedTable, open_table: Open) -> None:
        table.commit(ctx(1), bars("AB", range(3)))
        table.commit(ctx(2), BARS_1D.empty(), bars("A", [1], close=50.0))
        kept = table.read(pl.col("symbol") == "B").sort("date")
        where = (pl.col("symbol") == "A").fill_null(False)
        assert table.erase(CommitContext(), where, "yahoo").rows == 3
        assert table.read().sort("date").equals(kept)
        assert table.erase(CommitContext(), where, "yahoo").rows == 0
        assert open_table(BARS_1D).read().height == 3
        assert table.committed_round() == 2
        assert table.commit(ctx(3), bars("C", [0]))

    def test_the_facts_tell_version_and_rows(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("AB", range(3)))
        facts = table.facts()
        assert facts is not None
        assert facts.keys() == {"table", "url", "version", "rows", "files", "megabytes"}
        assert (facts["table"], facts["url"], facts["version"], facts["rows"]) == ("bars_1d", table.url, 1, 6)

    def test_rows_of_another_form_are_refused(self, table: CuratedTable) -> None:
        good, bad = bars("A", [0]), bars("A", [1]).with_columns(pl.col("close").cast(pl.String))
        for new, changed in ((bad, None), (good, bad)):
            with pytest.raises(LakeError, match="rows for bars_1d have the columns"):
                table.commit(ctx(1), new, changed)
        assert table.version() is None

    def test_a_reader_of_an_earlier_version_sees_its_rows_still(self, table: CuratedTable) -> None:
        table.commit(ctx(1), bars("A", range(3)))
        earlier = table.scan()
        table.commit(ctx(2), bars("B", range(3)), bars("A", [1], close=50.0))
        rows = table.collect(earlier)
        assert (rows.height, set(rows["close"])) == (3, {100.0})

    def test_of_several_that_commit_one_round_one_does_it(self, table: CuratedTable, open_table: Open) -> None:
        table.commit(ctx(1), bars("A", [0]))
        made: list[bool] = []

        def commit() -> None:
            try:
                made.append(open_table(BARS_1D).commit(ctx(2), BARS_1D.empty(), bars("A", [0], close=50.0)))
            except LakeError:  # somebody else is changing the table
                made.append(False)

        threads = [threading.Thread(target=commit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(made) == 1
        assert closes(table) == {("A", day(0)): 50.0}
