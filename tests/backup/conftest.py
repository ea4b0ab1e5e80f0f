"""A small installation to back up: three symbols with a correction, a rejected bar and an open task."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from psycopg import sql

from quantx.backup.create import BackupResult, create_backup
from quantx.backup.restore import RestoreResult, restore_backup
from quantx.backup.store import BackupStore, open_backups
from quantx.core.tables import TABLES
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.settings import load_settings
from quantx.state.database import Database

from ..databases import Databases
from ..pipeline.conftest import Desk, open_desk


@dataclass
class Site:
    """An installation and its place of backups, with the moves that tests make."""

    desk: Desk
    store: BackupStore

    @property
    def lake(self) -> Path:
        return Path(self.desk.platform.location.url.removeprefix("file://"))

    def back_up(self, **how: Any) -> BackupResult:
        return create_backup(
            self.desk.platform.location,
            self.desk.platform.state,  # type: ignore[arg-type]
            self.store,
            **{"settings": {}, "files": {}, "program": "0", **how},
        )

    def restore(self, folder: Path, state: str, backup_id: str | None = None, **how: Any) -> RestoreResult:
        """Restore into a folder and the database at an address."""
        location = open_location(str(folder))
        manifest = self.store.manifest(backup_id)
        return restore_backup(self.store, manifest, location, lambda: Database(state, migrated=False), **how)


def _trading(database: Database, folder: Path) -> Desk:
    """AAA has a corrected bar, BBB a rejected one, CCC is planned and not fetched."""
    desk = open_desk(database, folder)
    desk.tape.shows["BBB"][date(2024, 1, 9)] = (110.0, 90.0, 120.0, 110.0, 1000.0)  # its high is below its low
    desk.work(desk.backfill("AAA", "BBB"))
    desk.tape.shows["AAA"][date(2024, 1, 10)] = (110.0, 112.0, 109.0, 111.25, 1000.0)
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", lookback=5))
    desk.backfill("CCC")
    return desk


@pytest.fixture(scope="module")
def shared_desk(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with databases.empty() as url, closing(Database(url)) as database:  # without the columns of a later program
        yield _trading(database, tmp_path_factory.mktemp("shared") / "lake")


@pytest.fixture
def site(shared_desk: Desk, tmp_path: Path) -> Site:
    """An installation that the tests of a file share and do not change, with a place of backups of its own."""
    return Site(shared_desk, open_backups(str(tmp_path / "backups"), load_settings(), create=True))


@pytest.fixture
def own_site(databases: Databases, tmp_path: Path) -> Iterator[Site]:
    """An installation that the test may change."""
    with databases.empty() as url, closing(Database(url)) as database:
        desk = _trading(database, tmp_path / "lake")
        yield Site(desk, open_backups(str(tmp_path / "backups"), load_settings(), create=True))


@pytest.fixture
def opens(databases: Databases) -> Iterator[Callable[[Path, str], Desk]]:
    """Opens a restored installation."""
    with contextlib.ExitStack() as opened:

        def open_(folder: Path, state: str) -> Desk:
            return open_desk(opened.enter_context(closing(Database(state))), folder)

        yield open_


def lake_rows(folder: Path) -> dict[str, pl.DataFrame]:
    """Return the rows of all tables that a lake has."""
    tables = open_tables(open_location(str(folder)), TABLES)
    rows = {name: table.read() for name, table in tables.items() if table.version() is not None}
    return {name: frame.sort(pl.all()) for name, frame in rows.items()}


def state_rows(database: Database) -> dict[str, Any]:
    """Return all rows of the state, and the next number of each sequence, without the lake's id."""
    with database.transaction() as connection:
        names = [
            row["relname"]
            for row in connection.execute(
                "select relname from pg_class where relnamespace = 'quantx'::regnamespace and relkind = 'r'"
            ).fetchall()
        ]
        rows: dict[str, Any] = {}
        for name in names:
            query = sql.SQL("select to_jsonb(t) - {} as row from {} t").format(
                "id" if name == "lake" else "applied_at", sql.Identifier("quantx", name)
            )
            found = [row["row"] for row in connection.execute(query).fetchall()]
            rows[name] = sorted(found, key=repr)
        sequences = connection.execute("select sequencename, last_value from pg_sequences order by 1").fetchall()
    return {**rows, "sequences": sequences}
