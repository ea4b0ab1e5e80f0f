"""Curated tables: one commit per round, corrections that rewrite little, and readers that never see half a commit."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS, BARS_1D, QUARANTINE, TABLES, UNIVERSE_MEMBERS
from quantx.errors import CommitConflict, LakeError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable, open_tables

KNOWN = datetime(2024, 1, 10, 22, 0, 0, 123456, tzinfo=UTC)
FIRST = date(2024, 1, 2)


def day(n: int) -> date:
    return FIRST + timedelta(n)


def bars(symbols: str | Iterable[str], days: Iterable[int], close: float = 100.0, **facts: Any) -> pl.DataFrame:
    rows = [
        {
            "source": "yahoo",
            "year": day(n).year,
            "symbol": symbol,
            "date": day(n),
            "open": close,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": 1_000 + n,
            "currency": "USD",
            "raw": "01HKZ",
            "known_from": KNOWN,
        }
        | facts
        for symbol in symbols
        for n in days
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema))


def ctx(number: int) -> CommitContext:
    return CommitContext(number, ["R1"], [f"raw/{number}.parquet"])


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    return open_location(str(tmp_path / "lake"))


@pytest.fixture
def table(location: LakeLocation) -> LakeTable:
    return LakeTable(location, BARS_1D)


def rows(frame: pl.DataFrame | pl.LazyFrame) -> list[tuple[Any, ...]]:
    return sorted(frame.lazy().select(list(BARS_1D.schema)).collect().rows())


def closes(table: LakeTable) -> dict[tuple[str, date], float]:
    found = table.scan().collect()
    assert found.select(table.table.key).is_unique().all()
    return {(r["symbol"], r["date"]): r["close"] for r in found.iter_rows(named=True)}


def files(table: LakeTable) -> set[str]:
    delta = table.refresh()
    assert delta is not None
    return set(pl.DataFrame(delta.get_add_actions(flatten=True))["path"])


# -------------------------------------------------------------------------------------------------------- a new table


def test_a_table_that_does_not_exist_is_an_empty_one(table: LakeTable) -> None:
    assert (table.version(), table.committed_round(), table.facts()) == (None, 0, None)
    assert table.scan().collect().schema == pl.Schema(BARS_1D.schema)
    assert table.scan().collect().is_empty()


def test_looking_at_a_table_does_not_create_it(table: LakeTable, tmp_path: Path) -> None:
    table.scan().collect()
    table.fold(ctx(1), 0)
    assert list((tmp_path / "lake").iterdir()) == []


def test_new_rows_are_there_after_one_commit(table: LakeTable) -> None:
    batch = bars(["AAPL", "MSFT"], range(3))
    assert table.commit(ctx(1), batch)
    assert rows(table.scan()) == rows(batch)
    assert (table.version(), table.committed_round()) == (1, 1)  # version 0 is the empty table


def test_committing_nothing_is_no_commit(table: LakeTable) -> None:
    assert not table.commit(ctx(1), BARS_1D.empty())
    assert table.version() is None
    table.commit(ctx(1), bars("A", [0]))
    assert not table.commit(ctx(2), BARS_1D.empty(), BARS_1D.empty())
    assert table.version() == 1


@pytest.mark.parametrize("name", TABLES)
def test_every_declared_table_can_be_written_and_read(location: LakeLocation, name: str) -> None:
    declared = TABLES[name]
    example: dict[Any, Any] = {
        pl.String: "text",
        pl.Int32: 2024,
        pl.Int64: 7,
        pl.Float64: 1.5,
        pl.Boolean: True,
        pl.Date: FIRST,
        INSTANT: KNOWN,
    }
    row = {c: example[t] for c, t in declared.schema.items()}
    frame = pl.DataFrame([row], schema=dict(declared.schema))
    table = LakeTable(location, declared)
    assert table.commit(ctx(1), frame)
    assert table.scan().collect().equals(frame)
    assert DeltaTable(table.url).metadata().partition_columns == list(declared.partitions)


def test_a_table_of_the_lake_has_its_own_folder(location: LakeLocation) -> None:
    tables = open_tables(location, TABLES)
    assert set(tables) == set(TABLES)
    assert tables["bars_1d"].url.endswith("lake/curated/bars_1d")
    assert tables["quarantine"].url.endswith("lake/quarantine")
    assert len({t.url for t in tables.values()}) == len(TABLES)


def test_nulls_are_kept(location: LakeLocation) -> None:
    table = LakeTable(location, QUARANTINE)
    row = {"source": "yahoo", "dataset": "bars_1d", "symbol": "A", "rules": "payload_readable", "row": "<html>"}
    frame = pl.DataFrame([row | {"known_from": KNOWN}], schema=dict(QUARANTINE.schema))
    table.commit(ctx(1), frame)
    assert table.scan().collect().equals(frame)


def test_a_column_that_was_declared_later_is_null_until_it_is_written(location: LakeLocation) -> None:
    columns = {c: t for c, t in QUARANTINE.schema.items() if c not in ("policy", "sent", "passed")}
    earlier = replace(QUARANTINE, schema=columns)
    row = {"source": "yahoo", "dataset": "bars_1d", "symbol": "A", "rules": "payload_readable", "row": "<html>"}
    LakeTable(location, earlier).commit(ctx(1), pl.DataFrame([row | {"known_from": KNOWN}], schema=columns))
    table = LakeTable(location, QUARANTINE)
    old = pl.DataFrame([row | {"known_from": KNOWN}], schema=dict(QUARANTINE.schema))
    assert table.read().equals(old)
    assert table.read(pl.col("policy").is_null()).height == 1
    new = old.with_columns(symbol=pl.lit("B"), policy=pl.lit(2, pl.Int32), sent=pl.lit("{}"))
    assert table.commit(ctx(2), new)
    assert not table.commit(ctx(2), new)
    assert table.read().sort("symbol").equals(pl.concat([old, new]))
    assert table.read(pl.col("policy") == 2).equals(new)
    passed = old.with_columns(passed=pl.lit(3, pl.Int32))
    assert table.commit(ctx(3), QUARANTINE.empty(), passed)
    assert table.fold(CommitContext(), 1) == 1
    assert LakeTable(location, QUARANTINE).read().sort("symbol").equals(pl.concat([passed, new]))
    assert LakeTable(location, earlier).read().columns == list(columns)  # a program of before goes on reading


# ----------------------------------------------------------------------------------------------------------- rounds


def test_the_same_round_again_changes_nothing(table: LakeTable) -> None:
    batch = bars("A", range(3))
    assert table.commit(ctx(1), batch)
    assert not table.commit(ctx(1), batch)
    assert (table.version(), rows(table.scan())) == (1, rows(batch))


def test_the_same_round_again_changes_nothing_for_another_process(table: LakeTable, location: LakeLocation) -> None:
    table.commit(ctx(7), bars("A", [0]))
    again = LakeTable(location, BARS_1D)
    assert again.committed_round() == 7
    assert not again.commit(ctx(7), bars("A", [0]))
    assert again.commit(ctx(8), bars("A", [1]))
    assert table.committed_round() == 8


def test_folding_does_not_count_as_a_round(table: LakeTable) -> None:
    table.commit(ctx(1), bars("A", [0]))
    table.commit(ctx(2), bars("B", [0]))
    table.fold(CommitContext(), 1)
    assert table.committed_round() == 2
    assert table.commit(ctx(3), bars("C", [0]))


def test_a_commit_says_why_it_was_made(table: LakeTable) -> None:
    table.commit(CommitContext(5, ["R1", "R2"], ["raw/a.parquet"]), bars("A", [0]))
    newest = DeltaTable(table.url).history(1)[0]
    assert (newest["quantx.round"], newest["quantx.runs"], newest["quantx.raw"]) == (5, ["R1", "R2"], ["raw/a.parquet"])


# ------------------------------------------------------------------------------------------------------- corrections


def test_a_change_replaces_its_row_and_no_other(table: LakeTable) -> None:
    table.commit(ctx(1), bars("AB", range(3)))
    table.commit(ctx(2), BARS_1D.empty(), bars("A", [1], close=50.0))
    expected = {(s, day(n)): 100.0 for s in "AB" for n in range(3)} | {("A", day(1)): 50.0}
    assert closes(table) == expected


def test_new_and_changed_rows_are_one_commit(table: LakeTable) -> None:
    table.commit(ctx(1), bars("A", range(3)))
    table.commit(ctx(2), bars("A", [3]), bars("A", [1], close=50.0))
    assert table.version() == 2
    assert closes(table) == {("A", day(n)): 50.0 if n == 1 else 100.0 for n in range(4)}


def test_a_change_rewrites_only_the_files_that_hold_it(table: LakeTable) -> None:
    for number, symbol in enumerate("ABC", 1):
        table.commit(ctx(number), bars(symbol, range(3)))
    before = files(table)
    table.commit(ctx(4), BARS_1D.empty(), bars("B", [1], close=50.0))
    after = files(table)
    assert (len(before), len(after), len(before & after)) == (3, 3, 2)


def test_a_change_within_the_bounds_of_a_file_that_does_not_hold_it_leaves_that_file(table: LakeTable) -> None:
    table.commit(ctx(1), bars("AC", range(3)))
    table.commit(ctx(2), bars("B", range(3)))
    before = files(table)
    table.commit(ctx(3), BARS_1D.empty(), bars("B", [1], close=50.0))
    assert len(before & files(table)) == 1
    assert closes(table)[("B", day(1))] == 50.0


def test_a_change_of_a_row_that_is_not_there_adds_it(table: LakeTable) -> None:
    table.commit(ctx(1), bars("A", [0]))
    table.commit(ctx(2), BARS_1D.empty(), bars("A", [1], close=50.0))
    assert closes(table) == {("A", day(0)): 100.0, ("A", day(1)): 50.0}


def test_a_change_on_a_new_table_adds_it(table: LakeTable) -> None:
    assert table.commit(ctx(1), BARS_1D.empty(), bars("A", [0]))
    assert closes(table) == {("A", day(0)): 100.0}


def test_changes_reach_over_years_and_sources(table: LakeTable) -> None:
    other = bars("A", [0, 400], source="stooq")
    table.commit(ctx(1), pl.concat([bars("A", [0, 400]), other]))
    assert len(files(table)) == 4
    before = files(table)
    table.commit(ctx(2), BARS_1D.empty(), bars("A", [400], close=50.0))
    assert len(before & files(table)) == 3
    changed = table.scan().filter(pl.col("close") == 50.0).collect()
    assert changed.select("source", "date").rows() == [("yahoo", day(400))]


def test_a_table_without_partitions_can_be_corrected(location: LakeLocation) -> None:
    table = LakeTable(location, UNIVERSE_MEMBERS)
    base = {"universe": "u", "phase": "p", "symbol": "A", "market": "us", "known_from": KNOWN}
    member = pl.DataFrame([base, base | {"symbol": "B"}], schema=dict(UNIVERSE_MEMBERS.schema))
    left = pl.DataFrame([base | {"member_to": FIRST}], schema=dict(UNIVERSE_MEMBERS.schema))
    table.commit(ctx(1), member)
    table.commit(ctx(2), UNIVERSE_MEMBERS.empty(), left)
    found = table.scan().collect()
    assert dict(zip(found["symbol"], found["member_to"], strict=True)) == {"A": FIRST, "B": None}


def test_actions_can_be_corrected(location: LakeLocation) -> None:
    table = LakeTable(location, ACTIONS)
    base = {"source": "yahoo", "symbol": "A", "ex_date": FIRST, "kind": "split", "value": 2.0, "known_from": KNOWN}
    table.commit(ctx(1), pl.DataFrame([base, base | {"kind": "dividend"}], schema=dict(ACTIONS.schema)))
    table.commit(ctx(2), ACTIONS.empty(), pl.DataFrame([base | {"value": 4.0}], schema=dict(ACTIONS.schema)))
    found = table.scan().collect()
    assert dict(zip(found["kind"], found["value"], strict=True)) == {"split": 4.0, "dividend": 2.0}


WRONG: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "a number as text": lambda f: f.with_columns(pl.col("close").cast(pl.String)),
    "a text as number": lambda f: f.with_columns(pl.lit(1).alias("symbol")),
    "a narrower number": lambda f: f.with_columns(pl.col("close").cast(pl.Float32)),
    "another unit of time": lambda f: f.with_columns(pl.col("known_from").cast(pl.Datetime("ms", "UTC"))),
    "an instant without a zone": lambda f: f.with_columns(pl.col("known_from").dt.replace_time_zone(None)),
    "a column too many": lambda f: f.with_columns(pl.lit(1.0).alias("vwap")),
    "a column too few": lambda f: f.drop("currency"),
}


@pytest.mark.parametrize("spoil", WRONG.values(), ids=WRONG)
def test_rows_of_another_form_are_refused_and_nothing_is_written(
    table: LakeTable, spoil: Callable[[pl.DataFrame], pl.DataFrame], tmp_path: Path
) -> None:
    good, bad = bars("A", [0]), spoil(bars("A", [1]))
    for new, changed in ((bad, None), (good, bad)):
        with pytest.raises(LakeError, match="rows for bars_1d have the columns"):
            table.commit(ctx(1), new, changed)
    assert list((tmp_path / "lake").iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- readers


def test_every_reader_of_delta_sees_the_same_rows(table: LakeTable) -> None:
    table.commit(ctx(1), bars(["AAPL", "0700.HK", "BRK.B", "^GSPC"], range(0, 800, 100)))
    table.commit(ctx(2), bars("B", [0]), bars(["AAPL"], [100], close=50.0))
    table.fold(CommitContext(), 1)
    expected = rows(table.scan())
    assert len(expected) == 33
    arrow = DeltaTable(table.url).to_pyarrow_table()
    assert rows(pl.DataFrame(arrow)) == expected
    assert rows(pl.read_delta(table.url)) == expected
    assert rows(pl.scan_delta(table.url).filter(pl.col("symbol") == "^GSPC")) == [
        r for r in expected if r[2] == "^GSPC"
    ]
    with duckdb.connect() as connection:
        counted = connection.from_arrow(arrow).aggregate("symbol, count(*), sum(close)", "symbol").fetchall()
    assert {(s, n) for s, n, _ in counted} == {("AAPL", 8), ("0700.HK", 8), ("BRK.B", 8), ("^GSPC", 8), ("B", 1)}


def test_a_reader_of_a_version_sees_its_rows_for_ever(table: LakeTable) -> None:
    table.commit(ctx(1), bars("AB", range(3)))
    held = DeltaTable(table.url)
    before = rows(pl.DataFrame(held.to_pyarrow_table()))
    table.commit(ctx(2), bars("C", [0]), bars("A", [1], close=50.0))
    table.fold(CommitContext(), 1)
    assert rows(pl.DataFrame(held.to_pyarrow_table())) == before
    assert rows(pl.DataFrame(DeltaTable(table.url, version=held.version()).to_pyarrow_table())) == before
    assert rows(table.scan()) != before


def test_a_handle_sees_what_others_commit(table: LakeTable, location: LakeLocation) -> None:
    other = LakeTable(location, BARS_1D)
    assert table.version() is None
    other.commit(ctx(1), bars("A", [0]))
    assert len(closes(table)) == 1
    other.commit(ctx(2), bars("B", [0]))
    assert len(closes(table)) == 2


def test_statistics_let_readers_skip_files(table: LakeTable) -> None:
    for number, symbols in enumerate(("AB", "CD", "EF"), 1):
        table.commit(ctx(number), bars(symbols, range(5)))
    dataset = DeltaTable(table.url).to_pyarrow_dataset()
    assert len(list(dataset.get_fragments())) == 3
    assert len(list(dataset.get_fragments(filter=ds.field("symbol") == "C"))) == 1
    assert list(dataset.get_fragments(filter=ds.field("symbol") == "Z")) == []
    assert list(dataset.get_fragments(filter=ds.field("date") > day(4))) == []


def test_statistics_are_exact(table: LakeTable) -> None:
    table.commit(ctx(1), bars("BA", range(3)))
    (facts,) = pl.DataFrame(DeltaTable(table.url).get_add_actions(flatten=True)).to_dicts()
    assert facts["num_records"] == 6
    assert (facts["min.symbol"], facts["max.symbol"]) == ("A", "B")
    assert (facts["min.date"], facts["max.date"]) == (day(0), day(2))
    assert (facts["min.low"], facts["max.high"]) == (99.0, 101.0)
    assert (facts["min.known_from"], facts["max.known_from"]) == (KNOWN, KNOWN)
    assert facts["null_count.close"] == 0


def test_facts_tell_rows_and_files(table: LakeTable) -> None:
    table.commit(ctx(1), bars("A", range(3)))
    table.commit(ctx(2), bars("B", range(4)))
    facts = table.facts()
    assert facts is not None
    assert (facts["table"], facts["rows"], facts["files"], facts["version"]) == ("bars_1d", 7, 2, 2)


def test_rows_within_a_file_are_sorted(table: LakeTable, tmp_path: Path) -> None:
    table.commit(ctx(1), bars("CAB", [2, 0, 1]))
    (path,) = files(table)
    stored = pl.read_parquet(Path(table.url) / path, hive_partitioning=False)
    assert stored.select("symbol", "date").rows() == [(s, day(n)) for s in "ABC" for n in range(3)]
    assert "source" not in stored.columns  # partitions are folders
    meta = pq.ParquetFile(Path(table.url) / path).metadata.row_group(0).column(0)
    assert meta.compression == "ZSTD"


# ----------------------------------------------------------------------------------------------------------- folding


def test_folding_keeps_the_rows_and_leaves_one_file_per_partition(table: LakeTable) -> None:
    for number in range(1, 6):
        table.commit(ctx(number), bars("AB", [number, number + 400]))
    before = rows(table.scan())
    assert len(files(table)) == 10
    assert table.fold(CommitContext(), 2) == 2
    assert len(files(table)) == 2
    assert rows(table.scan()) == before


@pytest.mark.parametrize(("retention", "left"), [("interval 7 days", 4), ("interval 0 seconds", 1)])
def test_folding_deletes_replaced_files_only_after_the_retention(table: LakeTable, retention: str, left: int) -> None:
    for n in range(3):
        table.commit(ctx(n + 1), bars("AB", [n]))
    before = rows(table.scan())
    delta = DeltaTable(table.url)
    delta.alter.set_table_properties({"delta.deletedFileRetentionDuration": retention})
    assert table.fold(CommitContext(), 1) == 1
    assert len(list(Path(table.url).rglob("source=*/**/*.parquet"))) == left
    assert rows(table.scan()) == before


def test_folding_leaves_a_partition_of_few_files_alone(table: LakeTable) -> None:
    table.commit(ctx(1), bars("A", [0, 400]))
    table.commit(ctx(2), bars("B", [0]))
    before = files(table)
    version = table.version()
    assert table.fold(CommitContext(), 2) == 0
    assert (files(table), table.version()) == (before, version)
    assert table.fold(CommitContext(), 1) == 1
    assert len(files(table) & before) == 1


def test_folding_puts_the_newest_days_in_a_file_of_their_own(table: LakeTable) -> None:
    for number in range(1, 6):
        table.commit(ctx(number), bars("AB", [number]))
    table.fold(CommitContext(), 1, tail=2)
    spans = pl.DataFrame(DeltaTable(table.url).get_add_actions(flatten=True)).sort("min.date")
    assert spans.select("min.date", "max.date").rows() == [(day(1), day(3)), (day(4), day(5))]
    before = files(table)
    table.commit(ctx(6), BARS_1D.empty(), bars("A", [5], close=50.0))
    assert len(files(table) & before) == 1


def test_folding_gives_a_closed_year_one_file(table: LakeTable) -> None:
    """A former fold left two: the dates before the year's last ones, and these."""
    for number in (0, 1, 2, 400, 401, 402):
        table.commit(ctx(number + 1), bars("AB", [number]))
    before = rows(table.scan())
    assert table.fold(CommitContext(), 2, tail=1) == 2
    spans = pl.DataFrame(DeltaTable(table.url).get_add_actions(flatten=True)).sort("min.date")
    assert spans.select("min.date", "max.date").rows() == [
        (day(0), day(2)),
        (day(400), day(401)),
        (day(402), day(402)),
    ]
    assert rows(table.scan()) == before
    assert table.fold(CommitContext(), 2, tail=1) == table.fold(CommitContext(), 1, tail=1) - 1 == 0


def test_folding_a_short_partition_into_its_tail_loses_nothing(table: LakeTable) -> None:
    for number in range(1, 4):
        table.commit(ctx(number), bars("A", [number]))
    before = rows(table.scan())
    table.fold(CommitContext(), 1, tail=10)
    assert (len(files(table)), rows(table.scan())) == (1, before)


def test_a_folded_table_takes_corrections(table: LakeTable) -> None:
    for number in range(1, 4):
        table.commit(ctx(number), bars("AB", [number]))
    table.fold(CommitContext(), 1)
    table.commit(ctx(4), bars("C", [9]), bars("A", [2], close=50.0))
    assert closes(table)[("A", day(2))] == 50.0
    assert len(closes(table)) == 7


def test_a_table_without_partitions_can_be_folded(location: LakeLocation) -> None:
    table = LakeTable(location, UNIVERSE_MEMBERS)
    for number, symbol in enumerate("CAB", 1):
        row = {"universe": "u", "phase": "p", "symbol": symbol, "market": "us", "known_from": KNOWN}
        table.commit(ctx(number), pl.DataFrame([row], schema=dict(UNIVERSE_MEMBERS.schema)))
    assert table.fold(CommitContext(), 1) == 1
    assert table.scan().collect()["symbol"].to_list() == ["A", "B", "C"]
    assert len(files(table)) == 1


# ---------------------------------------------------------------------------------------------- interruptions, rivals


@dataclass(frozen=True)
class Interrupted(LakeLocation):
    """A place where something happens once, after the first new object was stored and before anything is committed."""

    happens: list[Callable[[], None]] = field(default_factory=list)

    def put_new(self, path: str, body: bytes) -> None:
        super().put_new(path, body)
        if self.happens:
            self.happens.pop()()


class Killed(BaseException):
    """The process ends here."""


def interrupted(location: LakeLocation, event: Callable[[], None]) -> LakeTable:
    place = Interrupted(location.url, location.store, location.options, happens=[event])
    return LakeTable(place, BARS_1D)


def test_a_kill_between_data_and_commit_changes_nothing(table: LakeTable, location: LakeLocation) -> None:
    table.commit(ctx(1), bars("AB", range(3)))
    before = rows(table.scan())

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        interrupted(location, kill).commit(ctx(2), bars("C", [0]), bars("A", [1], close=50.0))
    orphans = {str(p.relative_to(table.url)) for p in Path(table.url).rglob("*.parquet")} - files(table)
    assert len(orphans) == 1
    assert (table.version(), rows(table.scan())) == (1, before)
    assert table.commit(ctx(2), bars("C", [0]), bars("A", [1], close=50.0))
    assert closes(table)[("A", day(1))] == 50.0
    assert len(closes(table)) == 7


def rival_adds(rival: LakeTable) -> None:
    rival.commit(ctx(5), bars("R", [0]))


def rival_corrects_the_same_row(rival: LakeTable) -> None:
    rival.commit(ctx(5), BARS_1D.empty(), bars("A", [1], close=60.0))


def rival_corrects_another_row(rival: LakeTable) -> None:
    rival.commit(ctx(5), BARS_1D.empty(), bars("B", [1], close=60.0))


def rival_folds(rival: LakeTable) -> None:
    assert rival.fold(CommitContext(), 1) == 1


RIVALS = [rival_adds, rival_corrects_the_same_row, rival_corrects_another_row, rival_folds]
OURS: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {
    "new rows": (bars("N", [0]), BARS_1D.empty()),
    "a correction": (BARS_1D.empty(), bars("A", [1], close=50.0)),
    "both": (bars("N", [0]), bars("A", [1], close=50.0)),
}


@pytest.mark.parametrize("event", RIVALS)
@pytest.mark.parametrize(("new", "changed"), OURS.values(), ids=OURS)
def test_a_rival_between_our_data_and_our_commit_is_a_conflict_and_costs_no_row(
    table: LakeTable,
    location: LakeLocation,
    event: Callable[[LakeTable], None],
    new: pl.DataFrame,
    changed: pl.DataFrame,
) -> None:
    table.commit(ctx(1), bars("A", range(3)))
    table.commit(ctx(2), bars("B", range(3)))
    expected = closes(table)
    ours = interrupted(location, lambda: event(LakeTable(location, BARS_1D)))
    with pytest.raises(CommitConflict, match="another process has changed the table"):
        ours.commit(ctx(6), new, changed)
    expected |= {
        rival_adds: {("R", day(0)): 100.0},
        rival_corrects_the_same_row: {("A", day(1)): 60.0},
        rival_corrects_another_row: {("B", day(1)): 60.0},
        rival_folds: {},
    }[event]
    assert closes(table) == expected
    assert ours.commit(ctx(6), new, changed)  # all is read again
    for row in pl.concat([new, changed]).iter_rows(named=True):
        expected[(row["symbol"], row["date"])] = row["close"]
    assert (closes(table), table.committed_round()) == (expected, 6)


def test_a_rival_who_creates_the_table_first_is_a_conflict(table: LakeTable, location: LakeLocation) -> None:
    together = threading.Barrier(4)
    done: list[bool] = []
    failures: list[BaseException] = []

    def commit(number: int) -> None:
        mine = LakeTable(location, BARS_1D)
        together.wait()
        try:
            done.append(mine.commit(ctx(1), bars("A", [0]), read_at=None))
        except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=commit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(failure) for failure in failures] == [CommitConflict] * 3
    assert done == [True]
    assert closes(table) == {("A", day(0)): 100.0}


def test_commits_and_foldings_that_race_lose_and_double_nothing(table: LakeTable, location: LakeLocation) -> None:
    table.commit(ctx(1), bars("AB", [0]))
    failures: list[BaseException] = []
    finished = threading.Event()

    def fold() -> None:
        mine = LakeTable(location, BARS_1D)
        while not finished.is_set():
            try:
                mine.fold(CommitContext(), 1)
            except LakeError:
                continue  # somebody else was faster; the next folding takes it
            except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
                failures.append(error)
                return

    folding = threading.Thread(target=fold)
    folding.start()

    def commit(n: int) -> None:
        for _ in range(100):
            with contextlib.suppress(CommitConflict):
                assert table.commit(ctx(n), bars("AB", [n]), bars("A", [0], close=float(n)))
                return
        raise AssertionError("every commit was a conflict")

    for n in range(2, 8):
        commit(n)
    finished.set()
    folding.join()
    assert failures == []
    expected = {(s, day(n)): 100.0 for s in "AB" for n in (0, *range(2, 8))} | {("A", day(0)): 7.0}
    assert closes(table) == expected


# -------------------------------------------------------------------------------------------------------------- laws

step = st.tuples(
    st.sets(st.tuples(st.sampled_from("ABC"), st.sampled_from([0, 1, 2, 400])), max_size=5),
    st.booleans(),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(step, min_size=1, max_size=5))
def test_a_table_equals_a_dictionary_whatever_is_committed_and_folded(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[set[tuple[str, int]], bool]]
) -> None:
    table = LakeTable(open_location(str(tmp_path_factory.mktemp("lake"))), BARS_1D)
    model: dict[tuple[str, date], float] = {}
    for number, (keys, fold) in enumerate(steps, 1):
        said = {(symbol, day(n)): bars(symbol, [n], close=float(number)) for symbol, n in keys}
        new = pl.concat([BARS_1D.empty(), *(f for k, f in said.items() if k not in model)])
        changed = pl.concat([BARS_1D.empty(), *(f for k, f in said.items() if k in model)])
        assert table.commit(ctx(number), new, changed) == bool(said)
        model |= dict.fromkeys(said, float(number))
        if fold:
            table.fold(CommitContext(), 1, tail=1)
        assert closes(table) == model


def test_a_declared_table_is_complete() -> None:
    def complete(table: Table) -> bool:
        named = {*table.partitions, *table.key, *table.sort, *table.values, *table.relative_tolerance}
        return named <= set(table.schema)

    assert [name for name, table in TABLES.items() if not complete(table)] == []
