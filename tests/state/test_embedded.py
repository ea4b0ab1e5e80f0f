"""The embedded PostgreSQL: started by the first, shared by all, stopped by the last, whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from quantx.errors import ConfigError, StateError
from quantx.state.database import Database
from quantx.state.embedded import EmbeddedPostgres

pytestmark = pytest.mark.slow

CHILD = """
import sys
from quantx.state.database import Database
database = Database(sys.argv[1])
print(database.rows("universes.list_universes"), flush=True)
sys.stdin.read()
database.close()
"""


def servers(folder: Path) -> list[int]:
    """Return the servers of this data folder, without the helpers that they fork."""
    running = {
        process.pid: process.info["ppid"]
        for process in psutil.process_iter(["name", "cmdline", "ppid"])
        if process.info["name"] == "postgres" and str(folder.resolve()) in (process.info["cmdline"] or [])
    }
    return [pid for pid, parent in running.items() if parent not in running]  # a helper starts with its server's name


def child(folder: Path) -> subprocess.Popen[bytes]:
    """Another process that uses the server until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"[]\n"
    return process


def leave(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=30)
    return process.returncode


@pytest.fixture(scope="module")
def used_folder(server_folder: Callable[[], Path]) -> Path:
    return server_folder()


@pytest.fixture
def folder(used_folder: Path) -> Iterator[Path]:
    """A folder whose server, if there was one, has stopped: each test leaves it so."""
    yield used_folder
    assert servers(used_folder) == []


@pytest.fixture
def new_folder(server_folder: Callable[[], Path]) -> Iterator[Path]:
    path = server_folder()
    yield path
    assert servers(path) == []


def test_a_folder_is_enough_and_nothing_runs_on_afterwards(folder: Path) -> None:
    database = Database(str(folder))
    assert database.rows("universes.list_universes") == []
    assert len(servers(folder)) == 1
    database.close()
    assert servers(folder) == []


def test_what_was_written_is_there_after_a_restart(folder: Path) -> None:
    first = Database(str(folder))
    first.rows("quotas.close", source="yahoo", seconds=3600, reason="blocked")
    first.close()
    second = Database(f"file://{folder}")
    assert [row["reason"] for row in second.rows("quotas.closed")] == ["blocked"]
    second.close()


def test_two_share_one_server_and_the_last_to_leave_stops_it(folder: Path) -> None:
    one, two = Database(str(folder)), Database(str(folder))
    assert len(servers(folder)) == 1
    one.close()
    assert two.rows("universes.list_universes") == []
    two.close()


def test_two_processes_share_one_server_whoever_leaves_first(folder: Path) -> None:
    here = Database(str(folder))
    there = child(folder)
    assert len(servers(folder)) == 1
    here.close()
    assert len(servers(folder)) == 1
    again = Database(str(folder))
    assert leave(there) == 0
    assert again.rows("universes.list_universes") == []
    again.close()


def test_a_server_whose_owner_was_killed_is_taken_over_and_stopped(folder: Path) -> None:
    owner = child(folder)
    (server,) = servers(folder)
    os.kill(owner.pid, signal.SIGKILL)
    leave(owner)
    assert servers(folder) == [server]
    database = Database(str(folder))
    assert servers(folder) == [server]
    assert database.rows("universes.list_universes") == []
    database.close()


def test_a_server_that_was_killed_is_started_again(folder: Path) -> None:
    first = Database(str(folder))
    first.rows("quotas.close", source="yahoo", seconds=3600, reason="blocked")
    (server,) = servers(folder)
    process = psutil.Process(server)
    helpers = process.children()
    process.kill()
    psutil.wait_procs([process, *helpers], timeout=30)
    first.close()
    second = Database(str(folder))
    assert [row["reason"] for row in second.rows("quotas.closed")] == ["blocked"]
    second.close()


def test_a_server_that_was_away_for_long_is_found_again_soon(folder: Path) -> None:
    keeper = EmbeddedPostgres(folder)
    url = keeper.start()
    database = Database(url)  # as on another machine, where nobody can start it
    assert database.rows("lake_binding.now")
    (server,) = servers(folder)
    process = psutil.Process(server)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    for _ in range(4):  # each waits for a connection for some seconds
        with pytest.raises(StateError):
            database.rows("lake_binding.now")
    again = EmbeddedPostgres(folder)
    keeper._presence.close()
    keeper._forget()
    assert again.start() == url
    assert database.rows("lake_binding.now")
    database.close()
    again.stop_if_unused()


def test_many_threads_may_open_the_same_new_folder(new_folder: Path) -> None:
    opened: list[Database] = []
    failures: list[BaseException] = []

    def open_one() -> None:
        try:
            opened.append(Database(str(new_folder)))
        except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=open_one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = servers(new_folder)
    for database in opened:
        database.close()
    assert failures == []
    assert len(running) == 1
    assert len(opened) == 4


def test_many_processes_may_open_the_same_new_folder_and_leave_together(new_folder: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(new_folder)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"[]\n"
    assert len(servers(new_folder)) == 1
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"can't be created.*QUANTX_STATE_URL"):
        Database(str(tmp_path / "file" / "state"))


def test_files_of_a_server_whose_creation_was_killed_are_created_again(server_folder: Callable[[], Path]) -> None:
    folder = server_folder()
    folder.mkdir()
    (folder / "PG_VERSION").write_text("18\n")
    (folder / "base").mkdir()
    note = folder.with_name(f".{folder.name}.new")
    note.touch()  # as a killed `start` leaves it
    server = EmbeddedPostgres(folder)
    server.start()
    assert not note.exists()
    server.stop_if_unused()
    assert (folder / "global").is_dir()
