"""Damage of a log, a checkpoint or a data file: one clear line that names the file, or no error where none is due."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.tables import BARS_1D
from quantx.errors import DamagedObject, LakeError
from quantx.lake.diagnosis import read_failure
from quantx.lake.mend import mend_log, restart_log, write_checkpoint
from quantx.lake.protocol import CommitContext
from quantx.lake.replay import parse_entry, read_log
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable

PATH = BARS_1D.path
LOG = f"{PATH}/_delta_log"
LAST = 6  # the newest version; the checkpoint is of version 4
FOREIGN = re.compile(r"kernel|arrow|parquet error|os error|unknown>|traceback|polars|python|rust", re.IGNORECASE)


def bars(n: int) -> pl.DataFrame:
    at = datetime(2024, 1, 10, tzinfo=UTC)
    row = {"source": "yahoo", "year": 2024, "symbol": f"S{n}", "date": date(2024, 1, 1) + timedelta(n), "volume": n}
    prices = {"open": 1.0, "high": 2.0, "low": 1.0, "close": 1.5}
    return pl.DataFrame([row | prices | {"currency": "USD", "raw": "x", "known_from": at}], schema=BARS_1D.schema)


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    location = open_location(str(tmp_path / "lake"))
    table = LakeTable(location, BARS_1D)
    for n in range(1, LAST + 1):
        table.commit(CommitContext(n), bars(n))
        if n == 4:
            write_checkpoint(location, PATH)
    return location


def entry(version: int) -> str:
    return f"{LOG}/{version:020}.json"


CHECKPOINT, HINT = f"{LOG}/{4:020}.checkpoint.parquet", f"{LOG}/_last_checkpoint"


def rows(location: LakeLocation) -> int:
    return LakeTable(location, BARS_1D).read().height


def damages(location: LakeLocation) -> list[str]:
    log = read_log(location, PATH)
    assert log is not None
    return [damage.path for damage in log.damages]


def changed(path: str, change: Callable[[bytes], bytes]) -> Callable[[LakeLocation], None]:
    return lambda location: location.put(path, change(location.get(path)))


def flipped(body: bytes) -> bytes:
    return body[:100] + bytes([body[100] ^ 1]) + body[101:]


HINTS = {
    "garbage": b"\x00\xff garbage",
    "empty": b"",
    "no fields": b"{}",
    "a list": b"[]",
    "a text": b'{"version":"4","size":7}',
    "a list as the version": b'{"version":[4],"size":7}',
    "an earlier version": b'{"version":2,"size":7}',
    "a later version": b'{"version":9,"size":7}',
    "version 0": b'{"version":0,"size":7}',
    "another size": b'{"version":4,"size":9}',
}


@pytest.mark.parametrize("body", HINTS.values(), ids=HINTS)
def test_a_wrong_hint_is_ignored_and_written_again(location: LakeLocation, body: bytes) -> None:
    good = json.loads(location.get(HINT))
    location.put(HINT, body)
    assert rows(location) == LAST
    assert damages(location) == [HINT]
    assert mend_log(location, PATH).keys() == {HINT}
    assert json.loads(location.get(HINT)) == good


def test_a_hint_about_a_lost_checkpoint_is_ignored(location: LakeLocation) -> None:
    location.delete([CHECKPOINT])
    assert rows(location) == LAST
    mend_log(location, PATH)
    assert (rows(location), damages(location)) == (LAST, [])


DAMAGES: dict[str, tuple[str, Callable[[LakeLocation], None]]] = {
    "a missing entry": (entry(5), lambda location: location.delete([entry(5)])),
    "a cut entry": (entry(6), changed(entry(6), lambda body: body[:200])),
    "an entry of garbage": (entry(5), changed(entry(5), lambda body: b"\x00\xff garbage")),
    "a cut checkpoint": (CHECKPOINT, changed(CHECKPOINT, lambda body: body[:500])),
    "a checkpoint of garbage": (CHECKPOINT, changed(CHECKPOINT, lambda body: b"garbage" * 100)),
}


@pytest.mark.parametrize(("path", "damage"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_log_is_one_line_with_the_file_and_the_command(
    location: LakeLocation, path: str, damage: Callable[[LakeLocation], None]
) -> None:
    damage(location)
    for use in (rows, lambda where: LakeTable(where, BARS_1D).commit(CommitContext(99), bars(99))):
        with pytest.raises(DamagedObject) as raised:  # nothing waits for it
            use(location)
        message = str(raised.value)
        assert message.startswith("the log of the table bars_1d is damaged: ")
        assert path in message
        assert message.endswith("`quantx verify --repair` repairs it")
        assert "\n" not in message
        assert not FOREIGN.search(message.replace(path, ""))


# delta-rs reads these without an error: only their digests, or the entries around them, show what is wrong.
SILENT = {
    "an empty entry": (entry(5), changed(entry(5), lambda body: b"")),
    "an entry without fields": (entry(5), changed(entry(5), lambda body: b"{}")),
    "an entry of which a line is lost": (entry(5), changed(entry(5), lambda body: body.rpartition(b"\n")[0])),
    "a flipped bit in an entry": (entry(5), changed(entry(5), flipped)),
    "a flipped bit in a checkpoint": (CHECKPOINT, changed(CHECKPOINT, flipped)),
    "an earlier entry": (entry(2), changed(entry(2), lambda body: b"{}")),
}


ALL = {**DAMAGES, **SILENT}
# A checkpoint is written again, an entry below one is not needed, and one bit can be set back.
PROVABLE = {
    "a cut checkpoint",
    "a checkpoint of garbage",
    "a flipped bit in an entry",
    "a flipped bit in a checkpoint",
    "an earlier entry",
}


@pytest.mark.parametrize("name", ALL)
def test_a_damaged_log_is_found_and_mended_where_that_can_be_proved(location: LakeLocation, name: str) -> None:
    path, damage = ALL[name]
    damage(location)
    assert damages(location) == [path]
    assert (path in mend_log(location, PATH)) == (name in PROVABLE)
    if name in PROVABLE:
        assert (damages(location), rows(location)) == ([], LAST)
        return
    restart_log(location, PATH, BARS_1D, CommitContext())
    mend_log(location, PATH)
    assert (damages(location), rows(location)) == ([], LAST)  # the lost entry's file is the one that no entry names
    LakeTable(location, BARS_1D).commit(CommitContext(99), bars(99))
    assert rows(location) == LAST + 1


def test_a_process_with_an_open_table_sees_a_restarted_log(location: LakeLocation) -> None:
    table = LakeTable(location, BARS_1D)
    before = table.version()
    location.delete([entry(5)])
    restart_log(location, PATH, BARS_1D, CommitContext())
    assert (before, table.version(), table.read().height) == (LAST, LAST + 1, LAST)
    assert table.committed_round() == LAST
    assert table.commit(CommitContext(7), bars(7))
    assert rows(location) == LAST + 1


def data_file(location: LakeLocation) -> str:
    return sorted(path for path in location.paths(f"{PATH}/source=yahoo"))[2]


FILES = {
    "cut": (lambda body: body[:-100], "has "),
    "empty": (lambda body: b"", "has 0 bytes"),
    "flipped in the header of a page": (lambda body: body[:6] + bytes([body[6] ^ 1]) + body[7:], "does not match"),
    "flipped in the footer": (lambda body: body[:-30] + bytes([body[-30] ^ 8]) + body[-29:], "does not match"),
}


@pytest.mark.parametrize(("change", "what"), FILES.values(), ids=FILES)
def test_a_damaged_data_file_is_one_line_or_the_right_rows(
    location: LakeLocation, capfd: pytest.CaptureFixture[str], change: Callable[[bytes], bytes], what: str
) -> None:
    path = data_file(location)
    changed(path, change)(location)
    with contextlib.suppress(DamagedObject):  # Polars compares no checksums: some damages are not seen
        rows(location)
    assert "panicked" not in capfd.readouterr().err  # of a thread of Polars: a page of text
    error = read_failure(location, PATH, BARS_1D)
    assert str(error).startswith(f"the table bars_1d is damaged: {path} {what}")
    assert not FOREIGN.search(str(error).replace(path, ""))
    # A commit that rewrites the file compares its digest.
    with pytest.raises(DamagedObject, match=re.escape(path)):
        LakeTable(location, BARS_1D).commit(CommitContext(99), bars(3).clear(), bars(3))


def test_a_missing_data_file_is_named(location: LakeLocation) -> None:
    path = data_file(location)
    location.delete([path])
    with pytest.raises(DamagedObject, match=f"{re.escape(path)} is missing"):
        rows(location)


PARTS = {
    "a round": {"txn": {"appIe": "x", "version": 1}},
    "a text for a number": {"txn": {"appId": "x", "version": "1"}},
    "metadata": {"metaData": "x"},
    "a schema": {"metaData": {"id": "x", "schemaString": "{"}},
    "statistics": {"add": {"path": "a", "size": 1, "partitionValues": {}, "stats": "[]"}},
    "tags": {"add": {"path": "a", "size": 1, "partitionValues": {}, "tags": 7}},
    "a removal": {"remove": {"path": "a", "deletionTimestamp": "x"}},
}


@pytest.mark.parametrize("action", PARTS.values(), ids=PARTS)
def test_a_damaged_part_of_an_entry_without_a_digest_is_damage(action: dict[str, Any]) -> None:
    """Entries of earlier programs have none."""
    with pytest.raises(DamagedObject):
        parse_entry(json.dumps(action).encode())


class Unreachable(LakeLocation):
    """A store that does not answer any more."""

    def sizes(self, prefix: str) -> dict[str, int]:
        raise LakeError("the store does not answer")


def test_an_outage_is_not_taken_for_damage(location: LakeLocation) -> None:
    away = Unreachable(**{name: getattr(location, name) for name in ("url", "store", "options", "identity")})
    changed(entry(6), lambda body: body[:200])(location)
    with pytest.raises(LakeError, match="the store does not answer") as raised:
        rows(away)
    assert not isinstance(raised.value, DamagedObject)
