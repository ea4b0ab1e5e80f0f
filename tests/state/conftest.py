"""The state under test."""

from __future__ import annotations

import pytest

from .contract import Kit, memory_kit, postgres_kit


@pytest.fixture(params=[memory_kit, postgres_kit], ids=["memory", "postgres"])
def kit(request: pytest.FixtureRequest) -> Kit:
    made: Kit = request.param(request)
    return made
