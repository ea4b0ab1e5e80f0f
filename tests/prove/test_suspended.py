"""A committer is suspended at every write in turn, its session ends or another state takes the lake over."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..fleet.fleet import Server, Vendor
from ..fleet.histories import history_of, spoiled_tables, take_over_of, waiting_work

HISTORIES = 50  # of two states; of suspended committers as many as there are writes
REPROCESSING = [("reprocess", "reprocess"), ("reprocess", "work"), ("reprocess", "compact"), ("compact", "reprocess")]
UPDATES = [("work", "work"), ("work", "reprocess"), ("work", "compact")]


@pytest.mark.parametrize(
    ("prepare", "pairs"), [(spoiled_tables, REPROCESSING), (waiting_work, UPDATES)], ids=["reprocessing", "updates"]
)
def test_suspended_at_every_write(
    server: Server,
    vendors: Callable[..., Vendor],
    tmp_path: Path,
    prepare: Callable[..., object],
    pairs: list[tuple[str, str]],
) -> None:
    lived = Counter[tuple[str, str]]()
    with contextmanager(prepare)(server, vendors(), tmp_path) as prepared:  # type: ignore[arg-type]
        for first, second in pairs:
            for stop_at in itertools.count(1):
                if not history_of(prepared, tmp_path / f"{first}-{second}-{stop_at}", stop_at, first, second):
                    break
                lived[first, second] += 1
    print(lived)
    assert lived.total() >= HISTORIES * 0.4, lived


def test_a_second_state_takes_the_lake_over_at_every_write(
    server: Server, vendors: Callable[..., Vendor], tmp_path: Path
) -> None:
    codes = Counter[int]()
    with contextmanager(waiting_work)(server, vendors(), tmp_path) as prepared:
        for number in range(HISTORIES):
            code = take_over_of(prepared, tmp_path / f"history-{number}", 1 + number % 20)
            if code is not None:
                codes[code] += 1
    print(codes)
    assert codes[2] > HISTORIES / 4, codes
