"""The Functions app: triggers that plan work and answer at once. Workers do the rest.

Heavy modules are imported inside functions, so that a cold start loads only what its trigger needs.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.function_name("daily_update")
@app.timer_trigger(arg_name="timer", schedule="%DAILY_SCHEDULE%", run_on_startup=False, use_monitor=True)
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:01:00")
def daily_update(timer: func.TimerRequest) -> None:
    """Plan the missing sessions of all universes, however old; a second firing plans nothing twice."""
    triggers, settings = installed()
    triggers.plan_update(settings)


@app.function_name("sweep")
@app.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
def sweep(timer: func.TimerRequest) -> None:
    """Send waiting tasks, plan what the daily timer has missed, and send alerts."""
    from quantx.alerts.trigger import sweep_and_alert

    sweep_and_alert(installed()[1])


def with_problems(function: Callable[[func.HttpRequest], func.HttpResponse]) -> Callable[..., func.HttpResponse]:
    """Turn our own errors into problem documents; the log has the whole error."""

    @functools.wraps(function)
    def wrapped(req: func.HttpRequest) -> func.HttpResponse:
        from quantx.errors import QuantxError
        from quantx.pipeline.planning.http_problem import MEDIA_TYPE, problem_of

        try:
            return function(req)
        except QuantxError as error:
            problem = problem_of(error)
            return reply(problem.document, problem.status, problem.headers, MEDIA_TYPE)

    return wrapped


@app.function_name("trigger_update")
@app.route("trigger-update", methods=["POST"])
@with_problems
def trigger_update(req: func.HttpRequest) -> func.HttpResponse:
    """Plan the request in the body; return 202 with the run's id and the address of its state."""
    triggers, settings = installed()
    plan = triggers.plan_update(settings, triggers.parse_request(req.get_body(), datetime.now(UTC).date()))
    shown_at = urljoin(req.url.partition("?")[0].rstrip("/"), f"runs/{plan.run_id}")
    return reply(triggers.plan_facts(plan) | {"status_url": shown_at}, 202, {"Location": shown_at})


@app.function_name("show_run")
@app.route("runs/{id}", methods=["GET"])
@with_problems
def show_run(req: func.HttpRequest) -> func.HttpResponse:
    """Return the state and the totals of a run."""
    triggers, settings = installed()
    return reply(triggers.run_facts(settings, req.route_params.get("id", "")))


@app.function_name("ready")
@app.route("ready", methods=["GET"])
@with_problems
def ready(req: func.HttpRequest) -> func.HttpResponse:
    """Return the states of database, queue and lake: 200 if all are ready, else 503."""
    from quantx.pipeline.reporting.readiness import check_readiness, readiness_facts

    facts = readiness_facts(check_readiness(installed()[1]), with_reasons=False)
    return reply(facts, 200 if facts["status"] == "ready" else 503)


@app.function_name("health")
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Confirm that the app is loaded, and no more: it needs no key, and checks no service."""
    return reply({"status": "ok"})


def installed() -> tuple[Any, Any]:
    """Return the services and the settings of this installation; the first call imports them."""
    from quantx.pipeline.planning import triggers
    from quantx.pipeline.runtime.host_logging import log_to_host
    from quantx.settings import load_settings

    if (shipped := Path(__file__).with_name("settings.yaml")).is_file():  # wherever the host runs the app from
        os.environ.setdefault("QUANTX_SETTINGS_FILE", str(shipped))
    log_to_host("ERROR")  # an error in the settings must be logged, too
    log_to_host((settings := load_settings()).log_level)
    return triggers, settings


def reply(document: Any, status: int = 200, headers: Any = None, kind: str = "application/json") -> func.HttpResponse:
    """Return a document as JSON, with instants in ISO 8601."""
    body = json.dumps(document, default=lambda instant: instant.isoformat())
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=kind)
