"""The overview: whether today's numbers can be used, and why not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.actions import Action, Form
from quantx.dashboard.context import Dashboard
from quantx.dashboard.freshness import due_times, read_freshness
from quantx.dashboard.overview import LastRun, OverviewFacts, overview_of
from quantx.dashboard.page import WebPage, rendered
from quantx.errors import QuantxError
from quantx.lake.store import LakeLocation
from quantx.reader.lake import Lake

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

_DAILY = "reports/daily/"
_AZURE = ("az://", "abfss://", "https://")


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page."""
    return rendered(request, "overview.html", title="Overview", view=overview_of(read_facts(dashboard)))


def read_facts(dashboard: Dashboard) -> OverviewFacts:
    """Return what the lake and, where it answers, the state know now."""
    settings = dashboard.settings
    facts = OverviewFacts(
        times=due_times(settings, dashboard.now()),
        lake_problem="",
        database_problem="",
        in_azure=settings.lake_url.startswith(_AZURE),
    )
    try:
        facts = replace(facts, universes=read_freshness(dashboard.lake, facts.times))
    except QuantxError as error:
        facts = replace(facts, lake_problem=str(error))
    of_state = dashboard.from_state(_read_state)
    if of_state is not None:
        return replace(facts, **of_state)
    facts = replace(facts, database_problem=dashboard.no_database)
    return facts if facts.lake_problem else replace(facts, **_read_reports(dashboard.lake, dashboard.location))


def _read_state(platform: Platform) -> dict[str, Any]:
    """Return the facts that `quantx status` shows, and the cost."""
    from quantx.alerts.view import open_alerts
    from quantx.pipeline.reporting.status import status_of

    status = status_of(platform.state, platform.queue.depth(), platform.location.url, platform.clock.now())
    daily = next((run for run in status["runs"] if run["kind"] == "daily"), None)
    return {
        "updated": frozenset(row["name"] for row in status["universes"]),
        "last_run": None if daily is None else _run_of(daily),
        "findings": status["findings"],
        "tasks": status["tasks"],
        "queue": status["queue"],
        "back_off": status["closed"],
        "alerts": open_alerts(platform.state),
        "cost": _cost(platform) if platform.location.url.startswith(_AZURE) else None,
    }


def _run_of(row: dict[str, Any]) -> LastRun:
    return LastRun(
        id=row["id"],
        at=row["created_at"],
        tasks=row["tasks"],
        failed=row["failed"],
        unfinished=row["finished_at"] is None,
    )


def _cost(platform: Platform) -> float | None:
    """Return the estimated US dollars of a month; None before the first daily run."""
    from quantx.pipeline.reporting.cost import estimate, read_prices
    from quantx.pipeline.reporting.price_table import price_table

    used = platform.state.runs.usage("daily", 30)
    return estimate(read_prices(*price_table(None)), used, None, 21).total if used.runs and used.tasks else None


def _read_reports(lake: Lake, location: LakeLocation) -> dict[str, Any]:
    """Return what the published findings and the newest report of a daily run have; nothing for what can't be read."""
    found: dict[str, Any] = {}
    try:
        published = lake.scan("findings").filter(pl.col("status") == "open").group_by("severity").len().collect()
        found["findings"] = dict(published.iter_rows())
        found["last_run"] = _newest_report(location)
    except QuantxError:
        pass  # the page shows these facts as not known
    return found


def _newest_report(location: LakeLocation) -> LastRun | None:
    days = location.folders(_DAILY)
    if not days:
        return None
    path = max(location.paths(f"{max(days).rstrip('/')}/"))
    report = json.loads(location.get(path))
    return LastRun(
        id=report["run_id"],
        at=datetime.fromisoformat(report["started_at"]).astimezone(UTC),
        tasks=report["tasks"],
        failed=report["results"]["failed"],
        unfinished=False,
    )


def _plan_update(platform: Platform, form: Form) -> str:
    """Plan a daily update, as `quantx update-daily --enqueue-only` does."""
    from quantx.pipeline.planning.triggers import plan_request
    from quantx.pipeline.planning.update_request import UpdateRequest

    plan = plan_request(platform, UpdateRequest())
    if not plan.task_ids:
        return "nothing is left to fetch: every session that has settled was fetched, or its vendor has nothing newer"
    tasks = "1 task is" if len(plan.task_ids) == 1 else f"{len(plan.task_ids):,} tasks are"
    return f"{tasks} planned in run {plan.run_id}; the next worker fetches them (on this machine: `quantx work`)"


PAGES = (WebPage(path="/", title="Overview", handler=show),)
ACTIONS = (Action(name="update.plan", label="Fetch the missing sessions", run=_plan_update),)
