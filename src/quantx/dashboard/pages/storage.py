"""The storage: tables and files of the lake, replies in the raw zone, and the estimated cost of a month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.tables import ShownColumn, ShownTable, shown_table
from quantx.errors import ConfigError
from quantx.pages.views import HtmlTable, table_of
from quantx.pipeline.reporting.monthly_cost import cost_of_month

if TYPE_CHECKING:
    from quantx.pipeline.reporting.cost import Estimate
    from quantx.pipeline.runtime.platform import Platform


def stored_tables(tables: pl.DataFrame) -> ShownTable:
    """Return the tables of the lake, the largest first; those without rows are left out."""
    rows = tables.filter(pl.col("rows") > 0).sort("megabytes", "table", descending=[True, False]).to_dicts()
    columns = [
        ShownColumn("table"),
        *(ShownColumn(name) for name in ("rows", "megabytes", "files")),
        ShownColumn("megabytes_a_file", "MB a file", value=lambda row: row["megabytes"] / max(1, row["files"])),
        *(ShownColumn(name) for name in ("first", "last", "version")),
        ShownColumn("known_from", "newest row (UTC)"),
    ]
    return shown_table(rows, "tables with rows, the largest first", columns)


def raw_table(rows: Sequence[Mapping[str, Any]]) -> HtmlTable:
    """Return the raw objects by vendor and dataset."""
    heads = {"source": "vendor", "dataset": "dataset", "objects": "objects", "replies": "replies"}
    heads |= {"megabytes": "MB of replies", "last_at": "last (UTC)"}
    shown = [{**row, "megabytes": round(row["size"] / 1e6, 1)} for row in rows]
    return table_of(shown, "replies in the raw zone", heads)


def cost_table(estimated: Estimate) -> HtmlTable:
    """Return the lines of an estimate: what, how much a month, and US dollars."""
    lines = [
        {
            "what": each.what,
            "quantity": float(each.quantity),
            "unit": each.unit,
            "free": float(each.free),
            "usd": each.usd,
        }
        for each in estimated.lines
    ]
    heads = {"what": "", "quantity": "a month", "unit": "unit", "free": "free", "usd": "USD"}
    return table_of(lines, f"estimated cost of a month in Azure: {estimated.total:,.2f} USD", heads)


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the storage."""
    tables = dashboard.lake.tables()
    found = dashboard.from_state(lambda platform: (platform.state.replies.stored(), _cost(platform)))
    raw, (cost, problem) = found or ([], (None, ""))
    return rendered(
        request,
        "storage.html",
        title="Storage",
        lake=dashboard.location.url,
        total=float(tables["megabytes"].sum()),
        files=int(tables["files"].sum()),
        table=stored_tables(tables),
        no_database="" if found is not None else dashboard.no_database,
        raw=raw_table(raw),
        cost=None if cost is None else cost_table(cost),
        no_cost=problem,
        source="" if cost is None else f"{cost.source}; prices of {cost.read}",
    )


def _cost(platform: Platform) -> tuple[Estimate | None, str]:
    """Return the estimate of a month, or why there is none."""
    try:
        return cost_of_month(platform.state.runs), "No daily run in the last 30 days to estimate a cost from."
    except ConfigError as error:
        return None, f"The cost can't be estimated: {error}"


PAGES = (WebPage(path="/storage", title="Storage", handler=show),)
