"""A backup and a restore that are killed at any step are finished by the same command; backups beside workers."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from quantx.backup.create import create_backup
from quantx.backup.verify import verify_backup
from quantx.state.database import Database
from quantx.state.postgres import PostgresState

from ..pipeline.conftest import Desk
from .conftest import Site, lake_rows, state_rows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def carry_out() -> Iterator[Callable[..., int]]:
    """Carries out an order in a process of its own, and returns its exit code."""
    script = str(Path(__file__).with_name("dying_backup.py"))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None

        def order(verb: str, phase: str, at: int = 1, **places: str) -> int:
            assert driver.stdin is not None
            assert driver.stdout is not None
            driver.stdin.write(json.dumps({"verb": verb, "phase": phase, "at": at, **places}) + "\n")
            driver.stdin.flush()
            return int(driver.stdout.readline())

        yield order
        driver.stdin.close()


def test_a_backup_that_is_killed_anywhere_is_finished_by_the_next(
    site: Site, carry_out: Callable[..., int], migrated_database_url: str
) -> None:
    state = site.desk.database._url
    places = {"url": site.store.url, "lake": str(site.lake), "state": state}
    for phase, at in (("cut", 1), ("state", 1), ("objects", 1), ("objects", 9), ("manifest", 1)):
        assert carry_out("create", phase, at, **places) == -9
        assert site.store.manifests() == {}
    assert carry_out("create", "none", **places) == 0
    (first,) = site.store.manifests()
    assert carry_out("create", "retention", **places) == -9  # the manifest is deleted, its objects are not
    assert first not in site.store.manifests()
    assert carry_out("create", "none", **places) == 0
    assert len(site.store.manifests()) == 1
    manifest = site.store.manifest()
    assert not verify_backup(site.store, manifest).damaged
    assert set(site.store.sizes()) == {copy.sha256 for copy in manifest.copies()}


def test_a_restore_that_is_killed_anywhere_is_finished_by_the_same_command(
    site: Site, carry_out: Callable[..., int], tmp_path: Path, empty_database_url: str
) -> None:
    site.back_up()
    places = {"url": site.store.url, "lake": str(tmp_path / "restored"), "state": empty_database_url}
    for phase, at in (("begin", 1), ("objects", 1), ("objects", 5), ("state", 1), ("finish", 1), ("open", 1)):
        assert carry_out("restore", phase, at, **places) == -9
    assert carry_out("restore", "none", **places) == 0
    rows, restored = lake_rows(site.lake), lake_rows(tmp_path / "restored")
    assert {name: frame.equals(rows[name]) for name, frame in restored.items()} == dict.fromkeys(rows, True)
    database = Database(empty_database_url)
    assert state_rows(database) == state_rows(site.desk.database)
    database.close()


def test_backups_beside_a_worker_and_a_curator_are_of_one_instant(
    own_site: Site, tmp_path: Path, databases: Any, opens: Callable[[Path, str], Desk]
) -> None:
    """What the state calls done is in the tables, and each row's raw object is there; the work then ends alike."""
    desk, ends = own_site.desk, threading.Event()
    symbols = [f"S{n:02}" for n in range(12)]
    for symbol in symbols:
        desk.tape.shows[symbol] = dict(desk.tape.shows["DDD"])

    def work() -> None:
        for symbol in symbols:
            if not ends.is_set():
                desk.work(desk.backfill(symbol))

    worker = threading.Thread(target=work)
    worker.start()
    store, other = own_site.store, Database(desk.database._url)
    made = []
    for wanted in (4, 8):
        while desk.sql("select count(*) as n from tasks where state = 'done'")[0]["n"] < wanted:
            time.sleep(0.02)
        state = PostgresState(other)
        done = create_backup(desk.platform.location, state, store, settings={}, files={}, program="0")
        made.append(done.manifest.id)
    ends.set()
    worker.join()
    other.close()
    counts = []
    for number, backup_id in enumerate(made):
        with databases.empty() as url:
            folder = tmp_path / f"restored-{number}"
            own_site.restore(folder, url, backup_id)
            restored = opens(folder, url)
            ended_tasks = {row["symbol"] for row in restored.sql("select symbol from tasks where state = 'done'")}
            rows = restored.rows()
            raws = {
                path.rpartition("/")[2].removesuffix(".parquet") for path in restored.platform.location.paths("raw")
            }
            assert ended_tasks <= set(rows["symbol"])
            assert set(rows["raw"]) <= raws
            named = restored.sql("select path from raw_objects")
            assert all(restored.platform.location.has(row["path"]) for row in named)
            restored.clock.goes_to(desk.clock.at.date())
            restored.tape.shows.update(desk.tape.shows)
            restored.work()
            assert restored.sql("select symbol from tasks where state not in ('done', 'failed')") == []
            ended = restored.rows()
            assert ended.height == ended.unique(["source", "symbol", "date"]).height
            assert rows.join(ended, on=["source", "symbol", "date"], how="anti").is_empty()
            counts.append(len(ended_tasks))
    print("COUNTS", counts)
    assert counts == sorted(counts)
