"""The dashboard under test: an application with the sign-in of this machine, and clients of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import StarletteDeprecationWarning

from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.sign_in import TokenSignIn, WebSignIn
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import Settings, load_settings

with warnings.catch_warnings():  # it works with httpx, which the pipeline has, and recommends its successor
    warnings.simplefilter("ignore", StarletteDeprecationWarning)
    from starlette.testclient import TestClient

PORT = 8780
ADDRESS = f"http://127.0.0.1:{PORT}"
TOKEN = "0123456789abcdefghijklmnop"
COOKIE = f"quantx_{PORT}"

Client = Callable[..., TestClient]


@pytest.fixture
def settings(tmp_path: Path, migrated_database_url: str) -> Settings:
    """The settings of an installation with an empty lake and an empty state."""
    made = load_settings(lake_url=str(tmp_path / "lake"), state_url=migrated_database_url)
    with open_platform(made):
        pass  # creates the lake, and binds the state to it
    return made


@pytest.fixture
def client_of() -> Iterator[Client]:
    """Return clients of an installation; by default one whose browser has entered with the token."""
    with ExitStack() as opened:

        def client(
            settings: Settings, sign_in: WebSignIn | None = None, *, entered: bool = True, **more: Any
        ) -> TestClient:
            app = create_app(Dashboard(settings), sign_in or TokenSignIn(PORT, TOKEN))
            made = TestClient(app, ADDRESS, follow_redirects=False, raise_server_exceptions=False, **more)
            if entered and sign_in is None:
                made.cookies.set(COOKIE, TOKEN)
            return opened.enter_context(made)

        yield client


@pytest.fixture
def client(settings: Settings, client_of: Client) -> TestClient:
    """A browser that has entered the dashboard of an empty installation."""
    return client_of(settings)
