"""Histories of two committers: one is suspended at a write and its database session ends, another works, it goes on.

Each history has a copy of a prepared lake and of its database. The tables must be those of an undisturbed run, no key
may be there twice, and a process that has lost its work says so by its exit code.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg

from quantx.core.tables import TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.table import open_tables

from .fleet import COMPARED, Fleet, Server, Vendor, wait_until
from .market import SYMBOLS

SUSPENDED = Path(__file__).with_name("suspended_command.py")
CHOSEN = SYMBOLS[4:7]
_FIRST = ("backfill", "--start", "2014-01-02", "--end", "2014-12-31", "--symbols", ",".join(CHOSEN))
SECOND = ("backfill", "--start", "2014-01-02", "--end", "2015-12-31", "--symbols", ",".join(CHOSEN), "--again")
_REVISED = "2014-03-04"


@dataclass(frozen=True)
class Prepared:
    """A lake with its state, to be copied for each history."""

    fleet: Fleet
    server: Server
    expected: dict[str, pl.DataFrame]  # the tables at the end

    @contextlib.contextmanager
    def copied(self, folder: Path) -> Iterator[Fleet]:
        """Yield a copy of it, and remove its database at the end."""
        folder.mkdir()
        shutil.copytree(Path(self.fleet.settings["QUANTX_LAKE_URL"]), folder / "lake")
        with database(self.server, self.fleet.settings["QUANTX_STATE_URL"]) as url:
            settings = {**self.fleet.settings, "QUANTX_LAKE_URL": str(folder / "lake"), "QUANTX_STATE_URL": url}
            fleet = Fleet(settings, self.fleet.vendor, folder)
            try:
                yield fleet
            finally:
                fleet.kill_all()


def waiting_work(server: Server, vendor: Vendor, folder: Path) -> Iterator[Prepared]:
    """Prepare a lake with bars, and replies with corrections and new bars that have landed and are not curated."""
    with database(server) as url, database(server) as other:
        fleet = _fleet(folder / "waiting", vendor, url)
        fleet.here(*_FIRST)
        for n, symbol in enumerate(CHOSEN):
            vendor.tell("revise", symbol=symbol, date=_REVISED, field="volume", value=4_711.0 + n)
        fleet.here(*SECOND, "--enqueue-only")
        clean = _fleet(folder / "clean", vendor, other)
        shutil.copytree(folder / "waiting" / "lake", folder / "clean" / "lake", dirs_exist_ok=True)
        with database(server, url) as copy:
            clean.settings["QUANTX_STATE_URL"] = copy
            clean.here("work")
            yield Prepared(fleet, server, clean.tables())


def spoiled_tables(server: Server, vendor: Vendor, folder: Path) -> Iterator[Prepared]:
    """Prepare a lake whose tables differ from what its replies say: reprocessing has rows to add and to replace."""
    with database(server) as url:
        fleet = _fleet(folder / "spoiled", vendor, url)
        fleet.here(*_FIRST)
        expected = fleet.tables()
        bars = open_tables(fleet.location, TABLES)["bars_1d"]
        rows = bars.read().sort("symbol", "date")
        wrong = rows.gather_every(9).with_columns(pl.col("close") * 1.01)
        bars.commit(CommitContext(), bars.table.empty(), wrong, rows.gather_every(9, 4))
        odd = wrong.with_columns(known_to=pl.col("known_from")).select(expected["bars_1d_revisions"].columns)
        revisions = pl.concat([expected["bars_1d_revisions"], odd]).sort(pl.all())
        yield Prepared(fleet, server, expected | {"bars_1d_revisions": revisions})


def history_of(prepared: Prepared, folder: Path, stop_at: int, first: str, second: str) -> bool:
    """Live through one history; return whether the first command wrote so often that it was suspended."""
    with prepared.copied(folder) as fleet:
        process = suspended(fleet, stop_at, first)
        was_suspended = is_suspended(process)
        if was_suspended:
            end_sessions(fleet)
            fleet.here(second)
            go_on(fleet, process)
        if "reprocess" in (first, second):  # what it has left
            fleet.here("reprocess")
        fleet.here("work")
        assert_right(fleet, prepared.expected)
    return was_suspended


def take_over_of(prepared: Prepared, folder: Path, stop_at: int) -> int | None:
    """Have a second state take the lake over; return how the first one ends, None if it was not suspended."""
    with prepared.copied(folder) as fleet:
        process = suspended(fleet, stop_at, "work")
        if not is_suspended(process):
            return None
        first = fleet.settings["QUANTX_STATE_URL"]
        with database(prepared.server) as url:
            fleet.settings["QUANTX_STATE_URL"] = url
            fleet.here(*SECOND)
            code = go_on(fleet, process)
            assert_right(fleet, prepared.expected)
            fleet.settings["QUANTX_STATE_URL"] = first
            waits = fleet.rows("select 1 from tasks where state not in ('done', 'failed')")
            assert code != 0 or not waits, fleet.said(process)[-4000:]  # the loser says so
    return code


def suspended(fleet: Fleet, stop_at: int, *command: str) -> subprocess.Popen[bytes]:
    """Start a command that suspends itself before its n-th write."""
    return fleet._start([sys.executable, str(SUSPENDED), str(stop_at), *command], {"PGAPPNAME": "suspended"})


def is_suspended(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a process is suspended, or has ended because it writes less; return whether it is suspended."""
    stat = Path(f"/proc/{process.pid}/stat")
    wait_until(lambda: process.poll() is not None or stat.read_text().rpartition(")")[2].split()[0] == "T")
    return process.poll() is None


_SUSPENDED_SESSIONS = """
    select count(*) from pg_stat_activity where application_name = 'suspended' and datname = current_database()
"""


def end_sessions(fleet: Fleet) -> None:
    """End the suspended process's connections, as a fail-over of the database does."""
    fleet.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'suspended' and datname = current_database()"
    )
    wait_until(lambda: fleet.rows(_SUSPENDED_SESSIONS) == [{"count": 0}])


def go_on(fleet: Fleet, process: subprocess.Popen[bytes]) -> int:
    """Let a suspended process go on; return its exit code: 0, or 1 or 2 where it has lost its work."""
    os.kill(process.pid, signal.SIGCONT)
    code = process.wait(120)
    assert code in (0, 1, 2), f"{process.args} ended with {code}\n{fleet.said(process)[-4000:]}"
    assert "Traceback" not in fleet.said(process), fleet.said(process)[-4000:]
    return code


def assert_right(fleet: Fleet, expected: dict[str, pl.DataFrame]) -> None:
    """The tables are as expected, no key is there twice, and what is done can be read."""
    opened = open_tables(fleet.location, TABLES)
    for name, table in opened.items():
        key = list(table.table.schema) if name.endswith("_revisions") else list(table.table.key)
        assert not table.read().select(key).is_duplicated().any(), name
    found = fleet.tables()
    for name in COMPARED:
        wanted = expected[name].drop("known_from", "known_to", strict=False).select(found[name].columns).sort(pl.all())
        assert found[name].equals(wanted), (name, found[name], wanted)


@contextlib.contextmanager
def database(server: Server, template: str | None = None) -> Iterator[str]:
    """Yield the address of a new database, or of a copy of the one at `template`, which has no connections."""
    name = f"history_{uuid.uuid4().hex}"
    copied = "" if template is None else f" template {template.partition('?')[0].rpartition('/')[2]}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"create database {name}{copied}")
    try:
        yield server.url.replace("/postgres?", f"/{name}?")
    finally:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


def _fleet(folder: Path, vendor: Vendor, state: str) -> Fleet:
    folder.mkdir()
    settings = {
        "QUANTX_LAKE_URL": str(folder / "lake"),
        "QUANTX_QUEUE_URL": "postgresql",
        "QUANTX_STATE_URL": state,
        "QUANTX_YFINANCE_BASE_URL": vendor.url,
        "QUANTX_YFINANCE_QUOTA": "unlimited",
        "QUANTX_LEASE_SECONDS": "2",
        "QUANTX_INSPECT": "false",
    }
    return Fleet(settings, vendor, folder)
