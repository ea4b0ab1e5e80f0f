"""Backups hold lake and state of one instant; a restore gives both back, and the work goes on."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from quantx.backup.cut import consistent_cut, table_versions
from quantx.backup.restore import restore_backup
from quantx.backup.retention import Keep, delete_old_backups
from quantx.backup.state_copy import restore_state
from quantx.backup.store import object_path, open_backups
from quantx.backup.verify import verify_backup
from quantx.errors import Busy, ConfigError, DamagedObject, LakeError
from quantx.lake.store import LakeLocation, open_location, open_other_account
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.pipeline.wiring import verifier_of
from quantx.settings import load_settings
from quantx.state.database import Database
from quantx.state.postgres import PostgresState

from ..pipeline.conftest import Desk
from .conftest import Site, lake_rows, state_rows

Opens = Callable[[Path, str], Desk]


def flip(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 4
    path.write_bytes(body)


def test_a_restore_gives_the_same_rows_and_the_work_goes_on(
    site: Site, tmp_path: Path, empty_database_url: str, opens: Opens
) -> None:
    made = site.back_up()
    before, rows = state_rows(site.desk.database), lake_rows(site.lake)
    assert {"bars_1d", "bars_1d_revisions", "quarantine"} <= rows.keys()
    assert all(frame.height for name, frame in rows.items() if name in ("bars_1d_revisions", "quarantine"))

    done = site.restore(tmp_path / "restored", empty_database_url)

    desk = opens(tmp_path / "restored", empty_database_url)
    rows_of_state = sum(len(found) for name, found in before.items() if name not in ("schema_version", "sequences"))
    assert (done.objects, done.rows) == (len(made.manifest.objects), rows_of_state)
    assert state_rows(desk.database) == before
    restored = lake_rows(tmp_path / "restored")
    assert restored.keys() == rows.keys()
    assert all(restored[name].equals(rows[name]) for name in rows)
    assert not verifier_of(desk.platform).verify(1.0, on_object=lambda n, of: None).damages
    desk.tape.answers.clear()
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work()
    assert desk.task("CCC")["state"] == "done"
    assert desk.rows().filter(symbol="CCC").height == 9


def test_neither_the_old_nor_the_restored_pair_can_be_mixed(
    site: Site, tmp_path: Path, empty_database_url: str, opens: Opens
) -> None:
    site.back_up()
    site.restore(tmp_path / "restored", empty_database_url)
    restored = opens(tmp_path / "restored", empty_database_url)
    old, new = site.desk.platform, restored.platform
    for location, state in ((new.location, old.state), (old.location, new.state)):
        with pytest.raises(ConfigError, match="belongs to another lake"):
            confirm_lake(location, state)
    assert confirm_lake(old.location, old.state) == confirm_lake(new.location, new.state)


def test_only_what_is_new_is_copied(own_site: Site) -> None:
    first, again = own_site.back_up(), own_site.back_up()
    assert first.copied > 20
    assert again.copied == 0
    raw = set(own_site.desk.platform.location.paths("raw"))
    own_site.desk.work()  # fetches CCC
    third = own_site.back_up()
    new = {path for path in own_site.desk.platform.location.paths("raw") if path not in raw}
    assert new
    earlier = {copy.sha256 for copy in first.manifest.copies()}
    assert third.copied == len({copy.sha256 for copy in third.manifest.copies()} - earlier)
    assert new < third.manifest.objects.keys()
    assert list(own_site.store.manifests()) == [x.manifest.id for x in (first, again, third)]


def test_what_an_interrupted_backup_has_copied_is_not_read_again(site: Site) -> None:
    @dataclass(frozen=True)
    class Counting(LakeLocation):
        read: list[str] = field(default_factory=list)

        def get(self, path: str) -> bytes:
            self.read.append(path)
            return super().get(path)

    def dies(phase: str, done: int, total: int | None) -> None:
        if phase == "objects" and done == 9:
            raise KeyboardInterrupt

    platform = site.desk.platform
    location = Counting(**vars(platform.location))
    counted = Site(replace(site.desk, platform=replace(platform, location=location)), site.store)
    with pytest.raises(KeyboardInterrupt):
        counted.back_up(portion=4, on_step=dies)
    location.read.clear()
    made = counted.back_up(portion=4)
    read = set(location.read) & made.manifest.objects.keys()
    assert len(read) == len(made.manifest.objects) - 8
    assert not verify_backup(site.store, made.manifest).damaged


def test_a_commit_at_the_moment_of_the_snapshot_repeats_both(own_site: Site) -> None:
    """Of a round that is committed between the two listings, either all is in the copy or nothing."""

    class Interrupted:
        def __init__(self) -> None:
            self.snapshots = 0

        @contextmanager
        def snapshot(self) -> Iterator[Any]:
            self.snapshots += 1
            with own_site.desk.database.snapshot() as connection:
                if self.snapshots == 1:
                    own_site.desk.work()
                yield connection

    database: Any = Interrupted()
    with consistent_cut(own_site.desk.platform.location, database, pause=lambda seconds: None) as (
        connection,
        versions,
    ):
        done = connection.execute("select count(*) as n from tasks where symbol = 'CCC' and state = 'done'").fetchone()
    assert database.snapshots == 2
    assert done == {"n": 1}
    assert versions == table_versions(own_site.desk.platform.location)


def test_tables_that_change_all_the_time_are_an_error(own_site: Site) -> None:
    class Busily:
        @contextmanager
        def snapshot(self) -> Iterator[None]:
            log = max(own_site.desk.platform.location.paths("curated/bars_1d/_delta_log"))
            following = f"{log[:-25]}{int(log[-25:-5]) + 1:020}.json"
            own_site.desk.platform.location.put(following, b"{}")
            yield

    database: Any = Busily()
    with (
        pytest.raises(LakeError, match="change all the time"),
        consistent_cut(own_site.desk.platform.location, database, attempts=3, pause=lambda seconds: None),
    ):
        pass


def test_a_restore_needs_empty_places(site: Site, tmp_path: Path, empty_database_url: str) -> None:
    site.back_up()
    with pytest.raises(ConfigError, match="exists; restore into an empty place: set QUANTX_LAKE_URL"):
        site.restore(site.lake, empty_database_url)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="exists; restore into an empty place: set QUANTX_LAKE_URL"):
        site.restore(tmp_path / "mine", empty_database_url)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_state_with_rows_is_not_replaced(site: Site, tmp_path: Path, databases: Any) -> None:
    site.back_up()
    with databases.migrated() as url:
        with Database(url).transaction() as connection:
            connection.execute("insert into universes values ('u', 'p', 'us', 'static', 0, now())")
        with pytest.raises(ConfigError, match="has rows"):
            site.restore(tmp_path / "restored", url)
        location = open_location(str(tmp_path / "restored"))
        with pytest.raises(ConfigError, match="is being restored"):
            confirm_lake(location, PostgresState(Database(url)))


def test_places_that_were_opened_and_not_used_are_empty(
    site: Site, tmp_path: Path, empty_database_url: str, opens: Opens
) -> None:
    location = open_location(str(tmp_path / "restored"))
    with closing(Database(empty_database_url)) as database:
        confirm_lake(location, PostgresState(database))
        site.back_up()
        site.restore(tmp_path / "restored", empty_database_url)
        confirm_lake(location, PostgresState(database))
    assert opens(tmp_path / "restored", empty_database_url).task("AAA")["state"] == "done"


def test_a_schema_without_rows_is_an_empty_state(site: Site, tmp_path: Path, databases: Any, opens: Opens) -> None:
    site.back_up()
    with databases.empty() as url:
        Database(url).close()  # as the deployment leaves it
        site.restore(tmp_path / "restored", url)
        assert len(state_rows(opens(tmp_path / "restored", url).database)["tasks"]) == 4


def test_a_column_of_a_later_program_is_refused(site: Site, tmp_path: Path, databases: Any) -> None:
    manifest = site.back_up().manifest
    tables = dict(manifest.state.tables)
    tables["runs"] = replace(tables["runs"], columns=[*tables["runs"].columns, "mood"])
    with databases.empty() as url, closing(Database(url, migrated=False)) as database:
        for later in (replace(manifest.state, tables=tables), replace(manifest.state, schema_version=99)):
            with pytest.raises(ConfigError, match="update the program"):
                restore_state(database, later, site.store.get, "lake")
        assert database.schema_version() == 0


def test_raw_objects_are_restored_into_their_own_place(site: Site, tmp_path: Path, empty_database_url: str) -> None:
    manifest = site.back_up().manifest
    settings = load_settings(lake_url=str(tmp_path / "restored"), raw_url=str(tmp_path / "raw"))
    location = open_location(settings.lake_url, settings)
    restore_backup(site.store, manifest, location, lambda: Database(empty_database_url, migrated=False))
    raw = {path for path in manifest.objects if path.startswith("raw/")}
    assert {f"raw/{path.relative_to(tmp_path / 'raw')}" for path in (tmp_path / "raw").rglob("*.parquet")} == raw
    assert not (tmp_path / "restored" / "raw").exists()
    with closing(Database(empty_database_url)) as database:
        counted = replace(
            site.desk, platform=replace(site.desk.platform, location=location, state=PostgresState(database))
        )
        assert raw < Site(counted, site.store).back_up().manifest.objects.keys()


def test_another_backup_does_not_finish_a_restore(site: Site, tmp_path: Path, empty_database_url: str) -> None:
    first = site.back_up().manifest.id
    site.back_up()

    def dies(phase: str, done: int, total: int | None) -> None:
        if phase == "state":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.restore(tmp_path / "restored", empty_database_url, first, on_step=dies)
    with pytest.raises(ConfigError, match=first):
        site.restore(tmp_path / "restored", empty_database_url)
    site.restore(tmp_path / "restored", empty_database_url, first)


def test_verify_finds_a_flipped_and_a_missing_object(site: Site, tmp_path: Path) -> None:
    manifest = site.back_up().manifest
    digests = sorted({copy.sha256 for copy in manifest.copies()})
    assert not verify_backup(site.store, manifest).damaged
    flip(tmp_path / "backups" / object_path(digests[0]))
    (tmp_path / "backups" / object_path(digests[1])).unlink()
    found = verify_backup(site.store, manifest)
    assert found.damaged == {
        object_path(digests[0]): "does not match its SHA-256",
        object_path(digests[1]): "is missing",
    }
    tenth = verify_backup(site.store, manifest, 0.1, chance=random.Random(1))
    assert (tenth.read, object_path(digests[1]) in tenth.damaged) == (round((len(digests) - 1) / 10), True)
    # A damaged object is deleted; the next backup stores it again.
    (tmp_path / "backups" / object_path(digests[0])).unlink()
    site.back_up()
    assert not verify_backup(site.store, manifest).damaged


def test_a_restore_stops_at_a_damaged_object(site: Site, tmp_path: Path, empty_database_url: str) -> None:
    manifest = site.back_up().manifest
    bars = next(path for path in manifest.objects if path.startswith("curated/bars_1d/source"))
    flip(tmp_path / "backups" / object_path(manifest.objects[bars].sha256))
    with pytest.raises(DamagedObject, match="does not match its SHA-256"):
        site.restore(tmp_path / "restored", empty_database_url)
    path = next((tmp_path / "backups" / "backups").iterdir())
    flip(path)
    with pytest.raises(DamagedObject, match="choose another backup"):
        site.store.manifest()


def test_the_intact_copy_of_an_object_that_was_damaged_later_is_kept(own_site: Site) -> None:
    first = own_site.back_up().manifest
    raw = min(path for path in first.objects if path.startswith("raw/"))
    flip(own_site.lake / raw)
    second = own_site.back_up()
    assert (set(second.damaged), second.replaced) == ({raw}, 1)
    assert second.manifest.objects[raw].sha256 == first.objects[raw].sha256
    assert second.manifest.damaged == [raw]


def test_retention_deletes_no_object_that_a_kept_backup_names(own_site: Site) -> None:
    first = own_site.back_up().manifest
    own_site.desk.work()
    second, third = own_site.back_up().manifest, own_site.back_up().manifest
    state = PostgresState(own_site.desk.database)
    assert delete_old_backups(own_site.store, state, Keep()) == ([], 0)
    old, deleted = delete_old_backups(own_site.store, state, Keep(newest=2))
    only_first = {c.sha256 for c in first.copies()} - {c.sha256 for m in (second, third) for c in m.copies()}
    assert (old, deleted) == ([first.id], len(only_first))
    assert deleted > 0
    assert not verify_backup(own_site.store, second).damaged
    with state.exclusive("backup"), pytest.raises(Busy):
        delete_old_backups(own_site.store, PostgresState(own_site.desk.database), Keep(newest=1))


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (Keep(), "abcd"),
        (Keep(newest=2), "cd"),
        (Keep(days=2), "bcd"),
        (Keep(newest=1, days=1), "cd"),
        (Keep(days=0), "d"),
    ],
)
def test_a_backup_is_kept_where_a_rule_keeps_it(keep: Keep, kept: str) -> None:
    now = datetime(2026, 11, 30, 2, tzinfo=UTC)
    days = {"a": "20261127", "b": "20261128", "c": "20261129", "d": "20261129"}
    ids = {f"{day}T02000{i}.000Z": name for i, (name, day) in enumerate(days.items())}
    assert "".join(ids[each] for each in keep.kept(list(ids), now)) == kept


def test_no_secret_is_in_a_backup(site: Site, tmp_path: Path) -> None:
    settings = load_settings(
        state_url="postgresql://me:canary-1@host/db", alpaca_api_key="canary-2", alpaca_api_secret="canary-3"
    )
    site.back_up(settings=settings.redacted())
    bodies = [path.read_bytes() for path in (tmp_path / "backups").rglob("*") if path.is_file()]
    bodies += [gzip.decompress(body) for body in bodies if body[:2] == b"\x1f\x8b"]
    assert any(b"postgresql://me:**********@host/db" in body for body in bodies)
    assert not [body for body in bodies if b"canary" in body]


def test_one_backup_of_a_state_at_a_time(site: Site) -> None:
    with PostgresState(site.desk.database).exclusive("backup"), pytest.raises(Busy):
        site.back_up()


def test_places_that_are_no_place_for_backups(site: Site, tmp_path: Path) -> None:
    settings = load_settings()
    with pytest.raises(ConfigError, match="is a lake"):
        open_backups(str(site.lake), settings, create=True)
    with pytest.raises(ConfigError, match="there is no backup"):
        open_backups(str(tmp_path / "none"), settings, create=False)
    assert not (tmp_path / "none").exists()
    inside = open_backups(str(site.lake / "backups"), settings, create=True)
    with pytest.raises(ConfigError, match="is in the lake"):
        replace(site, store=inside).back_up()
    with pytest.raises(ConfigError, match="ACCOUNT"):
        open_other_account("https://example.com/container", settings)
