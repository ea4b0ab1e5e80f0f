"""A page of the dashboard: its address, its title and its handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from quantx.dashboard.context import Dashboard
from quantx.pages.render import render_page

Handler = Callable[[Request, Dashboard], Response]  # runs in a thread: pages read files and wait for servers


@dataclass(frozen=True, kw_only=True)
class WebPage:
    """One page. The pages with a `title` are the navigation, in the order of PAGES."""

    path: str  # as in /runs or /runs/{run}
    handler: Handler
    title: str = ""
    methods: tuple[str, ...] = ("GET",)


def rendered(request: Request, template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page from a template in `templates`, which extends `layout.html`; all values are escaped."""
    navigation = request.app.state.navigation
    text = render_page(
        "quantx.dashboard", template, title=title, navigation=navigation, path=request.url.path, **values
    )
    return HTMLResponse(text, status)
