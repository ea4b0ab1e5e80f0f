"""A page of the dashboard: its address, its title and its handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from ulid import ULID

from quantx.dashboard.actions import return_address
from quantx.dashboard.context import Dashboard
from quantx.pages.render import render_page

Handler = Callable[[Request, Dashboard], Response]  # runs in a thread: pages read files and wait for servers


@dataclass(frozen=True, kw_only=True)
class WebPage:
    """One page, which only reads. The pages with a `title` are the navigation, in the order of PAGES."""

    path: str  # as in /runs or /runs/{run}
    handler: Handler
    title: str = ""


def rendered(request: Request, template: str, *, title: str, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page from a template in `templates`, which extends `layout.html`; all values are escaped."""
    shared = {
        "navigation": request.app.state.navigation if hasattr(request.state, "user") else (),
        "actions": request.app.state.actions,
        "user": getattr(request.state, "user", None),
        "form_token": getattr(request.state, "form_token", ""),
        "notice": getattr(request.state, "notice", None),
        "path": request.url.path,
        "here": return_address(request.url.path + (f"?{request.url.query}" if request.url.query else "")),
        "has_page": lambda address: address.split("?")[0].split("/")[1] in request.app.state.sections,
        "new_request_id": lambda: str(ULID()),
    }
    text = render_page("quantx.dashboard", template, title=title, **shared, **values)
    return HTMLResponse(text, status)
