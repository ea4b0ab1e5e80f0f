"""One symbol: its bars, events, findings and fundamentals, and the provenance of any point."""

from __future__ import annotations

import polars as pl
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from quantx.core.tables import UNIVERSE_MEMBERS
from quantx.dashboard.context import Dashboard
from quantx.dashboard.lake_rows import collected
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.series import request as requests
from quantx.dashboard.series.chart import (
    actions_of,
    carriers_of,
    chart_of,
    findings_of,
    markers_of,
    read_bars,
    security_of,
    with_security,
)
from quantx.dashboard.series.request import SeriesRequest, address_of
from quantx.dashboard.series.tables import (
    as_of_range,
    bar_table,
    event_table,
    finding_table,
    fundamental_table,
    provenance_of,
)
from quantx.dashboard.tables import ShownColumn, ShownTable, shown_table
from quantx.errors import ConfigError, NotInLake, QuantxError
from quantx.reader.lake import Lake

_LISTED = 100  # symbols of a search


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of a symbol, or the search for one."""
    try:
        wanted = SeriesRequest.parse(request.query_params)
        if not wanted.symbol:
            return _search(request, dashboard.lake, request.query_params.get("q", ""))
        with dashboard.lake.in_one_state("page of a series") as lake:
            return _series(request, lake, wanted)
    except NotInLake as error:
        return _search(request, dashboard.lake, request.query_params.get("symbol", ""), str(error), status=404)
    except QuantxError as error:
        status = 400 if isinstance(error, ConfigError) else 503
        return rendered(request, "series_search.html", title="Series", status=status, **_nothing(request, str(error)))


def chart(request: Request, dashboard: Dashboard) -> Response:
    """Return the columns of the chart for the script of the page."""
    try:
        with dashboard.lake.in_one_state("chart of a series") as lake:
            wanted = with_security(lake, SeriesRequest.parse(request.query_params))
            bars = read_bars(lake, wanted)
            markers = markers_of(actions_of(lake, wanted), findings_of(lake, wanted))
            columns = chart_of(lake, bars, markers)
        return JSONResponse(columns, headers={"Cache-Control": "private, no-cache"})
    except QuantxError as error:
        status = 400 if isinstance(error, ConfigError) else 503
        return JSONResponse({"error": {"status": status, "message": str(error)}}, status)


def _series(request: Request, lake: Lake, wanted: SeriesRequest) -> Response:
    wanted = with_security(lake, wanted)
    bars = read_bars(lake, wanted)
    actions, findings = actions_of(lake, wanted), findings_of(lake, wanted)
    return rendered(
        request,
        "series.html",
        title=wanted.symbol,
        wanted=bars.request,
        choices=requests,
        vendors=bars.vendors,
        carriers=carriers_of(lake, wanted.symbol) if wanted.on else [],
        chosen=security_of(lake, wanted),
        warnings=bars.warnings,
        zone=bars.zone,
        name=_name_of(lake, wanted.symbol),
        known=as_of_range(bars, wanted.as_of),
        bars=bar_table(bars),
        events=event_table(actions),
        findings=finding_table(findings),
        fundamentals=fundamental_table(lake, wanted),
        provenance=provenance_of(lake, wanted),
    )


def _search(request: Request, lake: Lake, text: str, problem: str = "", status: int = 200) -> Response:
    found = symbols_like(_known(lake), text)
    if not problem and text.strip().upper() in found["symbol"] and text.strip():
        return RedirectResponse(address_of({"symbol": text.strip().upper()}), 303)
    values = {"query": text, "problem": problem, "total": found.height, "symbols": _listed(found)}
    return rendered(request, "series_search.html", title="Series", status=status, **values)


def _nothing(request: Request, problem: str) -> dict[str, object]:
    return {
        "query": request.query_params.get("symbol", ""),
        "problem": problem,
        "total": 0,
        "symbols": _listed(pl.DataFrame()),
    }


def _listed(symbols: pl.DataFrame) -> ShownTable:
    columns = [
        ShownColumn("symbol", link=address_of),
        ShownColumn("name", text=True),
        *map(ShownColumn, ("market", "status")),
    ]
    return shown_table(symbols.head(_LISTED).to_dicts(), "Symbols", columns)


def symbols_like(known: pl.DataFrame, text: str) -> pl.DataFrame:
    """Return the rows (symbol, name, …) whose symbol begins with a text or whose name contains it, sorted."""
    wanted = text.strip().lower()
    if not wanted:
        return known.sort("symbol")
    begins = pl.col("symbol").str.to_lowercase().str.starts_with(wanted)
    contains = pl.col("name").str.to_lowercase().str.contains(wanted, literal=True).fill_null(False)
    return known.filter(begins | contains).sort(~begins, "symbol")


def _known(lake: Lake) -> pl.DataFrame:
    """Return symbol, name, market and status of the recorded securities and the members of universes."""
    columns = ("symbol", "name", "market", "status")
    members = collected(lake.scan(UNIVERSE_MEMBERS.name).select("symbol", "name", "market"))
    recorded = lake.instruments().select(columns)
    listed = members.unique("symbol", keep="last").join(recorded, on="symbol", how="anti")
    return pl.concat([recorded, listed], how="diagonal").select(columns)


def _name_of(lake: Lake, symbol: str) -> str:
    names = _known(lake).filter(pl.col("symbol") == symbol)["name"].drop_nulls()
    return str(names[0]) if names.len() else ""


PAGES = (
    WebPage(path="/series", title="Series", handler=show),
    WebPage(path="/series/chart", handler=chart),
)
