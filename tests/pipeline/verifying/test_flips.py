"""A bit flipped anywhere in a lake: it is found every time, and a repair brings the tables back."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from quantx.core.tables import BARS_1D
from quantx.lake.diagnosis import file_damage
from quantx.lake.replay import read_log
from quantx.state.database import Database

from .flips import KINDS, SmallLake, broken_promises, make_lake, repaired, with_flipped_bit

FLIPS = int(os.environ.get("FLIPS", "40"))  # `make prove` tries 400


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


@pytest.mark.parametrize("seed", range(FLIPS))
def test_a_flipped_bit_is_found_and_mended(lake: SmallLake, seed: int) -> None:
    path, bit = lake.flip(random.Random(seed))
    assert broken_promises(lake, path, bit) == [], (path, bit)


def test_a_verification_without_digests_would_miss_flipped_bits(lake: SmallLake) -> None:
    """The checksums of pages and the statistics show many, but not all in the headers of pages and in the footer."""
    location, path = lake.damaged(lambda folder: None).location, BARS_1D.path
    log = read_log(location, path)
    assert log is not None
    file = log.state.live_files()[0]
    body = location.get(f"{path}/{file.path}")
    missed = 0
    for bit in random.Random(1).sample(range(8 * len(body)), 200):
        location.put(f"{path}/{file.path}", with_flipped_bit(body, bit))
        assert file_damage(location, path, BARS_1D, file) == ("does not match its SHA-256", True)
        missed += file_damage(location, path, BARS_1D, replace(file, sha256=None)) == (None, False)
    assert missed
