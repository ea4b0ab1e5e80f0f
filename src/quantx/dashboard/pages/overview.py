"""The overview: whether today's numbers can be used, and why not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.actions import Action, Form
from quantx.dashboard.context import Dashboard
from quantx.dashboard.freshness import due_times, read_freshness
from quantx.dashboard.lake_rows import collected
from quantx.dashboard.overview import LastRun, OverviewFacts, overview_of
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.run_reports import newest_reports
from quantx.errors import ConfigError, QuantxError
from quantx.lake.store import LakeLocation
from quantx.pipeline.reporting.monthly_cost import cost_of_month
from quantx.reader.lake import Lake
from quantx.settings import Settings

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

_AZURE = ("az://", "abfss://", "https://")


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page."""
    view, plans = overview_of(read_facts(dashboard)), can_plan(dashboard.settings)
    return rendered(request, "overview.html", title="Overview", view=view, plans=plans)


def read_facts(dashboard: Dashboard) -> OverviewFacts:
    """Return what the lake and, where it answers, the state know now."""
    settings = dashboard.settings
    limit = settings.alert_limit("freshness_missed") or 0.0
    facts = OverviewFacts(
        times=due_times(settings, dashboard.now()),
        lake_problem="",
        database_problem="",
        in_azure=settings.lake_url.startswith(_AZURE),
    )
    try:
        facts = replace(facts, universes=read_freshness(dashboard.lake, facts.times, limit))
    except QuantxError as error:
        facts = replace(facts, lake_problem=str(error))
    of_state = dashboard.from_state(_read_state)
    if of_state is not None:
        return replace(facts, **of_state)
    facts = replace(facts, database_problem=dashboard.no_database)
    return facts if facts.lake_problem else replace(facts, **_read_reports(dashboard))


def _read_state(platform: Platform) -> dict[str, Any]:
    """Return the facts of `quantx status` that the page shows: none of them counts all tasks."""
    from quantx.alerts.view import open_alerts

    state, depth = platform.state, platform.queue.depth()
    oldest = None if depth.oldest is None else (platform.clock.now() - depth.oldest).total_seconds()
    daily = state.runs.recent(1, kind="daily")
    return {
        "updated": frozenset(row.universe for row in state.runs.last_daily()),
        "last_run": _run_of(daily[0]) if daily else None,
        "findings": state.findings.count_open(),
        "tasks": {"dead": state.tasks.dead()},
        "queue": {"total": depth.total, "oldest_seconds": oldest, "poisoned": depth.poisoned},
        "back_off": state.quotas.closed(),
        "alerts": open_alerts(state),
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
    """Return the estimated US dollars of a month; None before the first daily run, or for prices that can't be read."""
    with suppress(ConfigError):  # the page of the storage names the reason
        estimated = cost_of_month(platform.state.runs)
        return None if estimated is None else estimated.total
    return None


def _read_reports(dashboard: Dashboard) -> dict[str, Any]:
    """Return what published findings and reports have; a part that can't be read is shown as not known."""
    parts: dict[str, Callable[[], Any]] = {
        "findings": lambda: _published_findings(dashboard.lake),
        "last_run": lambda: _newest_report(dashboard.location),
        "updated": lambda: _updated_universes(dashboard),
    }
    found = {}
    for name, read in parts.items():
        with suppress(QuantxError):
            found[name] = read()
    return found


def _published_findings(lake: Lake) -> dict[str, int] | None:
    """Return the open findings that the last inspection published, by severity; None where there was none."""
    if not lake.versions(["findings"]):
        return None
    published = lake.scan("findings").filter(pl.col("status") == "open").group_by("severity").len()
    return dict(collected(published).iter_rows())


def _updated_universes(dashboard: Dashboard) -> frozenset[str] | None:
    """Return the universes of daily updates by the coverage of the last run; None where it does not have them."""
    from quantx.pipeline.reporting.coverage import read_view, view_path

    if not dashboard.location.has(view_path(None)):
        return None
    names = read_view(dashboard.location, None)["updated"]
    return None if names is None else frozenset(names)


def _newest_report(location: LakeLocation) -> LastRun | None:
    reports = newest_reports(location, ("daily",), 1)
    if not reports:
        return None
    (report,) = reports
    return LastRun(
        id=report["run_id"],
        at=datetime.fromisoformat(report["started_at"]).astimezone(UTC),
        tasks=report["tasks"],
        failed=report["results"]["failed"],
        unfinished=False,
    )


def can_plan(settings: Settings) -> bool:
    """Return whether updates can be planned here: in Azure the dashboard has no vendor's key."""
    return settings.dashboard_sign_in == "token"


def _plan_update(platform: Platform, form: Form) -> str:
    """Plan a daily update, as `quantx update-daily --enqueue-only` does."""
    if not can_plan(platform.settings):
        raise ConfigError(
            "this dashboard has no vendor's key, without which a plan would be wrong; the sweeper plans a missed update"
            " within the hour, and the trigger of the app at once"
        )
    from quantx.pipeline.planning.triggers import plan_request
    from quantx.pipeline.planning.update_request import UpdateRequest

    plan = plan_request(platform, UpdateRequest())
    if not plan.task_ids:
        return "nothing is left to fetch: every session that has settled was fetched, or its vendor has nothing newer"
    tasks = "1 task is" if len(plan.task_ids) == 1 else f"{len(plan.task_ids):,} tasks are"
    return f"{tasks} planned in run {plan.run_id}; the next worker fetches them (on this machine: `quantx work`)"


PAGES = (WebPage(path="/", title="Overview", handler=show),)
ACTIONS = (Action(name="update.plan", label="Fetch the missing sessions", run=_plan_update),)
