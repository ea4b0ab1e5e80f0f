"""The web application: routes, static files and the headers of each response."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage
from quantx.dashboard.pages import PAGES


def create_app(dashboard: Dashboard) -> Starlette:
    """Return the application with all pages of the dashboard."""
    static = cast(Path, resources.files("quantx.dashboard") / "static")
    routes: list[BaseRoute] = [Mount("/static", StaticFiles(directory=static))]
    routes += [Route(page.path, _endpoint(page, dashboard), methods=list(page.methods)) for page in PAGES]
    app = Starlette(routes=routes)
    app.state.navigation = [(page.path, page.title) for page in PAGES if page.title]
    return app


def _endpoint(page: WebPage, dashboard: Dashboard) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(partial(page.handler, request, dashboard))

    return endpoint
