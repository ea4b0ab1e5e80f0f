"""The overview: whether today's numbers can be used, and why not."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.pages.views import table_of


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page with the universes of the lake."""
    universes = table_of(dashboard.lake.universes().to_dicts(), "universes")
    return rendered(request, "overview.html", title="Overview", universes=universes)


PAGES = (WebPage(path="/", title="Overview", handler=show),)
