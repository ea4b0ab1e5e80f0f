"""The chart of the Series page in a browser: what it draws, and that keys and clicks reach every point."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.sign_in import TokenSignIn
from quantx.settings import load_settings

from ..reader.conftest import lake_folder  # noqa: F401 – a fixture
from .conftest import TOKEN

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no browser at {CHROMIUM}"),
]


@pytest.fixture
def address(lake_folder: Path) -> Iterator[str]:  # noqa: F811
    """The address of a running dashboard."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        app = create_app(Dashboard(load_settings(lake_url=str(lake_folder))), TokenSignIn(port, TOKEN))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join()


def test_keys_and_clicks_reach_every_point_of_the_chart(address: str) -> None:
    said: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{address}/?token={TOKEN}")
        page.goto(f"{address}/series?symbol=AAA&adjust=split")
        page.wait_for_selector("#chart[data-drawn]")
        page.focus("#chart")
        for key, shown in (
            ("End", "2024-01-04 · open 52"),
            ("ArrowLeft", "2024-01-03 · open 51.5"),
            ("Home", "2023-12-28 · open 50"),
            ("PageDown", "2024-01-04 · open 52"),
        ):
            page.keyboard.press(key)
            page.wait_for_function("text => document.getElementById('bar').textContent.startsWith(text)", arg=shown)
        page.keyboard.press("ArrowLeft")
        assert "2:1 split" in page.inner_text("#bar")
        page.keyboard.press("Enter")
        page.wait_for_url("**point=2024-01-03*")
        assert "close 51.5 USD, as traded, from yahoo" in page.inner_text("#point-title")
        page.wait_for_selector("#chart[data-drawn]")
        page.locator("#chart").click(position={"x": 100, "y": 60})
        page.wait_for_url("**point=2023-12-28*", timeout=5000)
        browser.close()
    assert said == []
