"""A client of the dashboard over a lake without a state, within the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.sign_in import TokenSignIn
from quantx.settings import load_settings

from .conftest import ADDRESS, PORT, TOKEN, TestClient


def reader_of(lake: Path | str, **settings: Any) -> TestClient:
    """Return a client that reads with the token of the dashboard of a lake."""
    app = create_app(Dashboard(load_settings(lake_url=str(lake), **settings)), TokenSignIn(PORT, TOKEN))
    return TestClient(app, ADDRESS, headers={"authorization": f"Bearer {TOKEN}"})
