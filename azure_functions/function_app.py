"""The Functions app: triggers that plan work and answer at once. Workers do the rest.

What is heavy is imported inside a function, so that a cold start pays only for what the trigger needs.
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
    """Plan the sessions that all universes miss, however long ago; a second firing plans nothing twice."""
    triggers, settings = installed()
    triggers.plan_update(settings)


@app.function_name("sweep")
@app.timer_trigger(arg_name="timer", schedule="%SWEEP_SCHEDULE%", run_on_startup=False, use_monitor=True)
def sweep(timer: func.TimerRequest) -> None:
    """Send what waits, and notice and plan what the daily timer has missed."""
    triggers, settings = installed()
    triggers.sweep_up(settings)


def answering(answer: Callable[[func.HttpRequest], func.HttpResponse]) -> Callable[..., func.HttpResponse]:
    """Turn the errors of our own that a function raises into problem documents; the log has the whole story."""

    @functools.wraps(answer)
    def answered(req: func.HttpRequest) -> func.HttpResponse:
        from quantx.errors import QuantxError
        from quantx.pipeline.planning.http_problem import MEDIA_TYPE, problem_of

        try:
            return answer(req)
        except QuantxError as error:
            problem = problem_of(error)
            return reply(problem.document, problem.status, problem.headers, MEDIA_TYPE)

    return answered


@app.function_name("trigger_update")
@app.route("trigger-update", methods=["POST"])
@answering
def trigger_update(req: func.HttpRequest) -> func.HttpResponse:
    """Plan what the body asks for; 202 with the run's id and where its state is shown."""
    triggers, settings = installed()
    plan = triggers.plan_update(settings, triggers.parse_wish(req.get_body(), datetime.now(UTC).date()))
    shown_at = urljoin(req.url.partition("?")[0].rstrip("/"), f"runs/{plan.run_id}")
    told = {"tasks": len(plan.task_ids), "skipped": plan.skipped, "shared": plan.shared, "status_url": shown_at}
    return reply({"run_id": plan.run_id, **told}, 202, {"Location": shown_at})


@app.function_name("show_run")
@app.route("runs/{id}", methods=["GET"])
@answering
def show_run(req: func.HttpRequest) -> func.HttpResponse:
    """Tell what became of a run."""
    triggers, settings = installed()
    return reply(triggers.run_facts(settings, req.route_params.get("id", "")))


@app.function_name("health")
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say that the app is loaded: no more, since anybody may ask, and nothing is asked for it."""
    return reply({"status": "ok"})


def installed() -> tuple[Any, Any]:
    """Return the services and the settings of this installation; the first call imports them."""
    from quantx.pipeline.planning import triggers
    from quantx.pipeline.runtime.host_logging import log_to_host
    from quantx.settings import load_settings

    if (shipped := Path(__file__).with_name("settings.yaml")).is_file():  # wherever the host runs the app from
        os.environ.setdefault("QUANTX_SETTINGS_FILE", str(shipped))
    log_to_host("ERROR")  # what is wrong with the settings must be logged, too
    log_to_host((settings := load_settings()).log_level)
    return triggers, settings


def reply(document: Any, status: int = 200, headers: Any = None, kind: str = "application/json") -> func.HttpResponse:
    """Return a document as JSON, with instants in ISO 8601."""
    body = json.dumps(document, default=lambda instant: instant.isoformat())
    return func.HttpResponse(body, status_code=status, headers=headers, mimetype=kind)
