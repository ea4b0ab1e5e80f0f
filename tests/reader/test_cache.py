"""Decoded copies of files: the same rows as without them, whatever happens to the copies."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS, BARS_1D, TABLES
from quantx.errors import ConfigError, DamagedObject
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.reader import Lake
from quantx.reader.cache.folder import CacheFolder, cache_folder
from quantx.reader.selection import Selection
from quantx.reader.stored import LakeTables
from quantx.settings import load_settings

pytestmark = pytest.mark.filterwarnings("ignore::quantx.errors.IncompleteData")  # random days may have no bars

SYMBOLS = [f"S{number:02}" for number in range(30)]
DAYS = [date(2019, 12, 20) + timedelta(days=number) for number in range(400) if number % 7 < 5]
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def _bars(chance: random.Random, symbols: list[str], days: list[date], known: datetime) -> pl.DataFrame:
    rows = []
    for source in ("yahoo", "alpaca"):
        for symbol in symbols:
            for day in days:
                if chance.random() < 0.8:
                    close = round(chance.uniform(1, 500), 3)
                    volume = None if chance.random() < 0.02 else chance.randrange(10**7)
                    rows.append(
                        (source, day.year, symbol, day, close, close, close, close, volume, "USD", "raw", known)
                    )
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two vendors and two years in several files, with revisions, a split and dividends."""
    folder = tmp_path_factory.mktemp("cache") / "lake"
    chance = random.Random(1)
    tables = open_tables(open_location(str(folder)), TABLES)
    first = _bars(chance, SYMBOLS, DAYS[:-20], BEGIN)
    tables["bars_1d"].commit(CommitContext(1), first)
    tables["bars_1d"].commit(CommitContext(2), _bars(chance, SYMBOLS, DAYS[-20:], BEGIN + timedelta(days=1)))
    _revise(tables, first.sample(50, seed=1), 3)
    actions = [
        ("yahoo", "S03", DAYS[100], "split", 2.0, None, "USD", "raw", BEGIN),
        ("yahoo", "S03", DAYS[150], "dividend", 0.5, 100.0, "USD", "raw", BEGIN + timedelta(days=2)),
        ("yahoo", "S07", DAYS[30], "dividend", 0.25, 50.0, "USD", "raw", BEGIN),
    ]
    tables["actions"].commit(CommitContext(1), pl.DataFrame(actions, schema=dict(ACTIONS.schema), orient="row"))
    return folder


def _revise(tables: dict[str, LakeTable], rows: pl.DataFrame, number: int) -> None:
    now = pl.lit(BEGIN + timedelta(days=number)).cast(INSTANT)
    tables["bars_1d_revisions"].commit(CommitContext(number), rows.with_columns(now.alias("known_to")))
    changed = rows.with_columns(pl.col("close") + 1, now.alias("known_from"))
    tables["bars_1d"].commit(CommitContext(number), BARS_1D.empty(), changed)


@pytest.fixture
def folder(tmp_path: Path, built: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "copies", built.as_uri(), 10**9)


def _lake(built: Path, folder: CacheFolder | None, *, small: int = 0) -> Lake:
    """A lake that decodes files of up to `small` bytes in memory, and has copies of the others in the folder."""
    lake = Lake(open_location(str(built)), lambda timeframe, market: ("yahoo", "alpaca"), folder)
    lake._stored.decoded.small = small
    return lake


def _warm(built: Path, folder: CacheFolder) -> Lake:
    lake = _lake(built, folder)
    lake._stored.decoded.small = -1
    lake.warm()
    return lake


def _queries(seed: int, count: int) -> Iterator[Callable[[Lake], pl.DataFrame]]:
    """Yield random queries."""
    chance = random.Random(seed)
    for _ in range(count):
        asked = chance.sample(SYMBOLS, chance.choice([1, 1, 2, 5, 25]))
        start, end = sorted(chance.sample(DAYS, 2))
        values: dict[str, Any] = {
            "start": chance.choice([None, start, start - timedelta(days=1000)]),
            "end": chance.choice([None, end, start + timedelta(days=3)]),
            "source": chance.choice([None, "yahoo", "alpaca", "best"]),
            "adjust": chance.choice(["none", "split", "total"]),
            "as_of": chance.choice([None, None, BEGIN + timedelta(days=chance.randrange(5), hours=1)]),
            "columns": chance.choice([None, None, ["date", "symbol", "close"], ["volume", "raw", "adj_close"]]),
        }
        yield lambda lake, asked=asked, values=values: lake.bars(asked, **values)


def _same(lakes: list[Lake], seed: int, count: int = 40) -> None:
    for query in _queries(seed, count):
        frames = [query(lake) for lake in lakes]
        for frame in frames[1:]:
            assert_frame_equal(frame, frames[0], check_exact=True)


# ----------------------------------------------------------------------------------------------------------- equality


@pytest.mark.parametrize("few", [0, 4, 1_500])
def test_rows_are_those_of_a_plain_reading(
    built: Path, folder: CacheFolder, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days of up to `few` symbols are searched one by one; for more, all days of a file are compared."""
    for name in ("_FEW", "_FEW_OF_DAYS"):
        monkeypatch.setattr(f"quantx.reader.cache.assemble.{name}", few)
    plain = LakeTable(open_location(str(built)), BARS_1D).read()
    copied, chance = _warm(built, folder)._stored, random.Random(5)
    direct = _lake(built, None)._stored
    direct.decoded.small = -1
    for _ in range(60):
        first, last = sorted(chance.sample(DAYS, 2))
        selection = Selection(
            chance.choice([None, tuple(chance.sample(SYMBOLS, 3)), ("S01",)]),
            chance.choice([None, "alpaca"]),
            chance.choice([None, first]),
            chance.choice([None, last]),
            chance.choice([None, pl.col("close") > 100]),
        )
        wanted = plain.filter(selection.condition(BARS_1D)).sort("source", "symbol", "date")
        for tables in (copied, direct):
            got = tables.rows(BARS_1D, selection)
            assert_frame_equal(got.sort("source", "symbol", "date"), wanted, check_exact=True)
    assert not copied.decoded.background._reads, "every file had a copy"


def test_queries_are_equal_with_and_without_copies(built: Path, folder: CacheFolder) -> None:
    direct = _lake(built, None)
    direct._stored.decoded.small = -1
    _same([direct, _lake(built, None, small=10**9), _warm(built, folder)], seed=2, count=60)


def test_queries_see_commits_and_compaction(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "lake"
    subprocess.run(["cp", "-r", built, target], check=True)
    tables = open_tables(open_location(str(target)), TABLES)
    copied = _warm(target, CacheFolder(tmp_path / "copies", target.as_uri(), 10**9))
    chance, pinned = random.Random(3), _lake(target, None).pin()
    before = pinned.bars(SYMBOLS)
    for number in range(5, 9):
        _revise(tables, tables["bars_1d"].read().sample(20, seed=number), number)
        if number % 2:
            tables["bars_1d"].fold(CommitContext(), 1, tail=10)
        else:
            later = [DAYS[-1] + timedelta(days=number * 7)]
            tables["bars_1d"].commit(CommitContext(number + 100), _bars(chance, SYMBOLS, later, BEGIN))
        _same([_lake(target, None), copied], seed=number, count=15)
    assert_frame_equal(pinned.bars(SYMBOLS), before)
    assert pinned.bars(SYMBOLS).height < copied.bars(SYMBOLS).height
    pinned.unpin()
    assert_frame_equal(pinned.bars(SYMBOLS), copied.bars(SYMBOLS))


class Counting(LakeLocation):
    """A location that records which objects are looked for."""

    sought: ClassVar[list[str]] = []

    def has(self, path: str) -> bool:
        self.sought.append(path.split("/")[1])
        return super().has(path)


def test_a_query_checks_each_table_once_and_a_pinned_one_none(built: Path) -> None:
    location = open_location(str(built))
    lake = Lake(Counting(**{field.name: getattr(location, field.name) for field in fields(location)}))
    lake.panel("close", symbols=SYMBOLS, adjust="total")
    for query in (
        lambda: lake.panel("close", symbols=SYMBOLS, adjust="total"),
        lambda: lake.bars("S01"),
    ):
        Counting.sought.clear()
        query()
        assert sorted(Counting.sought) == ["actions", "bars_1d", "symbol_history"]
    Counting.sought.clear()
    with lake.in_one_state("a page"):
        lake.bars("S01")
        lake.bars("S02")
        lake.actions("S01")
    assert sorted(Counting.sought) == ["actions", "bars_1d", "symbol_history"]
    with lake.pin():
        Counting.sought.clear()
        lake.panel("close", symbols=SYMBOLS, adjust="total")
        lake.bars("S01")
        assert Counting.sought == []
    lake.bars("S01")
    assert len(Counting.sought) == 3


def test_a_round_between_two_reads_hides_no_row(built: Path, tmp_path: Path) -> None:
    """The row that the round replaces is still current in the first read, and a revision in the second."""
    target = tmp_path / "lake"
    subprocess.run(["cp", "-r", built, target], check=True)
    tables = open_tables(open_location(str(target)), TABLES)
    row = tables["bars_1d"].read(pl.col("symbol") == "S01").head(1)
    rounds = [20]

    class Interrupted(LakeTables):
        def rows(self, table: Table, *args: Any, **values: Any) -> pl.DataFrame:
            found = super().rows(table, *args, **values)
            if rounds:
                _revise(tables, row, rounds.pop())
            return found

    seen = Interrupted(open_location(str(target))).known_at(BARS_1D, Selection.of(["S01"]), BEGIN + timedelta(days=10))
    assert not rounds
    assert seen.join(row, on=list(row.columns), how="semi", nulls_equal=True).height == 1
    assert seen.select(BARS_1D.key).is_unique().all()


def test_a_query_keeps_its_versions_while_another_thread_reads_newer_ones(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "lake"
    subprocess.run(["cp", "-r", built, target], check=True)
    tables, lake = open_tables(open_location(str(target)), TABLES), _lake(target, None)
    chosen = Selection.of(["S01"])
    with lake._stored.one_state("query"):
        before = lake._stored.rows(BARS_1D, chosen)
        _revise(tables, before.head(3), 20)
        other = threading.Thread(target=lake.bars, args=("S01",))
        other.start()
        other.join()
        assert_frame_equal(lake._stored.rows(BARS_1D, chosen), before)
    assert not lake._stored.rows(BARS_1D, chosen).equals(before)


def test_threads_share_a_lake(built: Path, folder: CacheFolder) -> None:
    copied, direct = _warm(built, folder), _lake(built, None)
    wanted = [query(direct) for query in _queries(7, 20)]
    wrong: list[str] = []

    def read() -> None:
        for query, frame in zip(_queries(7, 20), wanted, strict=True):
            if not query(copied).equals(frame):
                wrong.append("differs")

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ------------------------------------------------------------------------------------------------------------- damage


def test_a_damaged_copy_never_gives_a_wrong_row(built: Path, folder: CacheFolder) -> None:
    opened = _warm(built, folder)
    opened.bars(SYMBOLS)
    chance = random.Random(6)
    wanted = {seed: [query(_lake(built, None)) for query in _queries(seed, 3)] for seed in range(5)}
    for _ in range(24):
        if not folder.copies():
            _warm(built, folder)
        path = chance.choice(folder.copies()).path
        body = bytearray(path.read_bytes() or b"empty")
        path.chmod(0o644)
        match chance.randrange(4):
            case 0:
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            case 1:
                del body[chance.randrange(len(body)) :]
            case 2:
                at = chance.randrange(len(body))
                body[at : at + 4096] = bytes(len(body[at : at + 4096]))
            case _:
                body = bytearray()
        path.write_bytes(body)  # in place: processes have it mapped
        seed = chance.randrange(5)
        for query, frame in zip(_queries(seed, 3), wanted[seed], strict=True):
            assert query(opened).equals(frame)
            assert query(_lake(built, folder)).equals(frame)


def test_a_damaged_copy_that_can_not_be_removed_is_not_used(built: Path, folder: CacheFolder) -> None:
    _warm(built, folder)
    for copy in folder.copies():
        copy.path.chmod(0o644)
        copy.path.write_bytes(copy.path.read_bytes()[:-1])

    class ReadOnly(CacheFolder):
        def remove(self, path: Path) -> None:
            """Do nothing, as without the right to delete."""

    _same([_lake(built, None), _lake(built, ReadOnly(folder.root, built.as_uri(), 10**9))], seed=8, count=5)


def test_a_damaged_file_of_the_lake_is_named_and_gets_no_copy(built: Path, tmp_path: Path) -> None:
    target = tmp_path / "lake"
    subprocess.run(["cp", "-r", built, target], check=True)
    file = next((target / "curated" / "bars_1d").rglob("*.parquet"))
    body = bytearray(file.read_bytes())
    body[len(body) // 2] ^= 1
    file.write_bytes(body)
    folder = CacheFolder(tmp_path / "copies", target.as_uri(), 10**9)
    with pytest.raises(DamagedObject, match=file.name):
        _warm(target, folder)
    with pytest.raises(DamagedObject, match=file.name):
        _lake(target, None, small=10**9).bars(SYMBOLS)


def test_a_copy_of_another_file_is_refused(built: Path, folder: CacheFolder) -> None:
    _warm(built, folder)
    one, other = (copy.path for copy in folder.copies()[:2])
    other.replace(one)
    _same([_lake(built, None), _lake(built, folder)], seed=9, count=20)


# ------------------------------------------------------------------------------------------------------------- folder


@pytest.mark.parametrize("kind", ["a file", "no space", "no room"])
def test_without_a_usable_folder_queries_read_the_lake(
    built: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    root, most = tmp_path / "copies", 10**9
    if kind == "a file":
        root.write_text("")
    if kind == "no room":
        most = 10
    folder = CacheFolder(root, built.as_uri(), most)
    if kind == "no space":
        root.mkdir()
        root = Path("/dev/full")
        folder.store = lambda path, body: bool(root.write_bytes(body))  # type: ignore[method-assign]
    lake = _lake(built, folder, small=-1)
    _same([_lake(built, None), lake], seed=10, count=6)
    assert lake._stored.decoded.background.wait(30)
    result = lake.warm()
    assert result.written == 0
    assert result.without_room == result.files > 0
    warned = [record.getMessage() for record in caplog.records if record.name == "quantx.cache"]
    assert ["is not usable" in message for message in warned] == ([True] if kind != "no room" else [])


def test_copies_are_written_in_the_background_for_what_is_read_twice(built: Path, folder: CacheFolder) -> None:
    lake = _lake(built, folder, small=-1)
    background = lake._stored.decoded.background
    lake.bars("S01", columns=["close"])
    assert background.wait(10)
    assert not folder.copies()
    frame = lake.bars("S01", columns=["close"])
    assert background.wait(30)
    assert {copy.table for copy in folder.copies()} == {"bars_1d"}
    for file in (built / "curated" / "bars_1d").rglob("*.parquet"):
        assert file.exists()
    assert_frame_equal(lake.bars("S01", columns=["close"]), frame)
    background.stop()


def test_the_least_recently_used_copy_goes_first(built: Path, tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path / "copies", built.as_uri(), 10**9)
    _warm(built, folder)
    copies = folder.copies()
    body = copies[0].path.read_bytes()
    for age, copy in enumerate(copies):
        used = time.time() - 3600 * (age + 1)
        os.utime(copy.path, (used, used))
    oldest, newest = folder.copies()[0], folder.copies()[-1]
    limited = CacheFolder(folder.root, built.as_uri(), sum(copy.size for copy in copies))
    assert limited.store(folder.root / folder.lake / "bars_1d" / "another.rows", body)
    assert not oldest.path.exists()
    assert newest.path.exists()
    for copy in folder.copies():  # all are in use: none is removed for another one
        os.utime(copy.path)
    kept = [copy.path for copy in folder.copies()]
    assert not limited.store(folder.root / folder.lake / "bars_1d" / "one_more.rows", body)
    assert [copy.path for copy in folder.copies()] == kept


def test_what_a_killed_process_left_is_ignored_and_removed(built: Path, folder: CacheFolder) -> None:
    _warm(built, folder)
    left = folder.copies()[0].path.with_name(".dead.1.2.part")
    left.write_bytes(b"half")
    before = len(folder.copies())
    _same([_lake(built, None), _lake(built, folder)], seed=11, count=3)
    os.utime(left, (0, 0))
    folder.store(folder.copies()[0].path, folder.copies()[0].path.read_bytes())
    assert not left.exists()
    assert len(folder.copies()) == before


@pytest.mark.slow
def test_processes_fill_one_folder_at_once(built: Path, folder: CacheFolder) -> None:
    code = (
        "import sys; from quantx import open_lake; lake = open_lake(sys.argv[1]); lake._stored.decoded.small = -1;"
        "lake.warm(); print(lake.bars('S01', source='yahoo')['close'].sum())"
    )
    environment = {**os.environ, "QUANTX_CACHE_SIZE": "1GB", "QUANTX_CACHE_DIR": str(folder.root)}
    command = [sys.executable, "-c", code, str(built)]
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = {process.communicate(timeout=120)[0].strip() for process in running}
    assert printed == {str(_lake(built, None).bars("S01", source="yahoo")["close"].sum())}
    assert not list(folder.root.rglob("*.part"))


# ----------------------------------------------------------------------------------------------------------- settings


def test_the_settings_choose_folder_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_CACHE_SIZE", "2GB")
    monkeypatch.setenv("QUANTX_CACHE_DIR", str(tmp_path))
    folder = cache_folder(load_settings(), "file:///lake")
    assert folder is not None
    assert (folder.root, folder.most) == (tmp_path, 2 * 10**9)
    monkeypatch.setenv("QUANTX_CACHE_SIZE", "0")
    assert cache_folder(load_settings(), "file:///lake") is None
    monkeypatch.setenv("QUANTX_CACHE_SIZE", "many")
    with pytest.raises(ConfigError, match="cache_size"):
        load_settings()
    monkeypatch.delenv("QUANTX_CACHE_DIR")
    monkeypatch.setenv("QUANTX_CACHE_SIZE", "1GB")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    found = cache_folder(load_settings(), "file:///lake")
    assert found is not None
    if sys.platform == "linux":
        assert found.root == tmp_path / "xdg" / "quantx"


def test_warm_needs_a_cache(built: Path) -> None:
    with pytest.raises(ConfigError, match="QUANTX_CACHE_SIZE"):
        _lake(built, None).warm()


def test_every_table_can_be_read_empty(built: Path) -> None:
    tables = LakeTables(open_location(str(built)))
    for table in TABLES.values():
        assert tables.rows(table).schema == dict(table.schema)
