"""The Functions app as the host sees it: its functions, triggers, routes and rights, and what a cold start imports.

The installed package is enough for this; the published one runs under the execution engine in the other files. Not seen
here: whether the host enforces keys, and whether it fires the timer.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
APP = REPOSITORY / "azure_functions"

REFUSED = {
    "not JSON": "{",
    "not an object": '["AAPL"]',
    "an unknown name": '{"symbol": "AAPL"}',
    "two scopes": '{"universe": "us_sp500", "phase": "phase_1"}',
    "days that are a truth": '{"lookback_days": true}',
}


def drive(requests: list[dict[str, str]], app: Path = APP) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("drive_app.py")), str(app)],
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


def test_the_app_has_two_timers_and_four_routes(driven: dict[str, Any]) -> None:
    assert sorted(driven["functions"]) == ["daily_update", "health", "ready", "show_run", "sweep", "trigger_update"]


@pytest.mark.parametrize(("function", "setting"), [("daily_update", "%DAILY_SCHEDULE%"), ("sweep", "%SWEEP_SCHEDULE%")])
def test_a_timer_reads_its_schedule_from_a_setting_and_never_runs_on_startup(
    driven: dict[str, Any], function: str, setting: str
) -> None:
    timer = trigger(driven, function)
    assert (timer["type"], timer["schedule"]) == ("timerTrigger", setting)
    assert timer["runOnStartup"] is False
    assert timer["useMonitor"] is True


@pytest.mark.parametrize(
    ("function", "route", "methods", "auth"),
    [
        ("trigger_update", "trigger-update", ["POST"], "FUNCTION"),
        ("show_run", "runs/{id}", ["GET"], "FUNCTION"),
        ("ready", "ready", ["GET"], "FUNCTION"),
        ("health", "health", ["GET"], "ANONYMOUS"),
    ],
)
def test_routes(driven: dict[str, Any], function: str, route: str, methods: list[str], auth: str) -> None:
    http = trigger(driven, function)
    assert (http["type"], http["route"]) == ("httpTrigger", route)
    assert [m.upper() for m in http["methods"]] == methods
    assert http["authLevel"].upper() == auth


def test_a_cold_start_imports_nothing_heavy(driven: dict[str, Any]) -> None:
    assert driven["heavy"] == []


def test_a_refused_request_loads_no_library_for_frames(driven: dict[str, Any]) -> None:
    assert driven["frames"] == []


def test_health_reports_only_that_the_app_is_loaded(driven: dict[str, Any]) -> None:
    assert driven["replies"][0] == {"status": 200, "type": "application/json", "body": {"status": "ok"}}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_request_is_refused_with_its_reason(driven: dict[str, Any], case: str) -> None:
    reply = driven["replies"][1 + list(REFUSED).index(case)]
    assert (reply["status"], reply["type"]) == (400, "application/problem+json")
    assert reply["body"]["errors"]


def test_the_settings_file_beside_the_app_counts_wherever_it_runs(tmp_path: Path) -> None:
    """The planner and the workers, which have the file in their image, must agree on the vendors."""
    shutil.copy(APP / "function_app.py", tmp_path)
    (tmp_path / "settings.yaml").write_text("sauces: {}\n")
    (reply,) = drive([{"function": "trigger_update", "method": "POST", "body": "["}], tmp_path)["replies"]
    assert reply["status"] == 500, "a wrong document would be 400: the settings were read first"


def test_the_app_is_thin() -> None:
    assert len((APP / "function_app.py").read_text("utf-8").splitlines()) <= 112


def test_every_setting_that_a_binding_names_is_in_the_example(driven: dict[str, Any]) -> None:
    example = json.loads((APP / "local.settings.json.example").read_text("utf-8"))["Values"]
    named = {
        value.strip("%")
        for bindings in driven["functions"].values()
        for binding in bindings
        for value in binding.values()
        if isinstance(value, str) and value.startswith("%")
    }
    assert named == {"DAILY_SCHEDULE", "SWEEP_SCHEDULE"}
    assert named <= example.keys()
    assert all(len(example[name].split()) == 6 for name in named), "seconds come first"


def test_the_hosts_file_is_of_the_second_version_and_serves_under_api() -> None:
    host = json.loads((APP / "host.json").read_text("utf-8"))
    assert host["version"] == "2.0"
    assert host["extensions"]["http"]["routePrefix"] == "api"
    assert host["extensions"]["queues"]["messageEncoding"] == "base64", "as our messages are"
    assert host["telemetryMode"] == "OpenTelemetry"
