"""The Functions app as the host sees it: its functions, triggers, routes and rights, and what a cold start imports.

Not seen here: whether the host enforces keys, and whether it fires the timer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import quantx

REPOSITORY = Path(__file__).parents[2]
APP = REPOSITORY / "azure_functions"

REFUSED = {
    "not JSON": "{",
    "not an object": '["AAPL"]',
    "an unknown name": '{"symbol": "AAPL"}',
    "two scopes": '{"universe": "us_sp500", "phase": "phase_1"}',
    "symbols in one text": '{"symbols": "AAPL,MSFT"}',
    "symbols that are numbers": '{"symbols": [700]}',
    "days in words": '{"lookback_days": "five"}',
    "days that are a truth": '{"lookback_days": true}',
}


def drive(requests: list[dict[str, str]]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("drive_app.py")), str(APP)],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def driven() -> dict[str, Any]:
    refused = [{"function": "trigger_update", "method": "POST", "body": body} for body in REFUSED.values()]
    return drive([{"function": "health", "method": "GET"}, *refused])


def trigger(driven: dict[str, Any], function: str) -> dict[str, Any]:
    (found,) = [b for b in driven["functions"][function] if b["type"].endswith("Trigger")]
    return dict(found)


def test_the_app_has_a_timer_and_two_routes(driven: dict[str, Any]) -> None:
    assert sorted(driven["functions"]) == ["daily_update", "health", "trigger_update"]


def test_the_timer_reads_its_schedule_from_a_setting_and_never_runs_on_startup(driven: dict[str, Any]) -> None:
    timer = trigger(driven, "daily_update")
    assert (timer["type"], timer["schedule"]) == ("timerTrigger", "%DAILY_SCHEDULE%")
    assert timer["runOnStartup"] is False
    assert timer["useMonitor"] is True


@pytest.mark.parametrize(
    ("function", "route", "methods", "auth"),
    [("trigger_update", "trigger-update", ["POST"], "FUNCTION"), ("health", "health", ["GET"], "ANONYMOUS")],
)
def test_routes(driven: dict[str, Any], function: str, route: str, methods: list[str], auth: str) -> None:
    http = trigger(driven, function)
    assert (http["type"], http["route"]) == ("httpTrigger", route)
    assert [m.upper() for m in http["methods"]] == methods
    assert http["authLevel"].upper() == auth


def test_a_cold_start_imports_nothing_heavy(driven: dict[str, Any]) -> None:
    assert driven["heavy"] == []


def test_health_says_the_version(driven: dict[str, Any]) -> None:
    assert driven["replies"][0] == {
        "status": 200,
        "type": "application/json",
        "body": {"status": "ok", "version": quantx.__version__},
    }


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_request_is_refused_with_its_reason(driven: dict[str, Any], case: str) -> None:
    reply = driven["replies"][1 + list(REFUSED).index(case)]
    assert reply["status"] == 400
    assert reply["body"]["error"]


def test_every_setting_that_a_binding_names_is_in_the_example(driven: dict[str, Any]) -> None:
    example = json.loads((APP / "local.settings.json.example").read_text("utf-8"))["Values"]
    named = {
        value.strip("%")
        for bindings in driven["functions"].values()
        for binding in bindings
        for value in binding.values()
        if isinstance(value, str) and value.startswith("%")
    }
    assert named == {"DAILY_SCHEDULE"}
    assert named <= example.keys()
    assert len(example["DAILY_SCHEDULE"].split()) == 6, "seconds come first"


def test_the_hosts_file_is_of_the_second_version_and_serves_under_api() -> None:
    host = json.loads((APP / "host.json").read_text("utf-8"))
    assert host["version"] == "2.0"
    assert host["extensions"]["http"]["routePrefix"] == "api"
