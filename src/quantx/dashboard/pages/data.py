"""The addresses of the data over HTTP, with their parameters, for people."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.api.formats import FORMATS
from quantx.dashboard.api.resources import RESOURCES
from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.pages.views import HtmlTable


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the addresses."""
    settings = dashboard.settings
    return rendered(
        request,
        "data.html",
        title="Data over HTTP",
        resources=[(each, parameter_table(each.name)) for each in RESOURCES.values()],
        formats=list(FORMATS.values()),
        most=settings.dashboard_answer_values,
        in_azure=settings.dashboard_sign_in == "easy_auth",
    )


def parameter_table(name: str) -> HtmlTable:
    """Return the parameters of an address."""
    rows = [
        [
            each.name,
            "required" if each.required else _default(each.default),
            each.values,
            each.meaning,
        ]
        for each in RESOURCES[name].parameters.all.values()
    ]
    return HtmlTable(f"Parameters of {name}", ["parameter", "default", "values", "meaning"], rows)


def _default(value: object) -> str:
    return "–" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


PAGES = (WebPage(path="/data", title="Data", handler=show),)
