"""The checkout in front of the fake Azure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .checkout import Checkout, Pristine, made_checkout, make_pristine
from .fake_sites import Sites, run_sites


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Pristine:
    return make_pristine(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def checkout(tmp_path: Path, pristine: Pristine) -> Iterator[Checkout]:
    with made_checkout(tmp_path, pristine) as made:
        yield made


@pytest.fixture
def sites(pristine: Pristine) -> Iterator[Sites]:
    with run_sites(pristine.certificates) as running:
        yield running
