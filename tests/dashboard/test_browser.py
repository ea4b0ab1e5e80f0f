"""The dashboard in a browser: every page and action, hostile texts, small screens, dark, keyboard, accessibility."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.pages import PAGES
from quantx.dashboard.sign_in import TokenSignIn
from quantx.pipeline.runtime.platform import open_platform
from quantx.settings import load_settings

from ..databases import Databases
from .conftest import TOKEN
from .hostile import RUN, fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
AXE = Path(__file__).parents[2] / ".venv/axe/node_modules/axe-core/axe.min.js"
LISTS = tuple(page.path for page in PAGES if page.title)
DETAILS = ("/findings/1", "/findings/2", "/tasks/1", "/tasks/2", f"/runs/{RUN}", "/series?symbol=AAPL")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no browser: {CHROMIUM} is not installed"),
]


@dataclass
class Watch:
    """What a browser complains about, and the hosts that it calls."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Site:
    """A running dashboard."""

    origin: str
    rejected: tuple[str, ...]  # addresses of rejected rows


@pytest.fixture(scope="module")
def site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A dashboard of an installation with hostile texts, served on a port of this machine."""
    import uvicorn

    with databases.migrated() as url, socket.socket() as listening:
        settings = load_settings(lake_url=str(tmp_path_factory.mktemp("lake") / "lake"), state_url=url)
        with open_platform(settings):
            pass
        fill(settings)
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        dashboard = Dashboard(settings)
        app = create_app(dashboard, TokenSignIn(port, TOKEN))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", server_header=False, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield Site(f"http://127.0.0.1:{port}", rejected_rows(dashboard))
        finally:
            server.should_exit = True
            thread.join()


def rejected_rows(dashboard: Dashboard) -> tuple[str, ...]:
    from quantx.dashboard.pages.quarantine import row_address
    from quantx.pipeline.reprocessing.quarantine import rejected_rows

    return tuple(row_address(row) for row in rejected_rows(dashboard.tables).to_dicts())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def opened(site: Site, chromium: Browser) -> Iterator[Open]:
    """Return a function that opens a page of a signed-in browser, with what it complains about."""
    with ExitStack() as stack:

        @contextmanager
        def page(**look: Any) -> Iterator[tuple[Page, Watch]]:
            context, watch = chromium.new_context(**look), Watch()
            made = context.new_page()
            made.on("console", lambda message: watch.complaints.append(message.text))
            made.on("pageerror", lambda error: watch.complaints.append(str(error)))
            made.on("request", lambda request: watch.hosts.add(request.url.split("/")[2]))
            made.goto(f"{site.origin}/?token={TOKEN}")
            yield made, watch
            context.close()

        yield lambda **look: stack.enter_context(page(**look))


@pytest.mark.parametrize("look", [{"width": 390, "scheme": "light"}, {"width": 1440, "scheme": "dark"}], ids=str)
def test_every_page_is_clean_whatever_its_texts_are(site: Site, opened: Open, look: dict[str, Any]) -> None:
    page, watch = opened(viewport={"width": look["width"], "height": 800}, color_scheme=look["scheme"])
    back = "rgb(20, 24, 31)" if look["scheme"] == "dark" else "rgb(255, 255, 255)"
    is_wide = look["width"] > 390
    for path in LISTS if is_wide else (*LISTS, *DETAILS, *site.rejected):
        answer = page.goto(site.origin + path)
        assert (path, answer.status) == (path, 200)
        page.wait_for_load_state("networkidle" if path.startswith("/series") else "load")
        assert "owned" not in page.title(), path
        assert (path, page.evaluate("document.documentElement.scrollWidth")) == (path, look["width"])
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == back
        assert (path, watch.complaints) == (path, [])
        if not is_wide or path in ("/", "/findings", "/tasks"):  # colours are the same on all
            assert (path, violations(page)) == (path, [])
        assert len(page.locator("h1").all()) == 1, path
    assert watch.hosts == {site.origin.removeprefix("http://")}


def violations(page: Page) -> list[str]:
    """Return what axe finds, where it is installed."""
    if not AXE.exists():
        return []
    page.evaluate(AXE.read_text("utf-8"))  # a script tag would be refused by the policy
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found["violations"]]


def test_a_page_without_the_token_shows_nothing(site: Site, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    answer = page.goto(f"{site.origin}/findings")
    assert answer is not None
    assert answer.status == 403
    assert page.locator("table").count() == 0
    context.close()


def test_the_keyboard_reaches_the_content_the_filters_and_the_rows_in_order(opened: Open, site: Site) -> None:
    page, _ = opened(viewport={"width": 1440, "height": 800})
    page.goto(f"{site.origin}/findings")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    seen = []
    for _press in range(12):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.name || document.activeElement.tagName.toLowerCase()"))
    assert seen[:5] == ["status", "severity", "rule", "subject", "source"]
    assert seen.index("summary") < seen.index("a")


@pytest.mark.parametrize(
    ("path", "label", "outcome"),
    [
        ("/findings/3", "Acknowledge", "Done: the finding is acknowledged"),
        ("/findings?rule=gap", "Acknowledge findings of this page", "findings are acknowledged"),
        ("/tasks/1", "Retry", "Done: run"),
        ("rejected", "Validate again", "Done: 0 pass the current rules"),
        ("rejected", "Accept", "Done: "),
    ],
)
def test_an_action_is_done_once_and_is_in_the_audit(
    opened: Open, site: Site, path: str, label: str, outcome: str
) -> None:
    page, watch = opened(viewport={"width": 390, "height": 800})
    path = next(each for each in site.rejected if "AAPL" in each) if path == "rejected" else path
    page.goto(site.origin + path)
    page.locator("summary", has_text=label).click()
    form = page.locator("details[open] form")
    reason = f"a reason <b>for {label}"
    form.get_by_label("Reason").fill(reason)
    form.get_by_role("button").dblclick()
    page.wait_for_url("**did=*")
    assert outcome in page.locator(".outcome").inner_text()
    assert watch.complaints == []
    page.goto(f"{site.origin}/audit")
    assert page.locator("td", has_text=reason).count() == 1
