"""The restore of the database alone, as docs/operations.md has it: a base backup of a real server, restored as another.

The lake is then newer than the state. Nothing that the lake has is lost, and the state learns it again from raw.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from quantx.pipeline.wiring import verifier_of
from quantx.state.database import Database
from quantx.state.embedded import EmbeddedPostgres

from ..pipeline.conftest import open_desk, reprocess
from .conftest import Site

pytestmark = pytest.mark.slow
SERIES = "select symbol, covered::text, watermark, first_session from series order by symbol"


def base_backup(database: Database, folder: Path) -> None:
    """Copy the running server of a database into a folder, with the log that makes the copy consistent."""
    with database.transaction() as connection:
        row = connection.execute("show data_directory").fetchone()
    assert row is not None
    running = EmbeddedPostgres(Path(row["data_directory"]))
    running.start()
    command = [
        str(running.tool("pg_basebackup")),
        "--pgdata",
        str(folder),
        "--checkpoint=fast",
        "--dbname",
        database._url,
    ]
    subprocess.run(command, check=True)
    running.stop_if_unused()  # it stays: the database is connected
    for lock in folder.glob(".s.PGSQL.*.lock"):  # the embedded server has its socket in its folder
        lock.unlink()
    owner = Path(row["data_directory"]).stat()
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)


def test_a_database_that_is_restored_to_yesterday_learns_the_lake_again(
    own_site: Site, server_folder: Callable[[], Path]
) -> None:
    lost, folder = own_site.desk, server_folder()
    base_backup(lost.database, folder)
    # What happens after the backup: CCC is fetched, AAA is corrected once more, DDD is new.
    lost.work()
    lost.tape.shows["AAA"][date(2024, 1, 11)] = (111.0, 113.0, 110.0, 112.75, 1000.0)
    lost.clock.goes_to(date(2024, 1, 17))
    lost.work(lost.daily("AAA", lookback=5))
    lost.work(lost.backfill("DDD"))
    before = {name: lost.rows(name) for name in ("bars_1d", "bars_1d_revisions", "quarantine")}
    known = lost.sql(SERIES)
    assert before["bars_1d_revisions"].height == 2

    restored = EmbeddedPostgres(folder)
    url = restored.start()
    name = lost.database._url.partition("?")[0].rpartition("/")[2]
    with closing(Database(url.replace("/postgres?", f"/{name}?"))) as database:
        desk = open_desk(database, own_site.lake)
        desk.tape.shows, desk.clock.at = lost.tape.shows, lost.clock.at
        assert {row["symbol"] for row in desk.sql(SERIES)} == {"AAA", "BBB"}
        desk.work()  # what the state knew as open: CCC
        reprocess(desk.platform)
        assert desk.sql(SERIES) == known
        after = {name: desk.rows(name) for name in before}
        values = [c for c in before["bars_1d"].columns if c not in ("known_from", "raw")]
        assert after["bars_1d"].select(values).equals(before["bars_1d"].select(values))
        assert before["bars_1d_revisions"].join(after["bars_1d_revisions"], on=pl.all(), how="anti").is_empty()
        assert after["quarantine"].equals(before["quarantine"])
        assert not verifier_of(desk.platform).verify(1.0, on_object=lambda n, of: None).damages
        assert {symbol for symbol, _ in desk.tape.asked} == {"CCC"}
        desk.work(desk.daily("AAA", "BBB", "CCC", "DDD"))
        assert {row["state"] for row in desk.sql("select state from tasks")} == {"done"}
    restored.stop_if_unused()
