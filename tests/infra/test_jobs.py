"""What the templates hand to the program is what the program takes: commands, options, names of settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from quantx.cli.app import app
from quantx.core.schedule import parse_schedule
from quantx.settings import setting_references

from .bicep import Choice, Expression, read

INFRA = Path(__file__).parents[2] / "infra"
NOT_OURS = {  # read by Azure's libraries, by libpq, or by what is in infra/database
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AZURE_CLIENT_ID",
    "DAILY_SCHEDULE",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
    "SWEEP_SCHEDULE",
    "MANAGEMENT_URL",
    "SERVER_ID",
    "QUEUE_URL",
    "PRINCIPALS",
    "STATEMENT",
    "PGHOST",
    "PGUSER",
    "PGDATABASE",
    "PGSSLMODE",
}


def containers() -> Iterator[dict[str, Any]]:
    for resource in read(INFRA / "modules/jobs.bicep").resources:
        yield from resource.body["properties"]["template"]["containers"]


def choices(arguments: Any) -> Iterator[list[Any]]:
    if isinstance(arguments, Choice):
        yield from choices(arguments.one)
        yield from choices(arguments.other)
    else:
        yield arguments


def command_lines() -> Iterator[list[str]]:
    for container in containers():
        arguments = container["args"]
        for one in choices(arguments):
            yield ["1800" if isinstance(word, Expression) and "Timeout" in word else str(word) for word in one]


@pytest.mark.parametrize("words", [line for line in command_lines() if "--help" not in line], ids=" ".join)
def test_a_job_says_what_the_command_understands(words: list[str]) -> None:
    group = typer.main.get_command(app)
    commands: dict[str, Any] = group.commands  # type: ignore[attr-defined]
    assert words[0] in commands
    commands[words[0]].make_context("quantx", words[1:], resilient_parsing=False)


def test_the_jobs_are_these() -> None:
    assert [words[0] for words in command_lines()] == [
        "work",
        "sweep",
        "refresh-universe",
        "backup",
        "backup",
        "backfill",
        "migrate",
        "migrate",
        "migrate",
    ]


def test_each_identity_gets_its_right_in_the_database_with_and_without_readers() -> None:
    granted = [
        {
            option: {given for o, given in zip(words[1::2], words[2::2], strict=True) if o == option}
            for option in words[1::2]
        }
        for words in command_lines()
        if words[0] == "migrate" and len(words) > 1
    ]
    without, with_readers = granted
    assert without == {
        "--grant": {"worker.name", "functions.name", "operator.name"},
        "--grant-read": {"dashboard.name"},
        "--grant-progress": {"power.name"},
    }
    assert with_readers == {**without, "--grant-read": {"dashboard.name", "'${prefix}-readers'"}}


def test_the_universes_are_read_between_the_start_of_the_database_and_the_daily_update() -> None:
    source = (INFRA / "main.bicep").read_text("utf-8")
    given = dict(re.findall(r"^param (databaseStart|universesSchedule|dailySchedule) string = '(.+)'$", source, re.M))
    midnight = datetime(2025, 1, 6, tzinfo=UTC)  # a Monday
    start, read_at, planned = (
        parse_schedule(given[name]).first_after(midnight)
        for name in ("databaseStart", "universesSchedule", "dailySchedule")
    )
    assert start + timedelta(minutes=10) <= read_at <= planned - timedelta(minutes=10)


def test_what_is_set_beside_reaches_app_and_jobs() -> None:
    """A lower quota, another order of vendors, who asks the SEC: planner and workers must not differ in them."""
    template = read(INFRA / "main.bicep")
    assert "extraSettings" in str(template.variables["settings"])
    called = {module.symbol: module for module in template.modules}
    assert all("settings" in str(called[name].body["params"]["settings"]) for name in ("functions", "jobs"))


def test_a_backfill_that_is_started_without_arguments_fetches_nothing() -> None:
    (backfill,) = [words for words in command_lines() if words[0] == "backfill"]
    assert backfill == ["backfill", "--help"]


def test_the_worker_knows_when_its_time_is_over() -> None:
    (work,) = [c["args"] for c in containers() if c["name"] == "worker"]
    assert work[:3] == ["work", "--until-empty", "--time-budget"]
    assert work[3] == "string(replicaTimeout)"  # the worker itself stops claiming at 80 % of it


def test_every_setting_is_one_that_the_program_reads() -> None:
    known = {*NOT_OURS, *(name for setting in setting_references().values() for name in setting.variables)}
    for path in INFRA.rglob("*.bicep"):
        given = re.findall(r"\{ (?:name|setting): '([A-Z][A-Z0-9_]+)',", path.read_text("utf-8"))
        assert set(given) <= known, path.name
