from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..lists import Lists, serving


@pytest.fixture
def lists() -> Iterator[Lists]:
    """A web server of lists."""
    with serving() as lists:
        yield lists
