"""A committer is suspended at a write, its database session ends, and another one works: nothing is doubled or lost.

`make prove` suspends at every write; here are a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .fleet import Server, Vendor
from .histories import (
    SECOND,
    Prepared,
    assert_right,
    database,
    end_sessions,
    go_on,
    is_suspended,
    spoiled_tables,
    suspended,
    waiting_work,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(server: Server, vendors: Callable[..., Vendor], tmp_path: Path) -> Iterator[Prepared]:
    yield from waiting_work(server, vendors(), tmp_path)


@pytest.fixture
def spoiled(server: Server, vendors: Callable[..., Vendor], tmp_path: Path) -> Iterator[Prepared]:
    yield from spoiled_tables(server, vendors(), tmp_path)


def test_a_suspended_reprocessing(spoiled: Prepared, tmp_path: Path) -> None:
    for number, (stop_at, second) in enumerate([(3, "reprocess"), (5, "reprocess")]):
        history_of(spoiled, tmp_path / f"r{number}", stop_at, ["reprocess"], [second])


def test_a_suspended_update(waiting: Prepared, tmp_path: Path) -> None:
    history_of(waiting, tmp_path / "u", 5, ["work"], ["work"])


def test_two_states_on_one_lake(waiting: Prepared, tmp_path: Path) -> None:
    assert take_over_of(waiting, tmp_path / "t", 4) == 2


def history_of(prepared: Prepared, folder: Path, stop_at: int, first: list[str], second: list[str]) -> bool:
    """Live through one history; return whether the first command wrote so often that it was suspended."""
    with prepared.copied(folder) as fleet:
        process = suspended(fleet, stop_at, *first)
        was_suspended = is_suspended(process)
        if was_suspended:
            end_sessions(fleet)
            fleet.here(*second)
            go_on(fleet, process, {0, 1, 2})
        fleet.here(*second)
        assert_right(fleet, prepared.expected)
    return was_suspended


def take_over_of(prepared: Prepared, folder: Path, stop_at: int) -> int | None:
    """Have a second state take the lake over; return how the first one ends, None if it was not suspended."""
    with prepared.copied(folder) as fleet:
        process = suspended(fleet, stop_at, "work")
        if not is_suspended(process):
            return None
        with database(prepared.server) as url:
            first, fleet.settings["QUANTX_STATE_URL"] = fleet.settings["QUANTX_STATE_URL"], url
            fleet.here(*SECOND)
            code = go_on(fleet, process, {0, 1, 2})
            assert_right(fleet, prepared.expected)
            fleet.settings["QUANTX_STATE_URL"] = first
            done = fleet.rows("select count(*)::int as done from tasks where state = 'done'")[0]["done"]
            waits = fleet.rows("select count(*)::int as n from tasks where state not in ('done', 'failed')")[0]["n"]
            assert code == 2 or waits == 0, (code, done, waits)  # what is not done is said
            fleet.settings["QUANTX_STATE_URL"] = url
    return code
