"""Verification names what is damaged and what depends on it; repairs bring back what the raw zone has."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from quantx.core.quality.operational_rules import DAMAGED_OBJECT, DOUBLED_KEYS
from quantx.core.tables import BARS_1D, TABLES
from quantx.errors import Busy
from quantx.lake.file_changes import AddedFile
from quantx.lake.log import entry_path, writing_entry
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import list_raw
from quantx.lake.replay import read_log
from quantx.lake.table import LakeTable, open_tables
from quantx.pipeline.curating.derive import derived_tables
from quantx.pipeline.verifying.damage import Verified
from quantx.pipeline.verifying.portions import PERIOD, record, verify_portion
from quantx.pipeline.verifying.repair import Repairer
from quantx.pipeline.wiring import repairing, reprocessor_of, verifier_of

from ..conftest import Dies
from .flips import flipped, repaired, verified

PATH = BARS_1D.path


@pytest.fixture
def worked(desk: Any) -> Any:
    """A desk with a backfill of three symbols and a day's update."""
    desk.work(desk.backfill("AAA", "BBB", "CCC"))
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB", "CCC"))
    return desk


def folder(desk: Any) -> Path:
    return Path(desk.platform.location.url.removeprefix("file://"))


def files(desk: Any, name: str = BARS_1D.name) -> list[str]:
    log = read_log(desk.platform.location, TABLES[name].path)
    return [f"{TABLES[name].path}/{file.path}" for file in log.state.live_files()] if log else []


def contents(desk: Any) -> dict[str, Any]:
    return {t.name: LakeTable(desk.platform.location, t).read().sort(pl.all()).rows() for t in derived_tables()}


def open_findings(desk: Any, rule: str = DAMAGED_OBJECT) -> list[str]:
    return [finding.subject for finding in desk.platform.state.findings.open(rule)]


def test_a_damaged_file_is_named_with_its_rows_and_derived_again(worked: Any) -> None:
    before, path = contents(worked), files(worked)[0]
    flipped(path, 9000)(folder(worked))
    found = repaired(worked.platform)
    (damage,) = found.damages
    assert (damage.kind, damage.table, damage.source, damage.needed) == ("file", "bars_1d", "tape", True)
    assert damage.symbols == ("AAA", "CCC")
    assert damage.first_day is not None
    assert damage.message.startswith(f"{path} does not match its SHA-256: {damage.rows} rows of tape depend on it")
    assert [repair.done for repair in found.repairs] == [True]
    assert found.left == verified(worked.platform).damages == []
    assert contents(worked) == before


def test_a_damaged_raw_object_is_named_with_its_replies_and_rows_and_rows_stay(worked: Any) -> None:
    before, path = contents(worked), list_raw(worked.platform.location)[0]
    flipped(path, 9000)(folder(worked))
    found = repaired(worked.platform)
    (damage,) = found.damages
    assert (damage.kind, damage.path, damage.symbols) == ("raw", path, ("AAA", "BBB", "CCC"))
    assert damage.rows == 27  # nine sessions of three symbols; the second reply confirmed them
    assert sorted((part["table"], part["symbol"]) for part in damage.parts) == [
        (table, symbol) for table in ("", "bars_1d") for symbol in ("AAA", "BBB", "CCC")
    ]
    assert [repair.done for repair in found.repairs] == [False]
    assert found.left == [damage]
    assert contents(worked) == before


def test_a_damaged_file_whose_replies_are_damaged_stays_as_it_is(worked: Any) -> None:
    path, raw = files(worked)[0], list_raw(worked.platform.location)[0]
    flipped(path, 40)(folder(worked))  # in the first page: the rest can be read
    flipped(raw, 9000)(folder(worked))
    found = repaired(worked.platform)
    assert {damage.path for damage in found.left} == {path, raw}
    assert files(worked)[0] == path


def test_an_interrupted_repair_is_reported_and_ended(worked: Any) -> None:
    before, path = contents(worked), files(worked)[0]
    flipped(path, 9000)(folder(worked))
    found = verified(worked.platform)
    repairer = Repairer(reprocessor_of(worked.with_state(replies=Dying(worked.platform.state.replies))))
    with repairing(worked.platform, found) as role, pytest.raises(Dies):
        repairer.repair(role, found.damages)
    assert contents(worked) != before
    found = repaired(worked.platform)
    assert [damage.kind for damage in found.damages] == ["repair"]
    assert found.left == verified(worked.platform).damages == []
    assert contents(worked) == before


class Dying:
    """Replies at which the process dies once it restates what was derived again."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def holdings(self, source: str | None, symbols: Any) -> Any:
        if symbols is not None:
            raise Dies
        return self._real.holdings(source, symbols)


def test_a_lost_entry_loses_no_row(worked: Any) -> None:
    before = contents(worked)
    worked.platform.location.delete([f"{PATH}/{entry_path(1)}"])
    found = repaired(worked.platform)
    assert [(damage.kind, damage.what) for damage in found.damages] == [("entry", "is missing")]
    assert found.left == verified(worked.platform).damages == []
    assert contents(worked) == before


def test_a_table_without_its_log_is_derived_again(worked: Any) -> None:
    before, location = contents(worked), worked.platform.location
    for path in location.paths(f"{PATH}/_delta_log"):
        location.delete([path])
    worked.platform = replace(worked.platform, tables=open_tables(location, TABLES))  # as another process has them
    found = repaired(worked.platform)
    assert [(damage.path, damage.what) for damage in found.damages] == [(f"{PATH}/_delta_log", "is missing")]
    assert verified(worked.platform).damages == []
    assert contents(worked) == before


def test_what_is_in_no_reply_must_come_from_a_backup(worked: Any) -> None:
    """A flipped bit can be set back; nothing else can be done for rows that no reply has."""
    members, location = TABLES["universe_members"], worked.platform.location
    row = {"universe": "us", "phase": "1", "symbol": "AAA", "market": "us", "name": "A"}
    row |= {"member_from": None, "member_to": None, "known_from": datetime(2024, 1, 2, tzinfo=UTC)}
    LakeTable(location, members).commit(CommitContext(1), pl.DataFrame([row], schema=dict(members.schema)))
    (path,) = files(worked, members.name)
    flipped(path, 9000)(folder(worked))
    assert [repair.what for repair in repaired(worked.platform).repairs] == [
        "one flipped bit was set back; its SHA-256 proves it"
    ]
    location.put(path, location.get(path)[:-9])
    location.put(f"{members.path}/{entry_path(0)}", b"{}")
    found = repaired(worked.platform)
    assert len(found.left) == len(found.damages) == 2
    assert all("from a backup" in repair.what for repair in found.repairs)


def test_a_missing_raw_object_is_named(worked: Any) -> None:
    path = list_raw(worked.platform.location)[0]
    worked.platform.location.delete([path])
    (damage,) = verified(worked.platform).damages
    assert (damage.kind, damage.path, damage.what) == ("raw", path, "is missing")
    assert damage.rows
    found = verify_portion(worked.platform, 10_000_000)
    assert found is not None
    assert [each.path for each in found.damages] == [path]


def test_a_raw_object_in_the_place_of_another_one_is_named(worked: Any) -> None:
    location = worked.platform.location
    first, second = list_raw(location)[:2]
    location.put(first, location.get(second))
    (damage,) = verified(worked.platform).damages
    assert (damage.path, damage.what) == (first, "is another raw object")


@pytest.mark.parametrize(("place", "other"), [(1, 2), (2, 1), (0, 1)])
def test_an_entry_in_the_place_of_another_one_is_repaired(worked: Any, place: int, other: int) -> None:
    before, location = contents(worked), worked.platform.location
    path = f"{PATH}/{entry_path(place)}"
    location.put(path, location.get(f"{PATH}/{entry_path(other)}"))
    worked.platform = replace(worked.platform, tables=open_tables(location, TABLES))
    (damage,) = repaired(worked.platform).damages
    assert (damage.path, damage.what) == (path, "is the entry of another version")
    assert verified(worked.platform).damages == []
    assert contents(worked) == before


def test_the_newest_entries_are_missed_and_repaired(worked: Any) -> None:
    """No later entry shows that they are gone: the holder of the role has recorded the versions of its tables."""
    before, location = contents(worked), worked.platform.location
    versions = [version for version in range(1, 9) if location.has(f"{PATH}/{entry_path(version)}")]
    location.delete([f"{PATH}/{entry_path(version)}" for version in versions])
    worked.platform = replace(worked.platform, tables=open_tables(location, TABLES))
    (damage,) = repaired(worked.platform).damages
    assert (damage.path, damage.what) == (f"{PATH}/{entry_path(1)}", "is missing")
    assert verified(worked.platform).damages == []
    assert contents(worked) == before


def test_without_the_decisions_nothing_is_derived(worked: Any) -> None:
    """They say which rows are right. Their flipped bits are set back first."""
    decisions, location, (bars, *_) = TABLES["decisions"], worked.platform.location, files(worked)
    row = dict.fromkeys(decisions.schema) | {"symbol": "AAA", "date": date(2024, 1, 2)}
    LakeTable(location, decisions).commit(CommitContext(), pl.DataFrame([row], schema=dict(decisions.schema)))
    (path,) = files(worked, decisions.name)
    flipped(bars, 9000)(folder(worked))
    body = location.get(path)
    location.delete([path])
    found = repaired(worked.platform)
    assert {repair.path: repair.done for repair in found.repairs} == {path: False, bars: False}
    location.put(path, body)
    flipped(path, 9000)(folder(worked))
    assert repaired(worked.platform).left == verified(worked.platform).damages == []


def test_a_damaged_comparison_of_vendors_is_removed_and_written_by_the_next_one(worked: Any) -> None:
    verdicts, location = TABLES["verdicts"], worked.platform.location
    row = dict.fromkeys(verdicts.schema) | {"source": "yahoo", "symbol": "AAA", "date": date(2024, 1, 2)}
    LakeTable(location, verdicts).commit(CommitContext(), pl.DataFrame([row], schema=dict(verdicts.schema)))
    (path,) = files(worked, verdicts.name)
    location.put(path, b"")
    (repair,) = repaired(worked.platform).repairs
    assert repair.done
    assert "crossvalidate reconcile" in repair.what
    assert verified(worked.platform).damages == []
    assert LakeTable(location, verdicts).read().is_empty()


def test_doubled_keys_are_found_and_one_row_of_each_stays(worked: Any) -> None:
    """As two committers left them: a second file with the same keys, and another close."""
    before, table = contents(worked), worked.platform.tables[BARS_1D.name]
    rows = table.read().filter(pl.col("symbol") == "BBB").head(3).with_columns(pl.col("close") + 0.25)
    added: list[AddedFile] = table._parts.write(rows)
    version = table.version() + 1
    entry = writing_entry(CommitContext(), added, version=version, partitions=BARS_1D.partitions)
    worked.platform.location.put_new(f"{PATH}/{entry_path(version)}", entry)
    found = repaired(worked.platform)
    (damage,) = found.damages
    assert (damage.kind, damage.rows, damage.symbols) == ("doubled", 6, ("BBB",))
    assert found.left == verified(worked.platform).damages == []
    assert contents(worked) == before


def test_doubled_keys_within_one_file_are_found(worked: Any) -> None:
    table = worked.platform.tables[BARS_1D.name]
    rows = table.read().filter(pl.col("symbol") == "BBB").head(3).with_columns(pl.lit("other").alias("source"))
    table.commit(CommitContext(99), pl.concat([rows, rows.head(1)]))
    (damage,) = verified(worked.platform).damages
    assert (damage.kind, damage.rows, damage.first_day) == ("doubled", 2, damage.last_day)


def test_a_lake_of_an_earlier_program_is_decoded_and_compared(worked: Any, tmp_path: Path) -> None:
    """Its files have no digest in their names nor in the log, and its raw objects none of the whole."""
    location = worked.platform.location
    raw = list_raw(location)[0]
    stored = pq.read_table(folder(worked) / raw)
    metadata = {key: value for key, value in stored.schema.metadata.items() if key != b"quantx.object"}
    stored = stored.replace_schema_metadata(metadata)
    pq.write_table(stored, folder(worked) / raw, write_page_checksum=True, compression="zstd", use_dictionary=False)
    entry, path = f"{PATH}/{entry_path(1)}", files(worked)[0]
    digest = read_log(location, PATH).state.live_files()[0].sha256  # type: ignore[union-attr]
    lines = location.get(entry).decode().replace(f'"tags":{{"quantx.sha256":"{digest}"}}', '"tags":null').splitlines()
    location.put(entry, "\n".join(line for line in lines if "commitInfo" not in line).encode())
    found = verified(worked.platform)
    assert (found.damages, found.undigested) == ([], 3)
    body = location.get(path)
    location.put(path, body[:300] + bytes([body[300] ^ 1]) + body[301:])
    assert [damage.path for damage in verified(worked.platform).damages] == [path]
    location.put(path, body)
    location.put(entry, location.get(entry).replace(b'\\"numRecords\\": 2', b'\\"numRecords\\": 3'))
    (damage,) = verified(worked.platform).damages
    assert (damage.path, damage.what) == (path, "has 27 rows, not 37")


def test_a_sample_reads_all_logs_and_some_files(worked: Any) -> None:
    import random

    found = verifier_of(worked.platform).verify(0.01, random.Random(1))
    tables = sum(read_log(worked.platform.location, TABLES[name].path) is not None for name in TABLES)
    logs = sum(len(worked.platform.location.paths(f"{TABLES[name].path}/_delta_log")) for name in TABLES)
    assert found.objects == logs + tables + 1  # a file of each table, and a raw object


def test_findings_follow_what_is_damaged(worked: Any) -> None:
    platform, path = worked.platform, files(worked)[0]
    flipped(path, 9000)(folder(worked))
    record(platform.state.findings, verified(platform), whole=True)
    assert open_findings(worked) == [path]
    found = repaired(platform)
    record(platform.state.findings, found)
    assert open_findings(worked) == []
    (row,) = platform.state.findings.listed(None, rule=DAMAGED_OBJECT)
    assert row["status"] == "resolved"
    assert row["reason"].startswith("repaired: its rows are derived again from the raw zone: 27 of 27")


def test_portions_read_everything_once_and_go_on_where_they_ended(worked: Any) -> None:
    platform = worked.platform
    whole = verified(platform)
    objects, portions = 0, 0
    while (found := verify_portion(platform, 2_000)) is not None:
        objects, portions = objects + found.objects, portions + 1
        assert not found.damages
    assert objects == whole.objects
    assert portions > 3
    worked.clock.at += PERIOD
    assert verify_portion(platform, 2_000) is not None  # the next pass


def test_a_portion_finds_damage_and_resolves_it_once_it_is_mended(worked: Any) -> None:
    platform, paths = worked.platform, [files(worked)[0], list_raw(worked.platform.location)[0]]
    for path in paths:
        flipped(path, 9000)(folder(worked))
    while verify_portion(platform, 2_000) is not None:
        pass
    assert sorted(open_findings(worked)) == sorted(paths)
    for path in paths:
        flipped(path, 9000)(folder(worked))  # the bit flips back
    worked.clock.at += PERIOD
    while verify_portion(platform, 2_000) is not None:
        pass
    assert open_findings(worked) == []
    assert open_findings(worked, DOUBLED_KEYS) == []


PLACES = [
    b"\x00{",
    b"{}",
    b'{"began":"2024-01-:6T08:00:00+00:00","ended":true}',
    b'{"began":"2924-01-16T08:00:00+00:00","ended":true}',
    b'{"began":"2024-01-16T08:00:00","ended":true}',
    b'{"began":"2024-01-10T08:00:00+00:00","zone":"raw","after":7}',
]


@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_place_begins_a_new_pass(worked: Any, place: bytes) -> None:
    verify_portion(worked.platform, 5_000)
    worked.platform.location.put("meta/verified.json", place)
    found = verify_portion(worked.platform, 10_000_000)
    assert found is not None
    assert found.objects == verified(worked.platform).objects


def test_a_repair_waits_for_no_other_curator(worked: Any) -> None:
    platform = worked.platform
    with platform.state.exclusive("curator"), repairing(platform, Verified()) as role, pytest.raises(Busy):
        Repairer(reprocessor_of(platform)).repair(role, [])
