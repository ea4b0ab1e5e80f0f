"""The audit: what people have done, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.context import Dashboard
from quantx.dashboard.filters import number_of
from quantx.dashboard.page import WebPage, rendered
from quantx.pages.views import HtmlTable, table_of

_MOST = 100
_HEADS = {
    "begun_at": "time (UTC)",
    "actor": "by",
    "action": "action",
    "subject": "about",
    "reason": "reason",
    "outcome": "outcome",
    "message": "result",
}
_OUTCOMES = {"begun": "not finished", "done": "done", "failed": "failed"}


def audit_table(rows: Sequence[dict[str, Any]]) -> HtmlTable:
    """Return the table of actions."""
    shown = [row | {"outcome": _OUTCOMES[row["outcome"]]} for row in rows]
    return table_of(shown, "actions, the newest first", _HEADS)


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the newest actions, or of those before an id."""
    before = number_of(request.query_params.get("before", ""))
    rows = dashboard.from_state(lambda platform: platform.state.audit.listed(_MOST, before=before))
    return rendered(
        request,
        "audit.html",
        title="Audit",
        no_database="" if rows is not None else dashboard.no_database,
        table=audit_table(rows or []),
        earlier=f"/audit?before={rows[-1]['id']}" if rows and len(rows) == _MOST else "",
    )


PAGES = (WebPage(path="/audit", title="Audit", handler=show),)
