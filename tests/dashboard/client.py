"""A client of the dashboard over a lake, within the process."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.settings import load_settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of httpx's successor
    from starlette.testclient import TestClient

__all__ = ["TestClient", "client_of"]


def client_of(lake: Path | str, **settings: Any) -> TestClient:
    """Return a client of the dashboard over a lake."""
    return TestClient(create_app(Dashboard(load_settings(lake_url=str(lake), **settings))))
