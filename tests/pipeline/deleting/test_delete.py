"""Deleted data is in no byte of lake, raw zone and database any more, and does not return; the rest stays as it was."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from quantx.core.model import Finding, Series, Window
from quantx.core.tables import TABLES, VERDICTS
from quantx.core.tombstones import SymbolDays, Tombstone
from quantx.errors import Busy, ConfigError, LakeError
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation
from quantx.lake.table import open_tables
from quantx.lake.tombstones import deleted_of, lift_tombstone, pending_of, read_tombstones
from quantx.pipeline.deleting.delete import Deletion
from quantx.pipeline.deleting.survey import survey
from quantx.pipeline.inspecting.heal import heal_gaps
from quantx.pipeline.wiring import deleter_of, verifier_of
from quantx.reader.lake import open_lake

from ..conftest import Desk, Dies, reprocess

VOLUME, PRICE = "918273645", "4217.375"  # of AAA; no other symbol has them
ODD = date(2024, 1, 5)


def stone(**facts: Any) -> Tombstone:
    at = {"id": "01M8QE8WHHFGRR9CTHKVCS0CP1", "source": "tape", "by": "eve", "reason": "the licence ended"}
    return Tombstone(**{**at, "symbols": (SymbolDays("AAA"),), "requested": ("AAA",), **facts})


def delete(desk: Desk, **facts: Any) -> Deletion:
    return deleter_of(desk.platform).delete(stone(at=desk.clock.now(), **facts))


@pytest.fixture
def traded(desk: Desk) -> Desk:
    """AAA and BBB: rows, a revision, a rejected row, an event, a finding, a snapshot; CCC is planned."""
    bars = desk.tape.shows["AAA"]
    bars[ODD] = (4217.375, 4218.0, 4216.0, 4217.5, 918273645.0)
    bars[date(2024, 1, 9)] = (4217.375, 90.0, 120.0, 110.0, 918273645.0)  # its high is below its low
    desk.tape.pays["AAA"] = [(date(2024, 1, 8), "dividend", 4217.375, None)]
    desk.work(desk.backfill("AAA", "BBB"))
    bars[ODD] = (4217.375, 4219.0, 4216.0, 4217.5, 918273645.0)
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB", lookback=7))
    text = f"alpaca has a close of 101, tape has {PRICE}"
    desk.platform.state.findings.note(
        [Finding("bars_disagree", "warn", "AAA", text, source="alpaca", dataset="bars", first_day=ODD)]
    )
    quote = {"symbol": "AAA", "date": ODD, "source": "alpaca", "against": "fmp,tape", "other_value": 4217.375}
    facts = quote | {"verdict": "doubtful", "rule": "vendors_disagree", "known_from": desk.clock.now()}
    verdicts = pl.DataFrame([facts], schema=dict(VERDICTS.schema))
    desk.platform.tables[VERDICTS.name].commit(CommitContext(), verdicts)
    open_lake(desk.platform.settings.lake_url).snapshot("paper")
    desk.backfill("AAA", "CCC", start="2023-06-01", end="2023-06-30")
    return desk


def texts(desk: Desk) -> Iterator[tuple[str, bytes]]:
    """Yield each object of the lake as bytes, each value and statistic in it, and each row of the database."""
    root = Path(desk.platform.location.url.removeprefix("file://"))
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        body = path.read_bytes()
        yield str(path), body
        if body[:4] == b"PAR1":
            for column in pq.read_table(io.BytesIO(body)).columns:
                for value in column.to_pylist():
                    yield str(path), value if isinstance(value, bytes) else str(value).encode()
    for row in desk.sql("select relname from pg_class where relnamespace = 'quantx'::regnamespace and relkind = 'r'"):
        for each in desk.sql(f"select to_jsonb(t)::text as text from {row['relname']} t"):
            yield row["relname"], each["text"].encode()


def places(desk: Desk, *needles: str) -> set[str]:
    return {place for place, text in texts(desk) if any(needle.encode() in text for needle in needles)}


def rows(desk: Desk, symbol: str) -> dict[str, list[Any]]:
    """Return the rows about a symbol, of each table that has one."""
    found = {}
    for name, table in TABLES.items():
        column = "symbol" if "symbol" in table.schema else "subject"
        if column in table.schema and (kept := desk.rows(name).filter(pl.col(column) == symbol)).height:
            found[name] = kept.sort(pl.all()).rows()
    return found


def test_no_byte_is_left_and_the_other_symbol_keeps_every_row(traded: Desk) -> None:
    before = rows(traded, "BBB")
    found = places(traded, VOLUME, PRICE)
    assert len(found) >= 9
    assert {"hot_bars", "findings"} <= found

    done = delete(traded)

    assert done.complete
    assert (done.rows["bars_1d"], done.rows["bars_1d_revisions"], done.snapshots) == (9, 1, {"paper"})
    assert (done.raw_removed, done.raw_replaced) == (2, 2)
    assert places(traded, VOLUME, PRICE) == set()
    assert rows(traded, "BBB") == before
    assert not {"bars_1d", "actions", "quarantine"} & rows(traded, "AAA").keys()
    pinned = open_lake(traded.platform.settings.lake_url).snapshot("paper")
    assert pinned.bars(["BBB"]).height == len(before["bars_1d"])
    assert verifier_of(traded.platform).verify().damages == []


def test_what_is_deleted_is_not_derived_healed_or_fetched_again_until_it_is_lifted(traded: Desk) -> None:
    delete(traded)
    versions = traded.versions()
    assert reprocess(traded.platform).commits == 0
    assert heal_gaps(traded.platform, traded.platform.tables).tasks == ()
    traded.work()  # CCC's task is left, AAA's is stopped
    assert (traded.task("AAA")["state"], traded.task("AAA")["error_class"]) == ("failed", "Deleted")
    assert traded.platform.state.tasks.dead() == 0
    assert traded.task("CCC")["state"] == "done"
    with pytest.raises(ConfigError, match=r"01M8QE8WHHFGRR9CTHKVCS0CP1\) was deleted for good"):
        traded.backfill("AAA")
    plan = traded.backfill("AAA", "BBB", "DDD")
    assert [each.symbol for each in plan.unserved] == ["AAA"]
    assert [row["symbol"] for row in traded.sql("select symbol from tasks where run_id = %s", plan.run_id)] == ["DDD"]
    traded.work(plan)
    assert places(traded, VOLUME, PRICE) == set()
    assert traded.versions()["actions"] == versions["actions"]

    (only,) = read_tombstones(traded.platform.location)
    lift_tombstone(traded.platform.location, only, by="eve", reason="renewed", at=traded.clock.now())
    traded.work(traded.backfill("AAA"))
    assert "bars_1d" in rows(traded, "AAA")


def test_a_survey_counts_and_changes_nothing(traded: Desk) -> None:
    platform, deleter = traded.platform, deleter_of(traded.platform)
    before = traded.versions(), set(platform.location.paths(""))
    parts = {"location": platform.location, "tables": platform.tables, "raw": deleter.raw}
    more = {"deletions": platform.state.deletions, "settings": platform.settings, "now": traded.clock.now()}
    found = survey(stone(at=traded.clock.now()), **parts, **more)  # type: ignore[arg-type]
    assert (found.tables["bars_1d"], found.raw_objects, found.rewritten) == (9, 2, 2)
    assert (found.state["series"], found.state["findings"]) == (1, 1)
    assert (traded.versions(), set(platform.location.paths(""))) == before


@dataclass(frozen=True)
class DyingPlace(LakeLocation):
    """A lake at whose n-th change the process dies."""

    def count(self) -> None:
        self.options["left"] = str(int(self.options["left"]) - 1)
        if int(self.options["left"]) < 0:
            raise Dies

    @property
    def delta_options(self) -> dict[str, str]:
        return {}

    def put(self, path: str, body: bytes) -> None:
        self.count()
        super().put(path, body)

    def create(self, path: str, body: bytes) -> bool:
        self.count()
        return super().create(path, body)

    def delete(self, paths: list[str]) -> None:
        self.count()
        super().delete(paths)


def test_a_deletion_that_dies_at_any_change_is_ended_by_the_next(traded: Desk) -> None:
    before, deaths, survived = rows(traded, "BBB"), 0, False
    while not survived:
        known = {f.name: getattr(traded.platform.location, f.name) for f in fields(LakeLocation)}
        dying = DyingPlace(**{**known, "options": {"left": str(3 + deaths)}})
        deleter = deleter_of(traded.with_(location=dying, tables=open_tables(dying, TABLES)))
        try:
            if read_tombstones(traded.platform.location):
                deleter.resume()
            else:
                deleter.delete(stone(at=traded.clock.now()))
            survived = True
        except Dies:
            deaths += 1
    assert deaths > 5
    assert read_tombstones(traded.platform.location)[0].done
    assert places(traded, VOLUME, PRICE) == set()
    assert rows(traded, "BBB") == before
    assert verifier_of(traded.platform).verify().damages == []


def test_all_of_a_vendor(traded: Desk) -> None:
    traded.platform.location.put("inbox/tape/AAA.csv", VOLUME.encode())
    traded.platform.location.put("inbox/tapes/AAA.csv", b"of another source")
    done = delete(traded, symbols=None, requested=())
    assert done.complete
    assert [path for path in traded.platform.location.paths("raw") if path.endswith(".parquet")] == []
    assert all(traded.rows(name).is_empty() for name in ("bars_1d", "actions", "quarantine", "bars_1d_revisions"))
    assert traded.sql("select path from raw_objects") == []
    assert traded.platform.location.paths("inbox") == ["inbox/tapes/AAA.csv"]
    assert reprocess(traded.platform).commits == 0


def test_days_before_a_day_go_and_later_rows_stay_without_their_reply(traded: Desk) -> None:
    later = traded.rows().filter(pl.col("date") >= date(2024, 1, 10)).rows()
    delete(traded, symbols=None, requested=(), before=date(2024, 1, 10))
    assert traded.rows().rows() == later
    assert places(traded, VOLUME, PRICE) == set()
    summary = reprocess(traded.platform)
    assert (summary.commits, summary.left) == (0, {})  # no reply is left from which they could be derived
    assert traded.series("BBB")["covered"].startswith("{[2024-01-10,")
    plan = traded.backfill("BBB", start="2023-12-01", end="2024-01-12")
    assert plan.task_ids == ()  # what is left of the window was fetched


def test_a_reply_that_lands_after_all_has_no_rows_and_its_bytes_go_with_the_next_try(traded: Desk) -> None:
    """A worker that had fetched when the tombstone was written stores its reply; the task was planned before."""
    delete(traded)
    series, window = Series("tape", "bars", "1d", "AAA"), Window(date(2024, 1, 2), date(2024, 1, 12))
    traded.sql(
        "insert into runs (id, kind, source, request) values ('R', 'manual', 'tape', '{}');"
        "insert into tasks (run_id, kind, source, dataset, timeframe, symbol, window_start, window_end)"
        " values ('R', 'manual', 'tape', 'bars', '1d', 'AAA', '2024-01-02', '2024-01-12');"
    )
    assert deleted_of(traded.platform.location).left(series, window) is None
    from quantx.state.tasks.port import Plan

    traded.work(Plan("R", (traded.task("AAA")["id"],), 0))
    assert not {"bars_1d", "actions", "quarantine"} & rows(traded, "AAA").keys()
    assert places(traded, VOLUME) != set()
    assert [each.complete for each in deleter_of(traded.platform).resume()] == [True]
    assert places(traded, VOLUME, PRICE) == set()


def test_a_worker_that_holds_a_task_can_not_land_it_and_the_deletion_is_tried_again_after_its_lease(
    traded: Desk,
) -> None:
    plan = traded.backfill("AAA", start="2023-03-01", end="2023-03-31")
    claim = traded.platform.state.tasks.claim(plan.task_ids, "another", 60.0, 1)
    done = delete(traded)
    assert not done.complete
    assert done.again_after is not None
    assert not traded.platform.state.tasks.extend(claim.held, 60.0)
    traded.clock.at = done.again_after + timedelta(seconds=1)
    assert [each.complete for each in deleter_of(traded.platform).resume()] == [True]


def test_where_another_process_works_nothing_is_deleted(traded: Desk) -> None:
    with traded.platform.state.exclusive("curator"), pytest.raises(Busy, match="nothing was deleted"):
        delete(traded)
    assert read_tombstones(traded.platform.location) == []


class Retained(LakeLocation):
    """A lake whose store refuses to delete raw objects."""

    def remove(self, path: str) -> None:
        raise LakeError("the object is under a retention policy (BlobImmutableDueToPolicy)")


def test_raw_objects_under_a_retention_policy_wait_and_belong_to_no_backup(traded: Desk) -> None:
    known = {f.name: getattr(traded.platform.location, f.name) for f in fields(LakeLocation)}
    settings = traded.platform.settings.model_copy(update={"raw_retention_days": 365})
    done = deleter_of(traded.with_(location=Retained(**known), settings=settings)).delete(stone(at=traded.clock.now()))
    assert not done.complete
    assert len(done.pending) == 2
    assert all("BlobImmutableDueToPolicy" in each["why"] and each["until"] for each in done.pending.values())
    (only,) = read_tombstones(traded.platform.location)
    assert pending_of(traded.platform.location, only).keys() == done.pending.keys()
    assert places(traded, VOLUME) == {f"{traded.platform.settings.lake_url}/{path}" for path in done.pending}
    assert reprocess(traded.platform).commits == 0
    assert [each.complete for each in deleter_of(traded.platform).resume()] == [True]
    assert places(traded, VOLUME, PRICE) == set()
