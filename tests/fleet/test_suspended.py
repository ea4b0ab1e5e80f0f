"""A committer is suspended at a write, its database session ends, and another one works: nothing is doubled or lost.

`make prove` suspends at every write; here are a few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .fleet import Server, Vendor
from .histories import Prepared, history_of, spoiled_tables, take_over_of, waiting_work

pytestmark = pytest.mark.slow


@pytest.fixture
def waiting(server: Server, vendors: Callable[..., Vendor], tmp_path: Path) -> Iterator[Prepared]:
    yield from waiting_work(server, vendors(), tmp_path)


@pytest.fixture
def spoiled(server: Server, vendors: Callable[..., Vendor], tmp_path: Path) -> Iterator[Prepared]:
    yield from spoiled_tables(server, vendors(), tmp_path)


def test_a_suspended_reprocessing(spoiled: Prepared, tmp_path: Path) -> None:
    assert history_of(spoiled, tmp_path / "history", 4, "reprocess", "reprocess")


def test_a_suspended_update(waiting: Prepared, tmp_path: Path) -> None:
    assert history_of(waiting, tmp_path / "history", 5, "work", "work")


def test_two_states_on_one_lake(waiting: Prepared, tmp_path: Path) -> None:
    assert take_over_of(waiting, tmp_path / "history", 4) == 2
