"""The checkout in front of the fake Azure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .checkout import Checkout, made_checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    with made_checkout(tmp_path) as made:
        yield made
