"""Coverage: what the last run found complete, fresh, rejected and proven, from its stored report."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.errors import LakeError, QuantxError
from quantx.lake.store import LakeLocation
from quantx.pages.render import render_page
from quantx.pipeline.reporting.coverage_page import coverage_values
from quantx.pipeline.reporting.stored_coverage import coverage_path, read_coverage

_KEPT = 8  # reports


class CoverageViews:
    """The views of the newest reports: a large one takes longer to parse than a page may take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, str], dict[str, Any]] = OrderedDict()

    def values(self, location: LakeLocation, universe: str | None) -> dict[str, Any] | None:
        """Return the values of the page; None where no run has written a report yet."""
        path = coverage_path(universe)
        found = location.objects(path.rpartition("/")[0]).get(path)
        if found is None:
            return None
        key = (location.url, path, f"{found.e_tag} {found.modified} {found.size}")
        with self._lock:
            if key not in self._kept:
                self._kept[key] = coverage_values(read_coverage(location, path))
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]


_VIEWS = CoverageViews()


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the whole lake, or of the universe that the URL names."""
    universe, problem, values, names = request.query_params.get("universe") or None, "", None, list[str]()
    try:
        names = dashboard.lake.universes()["universe"].to_list()
        if universe is not None and universe not in names:
            problem, universe = f"The lake has no universe {universe[:60]}.", None
        values = _VIEWS.values(dashboard.location, universe)
    except QuantxError as error:
        problem = str(error)
        status = 503 if isinstance(error, LakeError) else 400
        return rendered(
            request, "coverage_page.html", title="Coverage", status=status, **_page(names, "", problem, None)
        )
    status = 404 if problem else 200
    page = _page(names, universe or "", problem, values)
    return rendered(request, "coverage_page.html", title="Coverage", status=status, **page)


def style(request: Request, dashboard: Dashboard) -> Response:
    """Return the style of the report, which its own page has inside."""
    text = render_page("quantx.dashboard", "coverage.css")
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=300"})


def _page(names: list[str], universe: str, problem: str, values: dict[str, Any] | None) -> dict[str, Any]:
    return {"universes": names, "universe": universe, "problem": problem, "report": values}


PAGES = (
    WebPage(path="/coverage", title="Coverage", handler=show),
    WebPage(path="/coverage.css", handler=style),
)
