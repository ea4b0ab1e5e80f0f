"""Coverage: what the last run found complete, fresh, rejected and proven, from its stored report."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.errors import LakeError, QuantxError
from quantx.pages.render import render_page
from quantx.pipeline.reporting.coverage import read_view, view_path


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the whole lake, or of the universe that the URL names."""
    wanted = request.query_params.get("universe", "")
    page: dict[str, Any] = {"universes": [], "universe": "", "problem": "", "report": None}
    status = 200
    try:
        page["universes"] = dashboard.lake.universes()["universe"].to_list()
        if wanted and wanted not in page["universes"]:
            page["problem"], status = f"The lake has no universe {wanted[:60]}; this is the report of all.", 404
        else:
            page["universe"] = wanted
        if dashboard.location.has(view_path(page["universe"] or None)):
            page["report"] = read_view(dashboard.location, page["universe"] or None)
    except QuantxError as error:
        page["problem"], status = str(error), 503 if isinstance(error, LakeError) else 400
    return rendered(request, "coverage_page.html", title="Coverage", status=status, **page)


def style(request: Request, dashboard: Dashboard) -> Response:
    """Return the style of the report, which its own page has inside."""
    text = render_page("quantx.dashboard", "coverage.css")
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=300"})


PAGES = (
    WebPage(path="/coverage", title="Coverage", handler=show),
    WebPage(path="/coverage.css", handler=style),
)
