"""The provenance of frames, and named snapshots of all tables."""

from __future__ import annotations

import gc
import json
import os
import pickle
import time
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

import quantx
from quantx.core.tables import BARS_1D, TABLES
from quantx.errors import ConfigError, DamagedObject, LakeError, NoProvenance, NotInLake
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.reader import Lake, open_lake
from quantx.reader.provenance import FRAMES

DAYS = (date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4))
KNOWN = datetime(2024, 1, 10, tzinfo=UTC)

# ----------------------------------------------------------------------------------------------------------- provenance


def test_its_arguments_are_those_of_the_call(lake: Lake) -> None:
    symbols = ["AAA"]
    frame = lake.bars(symbols)
    symbols.append("BBB")
    assert quantx.provenance(frame).arguments["symbols"] == ["AAA"]
    of_generator = lake.bars(symbol for symbol in symbols)  # type: ignore[arg-type]
    assert "generator" in quantx.provenance(of_generator).as_facts()["arguments"]["symbols"]


def test_a_frame_has_the_provenance_of_its_query(lake: Lake) -> None:
    before = datetime.now(UTC)
    frame = lake.bars("AAA", "2024-01-02", adjust="total", as_of="2024-01-12", base="2024-01-04")
    found = quantx.provenance(frame)
    assert (found.lake, found.query, found.snapshot) == (lake.url, "bars", None)
    assert (found.adjustment, found.as_of, found.base, found.public_by) == ("total", "2024-01-12", "2024-01-04", None)
    assert found.sources == ("yahoo",)
    assert found.arguments["symbols"] == "AAA"
    assert found.arguments["timeframe"] == "1d"  # also those that were not given
    versions = {row["table"]: row["version"] for row in lake.tables().iter_rows(named=True)}
    assert found.tables == {name: versions[name] for name in ("actions", "bars_1d", "bars_1d_revisions")}
    assert before <= found.queried_at <= datetime.now(UTC)
    assert json.loads(json.dumps(found.as_facts(), default=str))["program"] == found.program


def test_each_query_has_its_own(lake: Lake) -> None:
    panel, actions, members = lake.panel("close", symbols=["AAA", "BBB"]), lake.actions("AAA"), lake.universe("us")
    assert quantx.provenance(panel).query == "panel"
    assert quantx.provenance(panel).sources == ("alpaca", "yahoo")  # no column has them: those of the files
    assert quantx.provenance(actions).query == "actions"
    assert quantx.provenance(members).tables.keys() == {"universe_members"}
    assert quantx.provenance(lake.revisions("AAA")).sources == ("yahoo",)
    covered = quantx.provenance(lake.coverage(until="2024-01-04"))
    assert {"bars_1d", "universe_members"} <= covered.tables.keys()


def test_other_frames_have_none_rather_than_a_wrong_one(lake: Lake) -> None:
    frame = lake.bars("AAA")
    for other in (
        frame.clone(),
        frame.filter(pl.col("close") > 0),
        frame.select(pl.all()),
        frame.head(3),
        pickle.loads(pickle.dumps(frame)),  # noqa: S301 – its own
        frame.to_pandas(),
        pl.DataFrame({"close": [1.0]}),
        None,
    ):
        with pytest.raises(NoProvenance, match="it is a copy or was derived from one"):
            quantx.provenance(other)
    assert quantx.provenance(frame).query == "bars"


def test_a_frame_that_was_changed_in_place_has_none(lake: Lake) -> None:
    frame = lake.bars("AAA")
    frame[0, "close"] = 1.0
    with pytest.raises(NoProvenance, match="was changed after the query returned it"):
        quantx.provenance(frame)
    renamed = lake.bars("AAA")
    renamed.columns = [name.upper() for name in renamed.columns]
    with pytest.raises(NoProvenance, match="was changed"):
        quantx.provenance(renamed)


def test_provenance_keeps_no_frame_alive(lake: Lake) -> None:
    frames = [lake.bars("AAA") for _ in range(20)]
    known = len(FRAMES._known)
    del frames
    gc.collect()
    assert len(FRAMES._known) <= known - 20


# ------------------------------------------------------------------------------------------------------------ snapshots


def bars(closes: dict[date, float], symbol: str = "AAA") -> pl.DataFrame:
    rows = [("yahoo", d.year, symbol, d, c, c, c, c, 1, "USD", "r", KNOWN) for d, c in closes.items()]
    return pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row")


@pytest.fixture
def growing(tmp_path: Path) -> tuple[Path, LakeTable]:
    """A lake with three bars in a file each."""
    table = open_tables(open_location(str(tmp_path / "lake")), TABLES)["bars_1d"]
    for n, day in enumerate(DAYS):
        table.commit(CommitContext(), bars({day: 100.0 + n}))
    return tmp_path / "lake", table


def closes(lake: Lake) -> list[float]:
    return lake.bars("AAA")["close"].to_list()


def replace_long_ago(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Correct a bar and compact the table nine days ago: its files were replaced for longer than it keeps them."""
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now - 9 * 86_400)
        table.commit(CommitContext(), bars({date(2024, 1, 5): 103.0}), bars({DAYS[0]: 50.0}))
        table.fold(CommitContext(), 1)
    for n in range(2):
        table.commit(CommitContext(), bars({date(2023, 1, 3 + n): 1.0}, "OLD"))
    table.fold(CommitContext(), 1)  # deletes what was replaced nine days ago


def test_a_snapshot_reads_the_versions_of_its_creation(growing: tuple[Path, LakeTable]) -> None:
    folder, table = growing
    lake = open_lake(folder)
    paper = lake.snapshot("paper-2026")
    table.commit(CommitContext(), bars({date(2024, 1, 5): 103.0}), bars({DAYS[0]: 50.0}))
    assert closes(lake) == [50.0, 101.0, 102.0, 103.0]
    assert closes(paper) == closes(open_lake(folder).snapshot("paper-2026", create=False)) == [100.0, 101.0, 102.0]
    assert closes(pickle.loads(pickle.dumps(paper))) == [100.0, 101.0, 102.0]  # noqa: S301 – its own
    assert paper.scan("bars_1d").filter(pl.col("date") > DAYS[0]).collect().height == 2
    assert paper.symbols()["bars"].to_list() == [3]
    assert paper.sql("select sum(close) from bars_1d").item() == 303.0
    assert paper.tables()["version"].to_list() == [3]
    provenance = quantx.provenance(paper.bars("AAA"))
    assert (provenance.snapshot, provenance.tables["bars_1d"]) == ("paper-2026", 3)
    (row,) = lake.snapshots().to_dicts()
    assert (row["name"], row["tables"], row["rows"], row["files"]) == ("paper-2026", 1, 3, 3)


def test_its_files_are_kept_until_it_is_dropped(
    growing: tuple[Path, LakeTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = growing
    lake = open_lake(folder)
    paper, other = lake.snapshot("paper"), lake.snapshot("other")
    files = set((folder / "curated/bars_1d").rglob("*.parquet"))
    replace_long_ago(table, monkeypatch)
    assert all(file.exists() for file in files)
    DeltaTable(str(folder / "curated/bars_1d")).create_checkpoint()
    for number in range(4):  # as what cleans the log up does
        (folder / f"curated/bars_1d/_delta_log/{number:020}.json").unlink()
    assert closes(open_lake(folder).snapshot("paper")) == closes(paper) == [100.0, 101.0, 102.0]

    for file in files:
        os.utime(file, (time.time() - 9 * 86_400,) * 2)
    assert lake.drop_snapshot("paper") == 0  # the other one has the same files
    assert closes(other) == [100.0, 101.0, 102.0]
    assert lake.drop_snapshot("other") == 3
    assert not any(file.exists() for file in files)
    assert closes(lake) == [50.0, 101.0, 102.0, 103.0]
    assert lake.snapshots().is_empty()


def test_without_a_snapshot_replaced_files_are_deleted(
    growing: tuple[Path, LakeTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = growing
    files = set((folder / "curated/bars_1d").rglob("*.parquet"))
    replace_long_ago(table, monkeypatch)
    assert not any(file.exists() for file in files)


def test_wrong_names_and_rights(growing: tuple[Path, LakeTable], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = growing
    lake = open_lake(folder)
    with pytest.raises(NotInLake, match="no snapshot 'papers'; there is none yet"):
        lake.snapshot("papers", create=False)
    paper = lake.snapshot("paper")
    with pytest.raises(NotInLake, match=r"no snapshot 'papers' \(did you mean paper\?\); there are paper"):
        lake.drop_snapshot("papers")
    for name in ("../paper", "", "a b", "x" * 65):
        with pytest.raises(ConfigError, match="is no name of a snapshot"):
            lake.snapshot(name)
    with pytest.raises(ConfigError, match="this lake is the snapshot 'paper'"):
        paper.snapshot("second")
    (folder / "meta/snapshots-of-tables/broken.json").write_text("{")
    with pytest.raises(DamagedObject, match="quantx snapshot drop broken"):
        lake.snapshots()
    assert lake.drop_snapshot("broken") == 0

    class ReadOnly:
        """A store whose identity may only read."""

        def __init__(self, real: object) -> None:
            self._real = real

        def __getattr__(self, name: str) -> object:
            return getattr(self._real, name)

        def create(self, path: str, body: bytes) -> bool:
            raise LakeError(f"cannot write {path}: refused")

    reading = Lake(ReadOnly(open_location(str(folder))))  # type: ignore[arg-type]
    assert closes(reading.snapshot("paper")) == [100.0, 101.0, 102.0]
    with pytest.raises(LakeError, match=r"snapshot 'mine' was not created: .* it needs the right to write to file:"):
        reading.snapshot("mine")
