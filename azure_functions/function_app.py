"""The Functions app: triggers that plan work and answer at once. Workers do the rest.

What is heavy is imported inside a function, so that a cold start pays only for what the trigger needs.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
log = logging.getLogger("quantx.functions")


@app.function_name("daily_update")
@app.timer_trigger(arg_name="timer", schedule="%DAILY_SCHEDULE%", run_on_startup=False, use_monitor=True)
def daily_update(timer: func.TimerRequest) -> None:
    """Plan the daily update of all universes; a second firing plans nothing twice."""
    log.info("daily_update.planned run_id=%s past_due=%s", plan({}), timer.past_due)


@app.function_name("trigger_update")
@app.route("trigger-update", methods=["POST"])
def trigger_update(req: func.HttpRequest) -> func.HttpResponse:
    """Plan what the body asks for: {"universe" | "phase" | "symbols": …, "lookback_days": 5}; 202 with the run's id."""
    from quantx.errors import ConfigError

    try:
        return reply({"run_id": plan(wanted(req.get_body()))}, 202)
    except ConfigError as error:
        return reply({"error": str(error)}, 400)


@app.function_name("health")
@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say that the app is loaded, and its version; touches neither the database nor the lake."""
    from quantx import __version__

    return reply({"status": "ok", "version": __version__})


def plan(scope: dict[str, Any]) -> str:
    """Plan and enqueue a daily update of `scope`; return the run's id."""
    from quantx.pipeline.service import plan_daily
    from quantx.settings import load_settings

    return plan_daily(load_settings(), **scope)


def wanted(body: bytes) -> dict[str, Any]:
    """Return the arguments of `plan_daily` that a request's body holds; ConfigError says what is wrong with it."""
    from quantx.errors import ConfigError

    try:
        scope = json.loads(body or b"{}")
    except ValueError as error:
        raise ConfigError(f"the body is not JSON: {error}") from None
    kinds = {"universe": str, "phase": str, "symbols": list, "lookback_days": int}
    if not isinstance(scope, dict) or not scope.keys() <= kinds.keys():
        raise ConfigError(f"the body must be an object with some of {', '.join(kinds)}")
    if len(scope.keys() - {"lookback_days"}) > 1:
        raise ConfigError("give one of universe, phase and symbols")
    for name, value in scope.items():
        if type(value) is not kinds[name] or (kinds[name] is list and not all(isinstance(s, str) for s in value)):
            raise ConfigError(f"{name} must be a {kinds[name].__name__}{' of strings' if name == 'symbols' else ''}")
    return scope


def reply(answer: dict[str, Any], status: int = 200) -> func.HttpResponse:
    """Return `answer` as JSON."""
    return func.HttpResponse(json.dumps(answer), status_code=status, mimetype="application/json")
