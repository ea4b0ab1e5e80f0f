"""A bit flipped anywhere in a lake: it is found every time, and a repair brings the tables back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest

from quantx.state.database import Database

from .flips import KINDS, SmallLake, broken_promises, make_lake, repaired


@pytest.fixture(scope="module")
def lake(
    open_desk: Any,
    new_database: Callable[[], AbstractContextManager[Database]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SmallLake]:
    folder = tmp_path_factory.mktemp("flips")
    with new_database() as database:
        yield make_lake(open_desk(database, folder / "lake"), folder)


def test_a_good_lake_is_verified_and_stays_as_it_is(lake: SmallLake) -> None:
    platform = lake.damaged(lambda folder: None)
    found = repaired(platform)
    assert (found.damages, found.undigested) == ([], 0)
    assert found.objects == sum(map(len, lake.objects.values()))
    assert all(lake.objects[kind] for kind in KINDS)
    assert lake.contents(platform) == lake.intact


@pytest.mark.parametrize("seed", range(40))
def test_a_flipped_bit_is_found_and_mended(lake: SmallLake, seed: int) -> None:
    path, bit = lake.flip(random.Random(seed))
    assert broken_promises(lake, path, bit) == [], (path, bit)
