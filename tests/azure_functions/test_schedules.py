"""When every schedule fires that is written anywhere, and which sessions a daily one finds closed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quantx.core.schedule import parse_schedule
from quantx.settings import Settings

from ..schedules import assert_plans_every_session, next_firings, schedules_in, waits_of, winter_and_summer

REPOSITORY = Path(__file__).parents[2]
EXAMPLE = json.loads((REPOSITORY / "azure_functions/local.settings.json.example").read_text("utf-8"))["Values"]
DAILY = str(Settings.model_fields["daily_schedule"].default)
PLACES = ("infra", "azure_functions", "deploy", ".github", "src/quantx/settings", "azure.yaml")
WRITTEN = sorted(
    {
        (str(path.relative_to(REPOSITORY)), expression)
        for place in PLACES
        for path in [REPOSITORY / place, *(REPOSITORY / place).rglob("*")]
        if path.is_file()
        and path.suffix in (".bicep", ".bicepparam", ".json", ".example", ".sh", ".yml", ".yaml", ".py")
        for expression in schedules_in(path)
    }
)


@pytest.mark.parametrize(("place", "expression"), WRITTEN, ids=lambda value: value)
def test_every_schedule_that_is_written_fires(place: str, expression: str) -> None:
    for now in winter_and_summer():
        first, second = next_firings(expression, now, 2)
        assert now < first < second <= now + timedelta(days=63), place


def test_the_examples_are_the_defaults() -> None:
    assert EXAMPLE["DAILY_SCHEDULE"] == DAILY
    assert {expression for _, expression in WRITTEN} >= {DAILY, EXAMPLE["SWEEP_SCHEDULE"]}


def test_the_daily_timer_fires_at_six_from_monday_to_friday() -> None:
    friday = datetime(2025, 1, 10, 5, tzinfo=UTC)
    assert [f"{at:%a %d %H:%M:%S}" for at in next_firings(DAILY, friday, 3)] == [
        "Fri 10 06:00:00", "Mon 13 06:00:00", "Tue 14 06:00:00",
    ]  # fmt: skip


def test_the_sweep_comes_four_times_an_hour() -> None:
    noon = datetime(2025, 1, 10, 12, tzinfo=UTC)
    assert [at.minute for at in next_firings(EXAMPLE["SWEEP_SCHEDULE"], noon, 4)] == [15, 30, 45, 0]


def test_each_session_is_planned_after_it_has_settled_in_winter_and_in_summer() -> None:
    assert_plans_every_session(DAILY, within=timedelta(hours=72))


def test_what_six_oclock_means_for_each_market() -> None:
    """Sessions of New York and Europe are planned the next morning; those of Hong Kong and Tokyo are not."""
    longest: dict[str, timedelta] = {}
    for code, session, wait in waits_of(DAILY):
        if session.weekday() < 4:  # a Friday's waits for Monday
            longest[code] = max(wait, longest.get(code, wait))
    hours = {code: wait / timedelta(hours=1) for code, wait in longest.items()}
    assert hours["XNYS"] == 9.5  # in summer; 8.5 in winter
    assert 12 <= hours["XLON"] <= 14
    assert 21 <= hours["XHKG"] <= 22  # Monday's closes at 08:00 UTC on Monday and is planned on Tuesday
    assert 23 <= hours["XTKS"] <= 24  # Tokyo's settles at 06:30 or later: after the timer


def test_a_schedule_before_the_close_is_found_out() -> None:
    with pytest.raises(AssertionError, match="XNYS waits"):
        assert_plans_every_session("0 0 21 * * 1-5", within=timedelta(hours=8))


def test_the_grace_is_shorter_than_the_pause_between_two_firings() -> None:
    grace = timedelta(hours=float(Settings.model_fields["deadline_hours"].default))
    first, second = next_firings(DAILY, datetime(2025, 1, 6, tzinfo=UTC), 2)
    assert grace < second - first
    assert parse_schedule(DAILY).last_until(second - timedelta(seconds=1)) == first
