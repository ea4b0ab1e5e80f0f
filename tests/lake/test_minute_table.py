"""The table of minute bars: sessions, corrections, the compaction of a month, and what a kill in between leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantx.core.merge import merge
from quantx.core.table import Table
from quantx.core.tables import BARS_1M
from quantx.errors import LakeError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable
from quantx.pipeline.curating.derive import current_rows

OPEN = datetime(2024, 10, 1, 13, 30, tzinfo=UTC)
KNOWN = datetime(2024, 10, 20, tzinfo=UTC)
OCTOBER, SEPTEMBER = 202410, 202409
SMALL = replace(BARS_1M, rows_per_file=40)


def minutes(symbols: Iterable[str], days: Iterable[int], count: int = 10, **facts: Any) -> pl.DataFrame:
    """Bars of days in October 2024 (1 is the first), each with `count` minutes."""
    rows = [
        {"source": "vendor", "month": OCTOBER, "symbol": s, "date": date(2024, 10, d), "currency": "USD", "raw": "01R"}
        | {"time": OPEN + timedelta(days=d - 1, minutes=n), "volume": 100 + n, "regular": True, "known_from": KNOWN}
        | dict.fromkeys(("open", "high", "low", "close"), 100.0 + d + n / 100)
        | facts
        for s in symbols
        for d in days
        for n in range(count)
    ]
    return pl.DataFrame(rows, schema=dict(BARS_1M.schema))


def ctx(number: int) -> CommitContext:
    return CommitContext(number)


def rows(table: LakeTable) -> list[tuple[Any, ...]]:
    return table.read().sort(BARS_1M.key).rows()


def files(table: LakeTable) -> pl.DataFrame:
    delta = table.refresh()
    assert delta is not None
    found = pl.DataFrame(delta.get_add_actions(flatten=True))
    return found.select("path", "num_records", "min.symbol", "max.symbol", "min.date", "max.date").sort(
        "min.symbol", "min.date"
    )


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    return open_location(str(tmp_path / "lake"))


@pytest.fixture
def table(location: LakeLocation) -> LakeTable:
    return LakeTable(location, SMALL)


@pytest.fixture
def month(table: LakeTable) -> LakeTable:
    """Six sessions of nine symbols, a commit each."""
    for number, day in enumerate((1, 2, 3, 4, 7, 8), 1):
        table.commit(ctx(number), minutes("ABCDEFGHI", [day]))
    return table


# ------------------------------------------------------------------------------------------------------------ sessions


def test_a_session_becomes_files_apart_by_symbol(table: LakeTable) -> None:
    table.commit(ctx(1), minutes("IHGFEDCBA", [1]))
    found = files(table)
    assert found.select("num_records", "min.symbol", "max.symbol").rows() == [(50, "A", "E"), (40, "F", "I")]
    for path in found["path"]:
        assert path.startswith("source=vendor/month=202410/")
        stored = pl.read_parquet(f"{table.url}/{path}", hive_partitioning=False)
        assert stored.equals(stored.sort("symbol", "time"))


def test_a_fresh_session_looks_for_existing_rows_without_opening_a_file(month: LakeTable, tmp_path: Path) -> None:
    for path in files(month)["path"]:
        Path(f"{month.url}/{path}").unlink()
    assert current_rows(month, minutes("ABC", [9])).is_empty()
    with pytest.raises(LakeError, match="is missing; `quantx verify --repair` repairs it"):
        current_rows(month, minutes("ABC", [8]))


def test_the_same_session_again_changes_nothing(month: LakeTable) -> None:
    again = minutes("ABCDEFGHI", [8])
    compared = merge(current_rows(month, again), again, BARS_1M)
    assert (compared.new.height, compared.changed.height, compared.same) == (0, 0, 90)
    assert not month.commit(ctx(9), compared.new, compared.changed)


def test_a_correction_becomes_a_revision_and_rewrites_the_files_that_hold_it(
    month: LakeTable, location: LakeLocation
) -> None:
    before = set(files(month)["path"])
    told = KNOWN + timedelta(days=1)
    again = minutes("ABCDEFGHI", [8], known_from=told).with_columns(
        close=pl.when((pl.col("symbol") == "B") & (pl.col("volume") == 103)).then(1.0).otherwise("close")
    )
    compared = merge(current_rows(month, again), again, BARS_1M)
    revisions = LakeTable(location, SMALL.revisions)
    revisions.commit(ctx(9), compared.superseded)
    month.commit(ctx(9), compared.new, compared.changed)
    assert len(before - set(files(month)["path"])) == 1
    (old,) = revisions.read().to_dicts()
    assert (old["symbol"], old["close"], old["known_from"], old["known_to"]) == ("B", 108.03, KNOWN, told)
    assert old["month"] == OCTOBER
    assert month.read(pl.col("close") == 1.0).select("symbol", "known_from").rows() == [("B", told)]
    assert month.read().height == 6 * 90


def test_rows_of_two_months_are_looked_for_in_their_own_folders(table: LakeTable) -> None:
    late = minutes("A", [1])
    early = late.with_columns(
        pl.lit(SEPTEMBER, pl.Int32).alias("month"),
        pl.col("date").dt.offset_by("-1d"),
        pl.col("time").dt.offset_by("-1d"),
    )
    table.commit(ctx(1), pl.concat([early, late, minutes("B", [1])]))
    assert len(files(table)) == 2
    assert current_rows(table, pl.concat([early, late])).sort("time").equals(pl.concat([early, late]))
    assert current_rows(table, early).equals(early)


# ----------------------------------------------------------------------------------------------------------- compaction


def test_a_closed_month_is_put_together_by_symbol(month: LakeTable) -> None:
    before = rows(month)
    assert month.untidy_months(OCTOBER, 1) == [OCTOBER]
    assert month.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 12
    assert rows(month) == before
    found = files(month)
    assert found["num_records"].sum() == 540
    assert (found["max.symbol"][:-1] < found["min.symbol"][1:]).all()
    assert found["num_records"].max() <= 60  # a symbol's month is never cut
    for path in found["path"]:
        stored = pl.read_parquet(f"{month.url}/{path}", hive_partitioning=False)
        assert stored.equals(stored.sort("symbol", "time"))


def test_a_compacted_month_is_left_alone(month: LakeTable) -> None:
    month.compact(CommitContext(), OCTOBER, OCTOBER, 1)
    version = month.version()
    assert month.untidy_months(OCTOBER, 1) == []
    assert month.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 0
    assert month.version() == version


def test_compaction_does_not_count_as_a_round(month: LakeTable) -> None:
    month.compact(CommitContext(), OCTOBER, OCTOBER, 1)
    assert month.committed_round() == 6
    assert month.commit(ctx(7), minutes("A", [9]))


def test_late_rows_of_one_symbol_rewrite_its_file_and_no_other(month: LakeTable) -> None:
    month.compact(CommitContext(), OCTOBER, OCTOBER, 1)
    before = set(files(month)["path"])
    month.commit(ctx(7), minutes("E", [9]))
    assert month.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 2
    assert len(before - set(files(month)["path"])) == 1
    assert month.read(pl.col("symbol") == "E").height == 70


def test_an_open_month_keeps_its_sessions_apart(month: LakeTable) -> None:
    for number, symbols in enumerate(("ADG", "BEH", "CFI", "AJ"), 7):
        month.commit(ctx(number), minutes(symbols, [9 if symbols != "AJ" else 10]))
    before = rows(month)
    assert month.untidy_months(SEPTEMBER, 1) == [OCTOBER]
    assert month.compact(CommitContext(), OCTOBER, SEPTEMBER, 1) == 3
    assert rows(month) == before
    ninth = files(month).filter(pl.col("min.date") == date(2024, 10, 9))
    assert ninth["num_records"].sum() == 90
    assert ninth.height == 3
    assert (ninth["max.symbol"][:-1] < ninth["min.symbol"][1:]).all()
    assert (files(month)["min.date"] == files(month)["max.date"]).all()
    assert month.untidy_months(SEPTEMBER, 1) == []


def test_a_session_in_few_files_is_left_alone_for_now(month: LakeTable) -> None:
    for number, symbols in enumerate(("ABC", "ABD", "ABE"), 7):
        month.commit(ctx(number), minutes(symbols, [9]).filter(pl.col("volume") == 93 + number))
    assert month.untidy_months(SEPTEMBER, 4) == []
    assert month.untidy_months(SEPTEMBER, 2) == [OCTOBER]


def test_many_small_files_that_share_no_symbol_become_few(table: LakeTable) -> None:
    for number, symbol in enumerate("ABCDEFGHIJKL", 1):
        table.commit(ctx(number), minutes(symbol, [1]))
    assert table.compact(CommitContext(), OCTOBER, OCTOBER, 4) == 12
    assert files(table)["num_records"].to_list() == [40, 40, 40]


def test_files_that_all_hold_every_symbol_are_put_together_in_stretches(table: LakeTable) -> None:
    for number in range(1, 9):  # one row group each, so that their statistics do not tell where to cut
        table.commit(ctx(number), minutes("ABCDEFGHI", range(1, 5)).filter(pl.col("volume") == 100 + number))
    before = rows(table)
    assert table.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 8
    assert rows(table) == before
    assert files(table)["num_records"].to_list() == [32] * 9
    assert files(table)["min.symbol"].to_list() == list("ABCDEFGHI")


def test_sources_and_months_are_compacted_each_for_itself(table: LakeTable) -> None:
    for number, day in enumerate((1, 2), 1):
        other = minutes("AB", [day], source="other")
        november = minutes("AB", [day]).with_columns(
            pl.lit(202411, pl.Int32).alias("month"),
            pl.col("date").dt.offset_by("1mo"),
            pl.col("time").dt.offset_by("1mo"),
        )
        table.commit(ctx(number), pl.concat([minutes("AB", [day]), other, november]))
    before = rows(table)
    assert table.untidy_months(202411, 1) == [OCTOBER, 202411]
    assert table.compact(CommitContext(), OCTOBER, 202411, 1) == 4
    assert table.untidy_months(202411, 1) == [202411]
    assert rows(table) == before
    assert table.read(pl.col("source") == "other").height == 40


def test_a_correction_of_a_compacted_month_is_found(month: LakeTable) -> None:
    month.compact(CommitContext(), OCTOBER, OCTOBER, 1)
    changed = minutes("C", [3], count=1, close=1.0)
    month.commit(ctx(7), BARS_1M.empty(), changed)
    assert month.read(pl.col("close") == 1.0).equals(changed)
    assert month.read().height == 540


def test_a_month_that_somebody_else_corrects_meanwhile_stays_as_it_is(month: LakeTable, location: LakeLocation) -> None:
    @dataclass(frozen=True)
    class Busy(LakeLocation):
        rival: list[LakeTable] = field(default_factory=list)

        def put_new(self, path: str, body: bytes) -> None:
            super().put_new(path, body)
            if self.rival:
                self.rival.pop().commit(ctx(7), BARS_1M.empty(), minutes("A", [1], count=1, close=1.0))

    busy = Busy(location.url, location.store, location.options, rival=[LakeTable(location, SMALL)])
    with pytest.raises(LakeError, match="another process"):
        LakeTable(busy, SMALL).compact(CommitContext(), OCTOBER, OCTOBER, 1)
    assert month.read().height == 540
    assert month.read(pl.col("close") == 1.0).height == 1
    assert month.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 12


@pytest.mark.parametrize("damage", [b"", b"PAR1 no parquet PAR1", None])
def test_a_damaged_file_stops_the_compaction_and_nothing_is_lost(month: LakeTable, damage: bytes | None) -> None:
    path = Path(f"{month.url}/{files(month)['path'][0]}")
    body = path.read_bytes()
    path.unlink() if damage is None else path.write_bytes(damage)
    version = month.version()
    with pytest.raises(LakeError, match=r"damaged|missing|cannot read"):
        month.compact(CommitContext(), OCTOBER, OCTOBER, 1)
    assert month.version() == version
    path.write_bytes(body)
    assert month.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 12
    assert month.read().height == 540


_KILLED = """
import os, signal, sys
from dataclasses import dataclass, replace
from quantx.core.tables import BARS_1M
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable

class Deadly(LakeLocation):
    left = int(sys.argv[2])
    def put_new(self, path, body):
        super().put_new(path, body)
        Deadly.left -= 1
        if Deadly.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

found = open_location(sys.argv[1])
table = LakeTable(Deadly(found.url, found.store, found.delta_options), replace(BARS_1M, rows_per_file=40))
table.compact(CommitContext(), 202410, 202410, 1)
"""


@pytest.mark.parametrize("after", [1, 9])
def test_a_kill_in_the_middle_loses_and_doubles_nothing(month: LakeTable, location: LakeLocation, after: int) -> None:
    before, version = rows(month), month.version()
    folder = location.url.removeprefix("file://")
    killed = subprocess.run([sys.executable, "-c", _KILLED, folder, str(after)], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (month.version(), rows(month)) == (version, before)
    assert month.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 12
    assert rows(month) == before


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.tuples(st.sampled_from("ABCDEFGH"), st.integers(1, 4)), st.sampled_from([1.0, 2.0])),
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
)


@given(STEPS)
@settings(max_examples=20)
def test_a_table_equals_a_dictionary_whatever_is_committed_and_compacted(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[dict[tuple[str, int], float], bool, bool]]
) -> None:
    table = LakeTable(open_location(str(tmp_path_factory.mktemp("lake"))), replace(SMALL, rows_per_file=4))
    expected: dict[tuple[str, date], float] = {}
    for number, (closes, compact, closed) in enumerate(steps, 1):
        batch = pl.concat([BARS_1M.empty(), *(minutes(s, [d], count=1, close=c) for (s, d), c in closes.items())])
        is_new = pl.Series(
            [(s, d) not in expected for s, d in batch.select("symbol", "date").iter_rows()], dtype=pl.Boolean
        )
        table.commit(ctx(number), batch.filter(is_new), batch.filter(~is_new))
        expected |= {(s, d): c for s, d, c in batch.select("symbol", "date", "close").iter_rows()}
        through = OCTOBER if closed else SEPTEMBER
        for _ in range(4 if compact else 0):  # files of several sessions may become files of one
            table.compact(CommitContext(), OCTOBER, through, 1)
        assert not compact or table.untidy_months(through, 1) == []
    found = table.read()
    assert found.select(BARS_1M.key).is_unique().all()
    assert {(s, d): c for s, d, c in found.select("symbol", "date", "close").iter_rows()} == expected


def test_a_table_without_files_has_nothing_to_compact(table: LakeTable) -> None:
    assert table.untidy_months(OCTOBER, 1) == []
    assert table.compact(CommitContext(), OCTOBER, OCTOBER, 1) == 0
    assert table.version() is None


def test_the_revisions_have_no_folder_per_month() -> None:
    assert BARS_1M.revisions.partitions == ("source",)
    assert isinstance(BARS_1M.revisions, Table)


def test_one_symbol_of_a_compacted_month_is_read_from_its_file_alone(month: LakeTable) -> None:
    month.compact(CommitContext(), OCTOBER, OCTOBER, 1)
    for path in files(month).filter((pl.col("min.symbol") > "C") | (pl.col("max.symbol") < "C"))["path"]:
        Path(f"{month.url}/{path}").unlink()
    assert month.read(pl.col("symbol").is_in(["C"])).height == 60
