"""The runs: their tasks, rows and failures. Without the database, the newest reports of the lake."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from quantx.core.model import RunKind
from quantx.dashboard.context import Dashboard
from quantx.dashboard.filters import PAGE_ROWS, Filter, Filters, filters_of, older_link
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.run_reports import newest_reports
from quantx.dashboard.tables import ShownCell, ShownColumn, ShownTable, shown_table
from quantx.errors import NotInLake
from quantx.pages.views import text_of
from quantx.state.values import Row

_KIND = Filter("kind", "kind", tuple((kind, kind) for kind in get_args(RunKind)))
_COUNTS = ("tasks", "success", "failed", "skipped", "rows_new", "rows_changed", "rows_rejected")
_REPORTS = 20  # reports that are read where the database does not answer


def run_address(run_id: str) -> str:
    """Return the address of a run's page."""
    return f"/runs/{quote(run_id, safe='')}"


def duration_of(row: Mapping[str, Any]) -> str:
    """Return how long a run took, in minutes and seconds; "running" before its end."""
    if row["finished_at"] is None:
        return "running"
    seconds = round((row["finished_at"] - row["created_at"]).total_seconds())
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"


def runs_table(rows: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the table of runs, the newest first."""
    columns = [
        ShownColumn("created_at", "planned (UTC)", link=lambda row: run_address(row["id"])),
        ShownColumn("kind"),
        ShownColumn("source", "vendor"),
        ShownColumn("took", value=duration_of),
        *(ShownColumn(name) for name in _COUNTS),
    ]
    return shown_table(rows, "runs, the newest first", columns)


def reported_table(reports: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the table of reports."""
    rows = [
        {
            "started": report["started_at"][:16].replace("T", " "),
            "kind": report["type"],
            "vendor": report["source"],
            "seconds": report["duration_seconds"],
            "tasks": report["tasks"],
            **report["results"],
            **{f"rows_{name}": report["rows"].get(name, 0) for name in ("new", "changed", "rejected")},
        }
        for report in reports
    ]
    return shown_table(
        rows, "reports of runs in the lake, the newest first", [ShownColumn(name) for name in rows[0]] if rows else []
    )


def failures_by_error(rows: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the failures of a run by vendor and kind of error, the most frequent first."""
    counted = Counter((row["source"], row["error_class"] or "–") for row in rows)
    last = {(row["source"], row["error_class"] or "–"): row for row in rows}
    groups = [
        {
            "vendor": key[0],
            "error": key[1],
            "tasks": count,
            "symbol": last[key]["symbol"],
            "text": last[key]["last_error"],
        }
        for key, count in counted.most_common()
    ]
    columns = [ShownColumn("vendor"), ShownColumn("error"), ShownColumn("tasks"), ShownColumn("symbol", "one of them")]
    return shown_table(groups, "failures", [*columns, ShownColumn("text", "its last error", text=True)])


def run_facts(row: Mapping[str, Any]) -> list[tuple[str, ShownCell]]:
    """Return the facts of a run."""
    texts = {
        "kind": row["kind"],
        "vendor": row["source"],
        "planned (UTC)": row["created_at"],
        "ended (UTC)": row["finished_at"],
        "took": duration_of(row),
        **{name.replace("_", " "): row[name] for name in _COUNTS},
        "unfinished tasks": row["unfinished"],
        "request": json.dumps(row["request"], default=str),
        "report": row["report"],
    }
    return [(name, ShownCell(text_of(value))) for name, value in texts.items()]


def list_runs(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the newest runs, or of those before one."""
    filters = filters_of(request, _KIND)
    rows = dashboard.from_state(lambda platform: _rows(platform.state.runs.recent, filters))
    return rendered(
        request,
        "runs.html",
        title="Runs",
        filters=filters,
        no_database=dashboard.no_database if rows is None else "",
        table=reported_table(_reports(dashboard, filters)) if rows is None else runs_table(rows),
        links=older_link(filters, rows or []),
    )


def show_run(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of a run: its counts, its failures by error, and its trace."""
    from quantx.tracing import run_context

    run_id = request.path_params["run"]
    if not run_id.isprintable():
        raise NotInLake("a run has an id of letters and digits; the list of runs has all of them")
    found = dashboard.from_state(lambda p: (p.state.runs.find(run_id), p.state.runs.failures(run_id)))
    if found is not None and found[0] is None:
        raise NotInLake(f"there is no run {run_id[:40]!r}; the list of runs has all of them")
    run, failures = found or (None, [])
    return rendered(
        request,
        "run.html",
        title="Run",
        run_id=run_id,
        no_database=dashboard.no_database if run is None else "",
        facts=run_facts(run) if run else [],
        failures=failures_by_error(failures),
        trace=f"{run_context(run_id).trace_id:032x}",
        tasks=f"/tasks?run={quote(run_id, safe='')}",
    )


def _rows(recent: Any, filters: Filters) -> list[Row]:
    rows: list[Row] = recent(PAGE_ROWS, kind=filters.get("kind"), before=filters.get("before"))
    return rows


def _reports(dashboard: Dashboard, filters: Filters) -> list[dict[str, Any]]:
    kind = cast("RunKind | None", filters.get("kind"))
    return newest_reports(dashboard.location, get_args(RunKind) if kind is None else (kind,), _REPORTS)


PAGES = (
    WebPage(path="/runs", title="Runs", handler=list_runs),
    WebPage(path="/runs/{run}", handler=show_run),
)
