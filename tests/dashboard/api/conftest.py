from __future__ import annotations

from pathlib import Path

import pytest

from ...reader.conftest import lake_folder  # noqa: F401 – a fixture
from ..client import reader_of
from ..conftest import TestClient


@pytest.fixture
def client(lake_folder: Path) -> TestClient:  # noqa: F811
    return reader_of(lake_folder, dashboard_answer_values=200)
