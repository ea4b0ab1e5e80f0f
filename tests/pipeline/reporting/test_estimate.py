"""What planned tasks will need: from past tasks, from the calendar, or unknown."""

from __future__ import annotations

from datetime import date

from quantx.core.model import Quota, Window
from quantx.pipeline.planning.dry_run import tasks_of_request
from quantx.pipeline.planning.update_request import UpdateRequest
from quantx.pipeline.reporting.estimate import TaskEstimate, estimate_tasks

from ..conftest import Desk


def estimate(desk: Desk, *symbols: str, start: date, end: date) -> TaskEstimate:
    request = UpdateRequest(symbols=symbols, window=Window(start, end), source="tape")
    _, tasks = tasks_of_request(desk.platform, request)
    quotas = {"tape": Quota(10, 60.0)}
    parts = {"runs": desk.platform.state.runs, "providers": desk.platform.providers, "tables": desk.platform.tables}
    (only,) = estimate_tasks(tasks, quotas=quotas, **parts)  # type: ignore[arg-type]
    return only


def test_an_estimate_of_a_new_lake_has_what_calendar_and_limits_prove_and_records_nothing(desk: Desk) -> None:
    desk.clock.goes_to(date(2024, 2, 1))
    found = estimate(desk, "AAA", "BBB", start=date(2024, 1, 2), end=date(2024, 1, 31))
    assert (found.tasks, found.sessions, found.requests, found.minutes, found.rows) == (2, 42, 2, 0.2, 42)
    assert (found.raw_megabytes, found.curated_megabytes, found.past_tasks) == (None, None, 0)
    assert desk.sql("select count(*) as tasks from tasks") == [{"tasks": 0}]
    assert desk.sql("select count(*) as runs from runs") == [{"runs": 0}]


def test_an_estimate_after_some_tasks_is_near_what_is_used_then(desk: Desk) -> None:
    desk.clock.goes_to(date(2024, 3, 1))
    for symbol, end in (("AAA", "2024-01-12"), ("BBB", "2024-02-28")):
        desk.work(desk.backfill(symbol, end=end))
    found = estimate(desk, "CCC", "DDD", start=date(2024, 1, 2), end=date(2024, 2, 28))
    desk.work(desk.backfill("CCC", "DDD", end="2024-02-28"))
    totals = desk.sql(
        "select sum(requests) as requests, sum(rows_new) as rows from tasks where symbol in ('CCC', 'DDD')"
    )
    assert found.past_tasks == 2
    assert (found.requests, found.rows) == (totals[0]["requests"], totals[0]["rows"])
    (stored,) = desk.sql("select bytes from raw_objects order by id desc limit 1")
    assert found.raw_megabytes is not None
    assert stored["bytes"] / 2 < found.raw_megabytes * 1e6 < stored["bytes"] * 3  # small objects are mostly footer
    assert found.curated_megabytes is not None
