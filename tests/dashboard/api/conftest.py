from __future__ import annotations

from pathlib import Path

import pytest

from ...reader.conftest import lake_folder  # noqa: F401 – a fixture
from ..client import TestClient, client_of


@pytest.fixture
def client(lake_folder: Path) -> TestClient:  # noqa: F811
    return client_of(lake_folder, data_api_values=200)
