from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.settings import load_settings

from ...reader.conftest import lake_folder  # noqa: F401 – a fixture

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of httpx's successor
    from starlette.testclient import TestClient


@pytest.fixture
def client(lake_folder: Path) -> TestClient:  # noqa: F811
    return TestClient(create_app(Dashboard(load_settings(lake_url=str(lake_folder), data_api_values=200))))
