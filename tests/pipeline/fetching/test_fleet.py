"""Many workers on one queue: priority, waiting, failed tasks, retries, outages and quotas."""

from __future__ import annotations

import json
import threading
import time
from datetime import date, timedelta
from typing import Any

import pytest

from quantx.core.model import Quota
from quantx.errors import (
    LakeError,
    NotEntitled,
    QueueError,
    RateLimited,
    StateError,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.pipeline.planning.plan import plan_retry
from quantx.pipeline.reporting.run_report import run_totals
from quantx.pipeline.reporting.status import status_of
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import worker_of
from quantx.queues import messages
from quantx.state.tasks.port import UnservedSymbol

SESSIONS = 9  # 2024-01-02 … 2024-01-12


def status(platform: Platform) -> dict[str, Any]:
    return status_of(platform.state, platform.queue.depth(), platform.location.url, platform.clock.now())


class Failing:
    """Stands before a part of the platform and makes one of its methods fail while `fails` is true."""

    def __init__(self, real: Any, method: str, error: Exception) -> None:
        self._real, self._method, self._error, self.fails, self.calls = real, method, error, True, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._method:
            return found

        def failing(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.fails:
                raise self._error
            return found(*arguments, **named)

        return failing


def later(seconds: float, call: Any) -> threading.Timer:
    timer = threading.Timer(seconds, call)
    timer.start()
    return timer


# ------------------------------------------------------------------------------------------------------------- priority


def test_daily_work_goes_before_a_backfill_that_was_planned_earlier(desk: Any) -> None:
    settings = desk.platform.settings.model_copy(update={"chunk_size": 1, "max_workers": 1})
    desk.backfill("AAA", "BBB", "CCC")
    desk.daily("DDD")
    worker_of(desk.with_(settings=settings)).run()
    assert desk.tape.asked[0][0] == "DDD"
    assert len(desk.tape.asked) == 4
    assert desk.platform.queue.depth().total == 0


def test_a_daily_and_a_backfill_task_of_one_symbol_are_never_worked_on_together(desk: Any) -> None:
    desk.backfill("AAA")
    desk.daily("AAA")
    inside, together = threading.Semaphore(1), []

    def alone() -> None:
        if not inside.acquire(blocking=False):
            together.append("two at once")
            return
        time.sleep(0.3)
        inside.release()

    desk.tape.answers["AAA"] = [alone, alone]
    threads = [threading.Thread(target=worker_of(desk.with_()).run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert together == []
    assert len(desk.tape.asked) == 2
    assert desk.rows().height == SESSIONS


# --------------------------------------------------------------------------------------------------------- shared tasks


def test_two_triggers_with_the_same_wish_are_one_run(desk: Any) -> None:
    first, second = desk.daily("AAA", "BBB"), desk.daily("BBB", "AAA")
    assert (second.run_id, set(second.task_ids)) == (first.run_id, set(first.task_ids))
    assert [row["n"] for row in desk.sql("select count(*) as n from runs")] == [1]
    assert desk.platform.queue.depth().total == 2


def test_a_wish_that_goes_further_shares_what_is_planned_and_reports_the_rest(desk: Any) -> None:
    first, second = desk.backfill("AAA"), desk.backfill("AAA", "BBB")
    assert (second.shared, len(second.task_ids)) == (1, 2)
    desk.work(second)
    assert [run_totals(desk.platform.state.runs, plan.run_id)["success"] for plan in (first, second)] == [1, 1]
    assert len(desk.sql("select report from runs where report is not null")) == 2


def test_a_timer_that_fires_again_when_all_is_done_asks_nothing_again(desk: Any) -> None:
    desk.work(desk.daily("AAA", "BBB"))
    again = desk.daily("AAA", "BBB")
    assert (again.task_ids, again.skipped) == ((), 2)


@pytest.mark.parametrize("error", [UnknownSymbol("no such symbol"), NotEntitled("not in your plan")])
def test_what_a_vendor_refuses_for_good_is_not_asked_every_day(error: Exception, desk: Any) -> None:
    desk.tape.answers["AAA"] = [error]
    desk.work(desk.daily("AAA", "BBB"))
    desk.clock.at = desk.platform.state.now() + timedelta(hours=1)
    assert desk.daily("AAA").task_ids == ()
    asked = desk.series("AAA")["last_asked_at"]
    why = (
        f"no bars: tape refused it on {asked:%Y-%m-%d} ({error}); the next request is due on"
        f" {asked + timedelta(days=7):%Y-%m-%d}; `quantx backfill` requests it now"
    )
    plan = desk.daily("AAA", "BBB")
    assert plan.unserved == (UnservedSymbol("AAA", has_bars=False, why=why),)
    assert desk.platform.state.runs.find(plan.run_id)["request"]["unserved"] == {"AAA": why}
    assert len(desk.backfill("AAA").task_ids) == 1  # who asks for it by name gets an answer
    desk.clock.at += timedelta(days=8)
    assert len(desk.daily("AAA").task_ids) == 1


# --------------------------------------------------------------------------------------------------------- failed tasks


def test_what_is_given_up_is_dead_with_its_reason_and_can_be_retried(desk: Any) -> None:
    desk.tape.answers["AAA"] = [TransientProviderError("502")] * 2
    desk.work(desk.backfill("AAA", "BBB"))
    (dead,) = desk.platform.state.tasks.listed(None, None, 10, dead=True)
    assert (dead["symbol"], dead["error_class"], dead["last_error"]) == ("AAA", "TransientProviderError", "502")
    (poison,) = desk.platform.queue.poisoned(10)
    assert poison.reason == "TransientProviderError: 502"
    assert status(desk.platform)["tasks"]["dead"] == 1
    assert status(desk.platform)["queue"]["poisoned"] == 1
    retried = plan_retry(desk.platform, None)
    desk.work(retried)
    assert run_totals(desk.platform.state.runs, retried.run_id)["success"] == 1
    assert desk.rows()["symbol"].n_unique() == 2
    assert desk.platform.state.tasks.listed(None, None, 10, dead=True) == []
    assert plan_retry(desk.platform, None).task_ids == ()
    assert status(desk.platform)["queue"]["poisoned"] == 0


def test_a_later_run_that_fills_the_sessions_settles_dead_tasks_and_their_poison(desk: Any) -> None:
    desk.tape.answers["AAA"] = [TransientProviderError("502")] * 2
    desk.tape.answers["BBB"] = [TransientProviderError("502")] * 2
    desk.work(desk.backfill("AAA", "BBB"))
    desk.platform.queue.send(["no base64!"])
    desk.work()
    assert status(desk.platform)["tasks"]["dead"] == 2
    assert status(desk.platform)["queue"]["poisoned"] == 3
    desk.work(desk.backfill("AAA"))
    assert status(desk.platform)["tasks"]["dead"] == 1
    assert status(desk.platform)["queue"]["poisoned"] == 2
    desk.work(desk.backfill("BBB"))
    assert status(desk.platform)["tasks"]["dead"] == 0
    (foreign,) = desk.platform.queue.poisoned(10)
    assert foreign.body == "no base64!"


BODIES = {
    "nothing": "",
    "no base64": "no base64!",
    "JSON that is no task": "e30=",
    "base64 that is no JSON": "bm90IGpzb24=",
    "64 KiB and one": "A" * 65_537,
    "another version": "eyJ2Ijo5OX0=",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_poison_is_put_aside_with_a_reason_after_one_delivery(body: str, desk: Any) -> None:
    desk.platform.queue.send([body])
    desk.work(desk.backfill("AAA"))
    desk.work()
    (poison,) = desk.platform.queue.poisoned(10)
    assert "a message" in poison.reason
    assert body.startswith(poison.body) or poison.body.startswith(body[:1000])
    assert desk.rows().height == SESSIONS
    assert desk.platform.queue.depth().total == 0
    assert status(desk.platform)["queue"]["poisoned"] == 1


def test_a_message_of_a_task_that_never_was_is_poison(desk: Any) -> None:
    plan = desk.backfill("AAA")
    desk.platform.queue.send([messages.encode({**desk.task("AAA"), "task_id": 987_654})])
    desk.work(plan)
    desk.work()
    assert [p.reason for p in desk.platform.queue.poisoned(10)] == [
        "it names the task 987654, which this state does not have"
    ]


def test_a_task_that_kills_its_workers_is_given_up_at_last(desk: Any) -> None:
    plan = desk.backfill("AAA", "BBB")
    desk.sql("update tasks set state = 'leased', lease_owner = 'dead', lapses = 9, fence = 9,"
             " lease_until = now() - interval '1 min' where symbol = 'AAA'")  # fmt: skip
    desk.work(plan)
    task = desk.task("AAA")
    assert (task["state"], task["error_class"]) == ("failed", "WorkerDied")
    assert task["last_error"] == "the workers that held it died 10 times"
    assert [symbol for symbol, _ in desk.tape.asked] == ["BBB"]


# -------------------------------------------------------------------------------------------------------------- outages


@pytest.mark.parametrize(
    ("part", "method", "error"),
    [("tasks", "land", StateError("connection refused")), ("tasks", "claim", StateError("connection refused"))],
)
def test_an_outage_of_the_state_is_waited_out_and_no_fetch_is_paid_twice(
    part: str, method: str, error: Exception, desk: Any
) -> None:
    plan = desk.backfill("AAA", "BBB")
    broken = Failing(getattr(desk.platform.state, part), method, error)
    later(1.0, lambda: setattr(broken, "fails", False))
    desk.work(plan, desk.with_state(**{part: broken}))
    assert broken.calls > 2
    assert len(desk.tape.asked) == 2
    assert desk.rows().height == 2 * SESSIONS


def test_an_outage_of_the_lake_is_waited_out_and_no_fetch_is_paid_twice(desk: Any) -> None:
    plan = desk.backfill("AAA", "BBB")
    broken = Failing(desk.platform.location, "put_new", LakeError("503"))
    later(1.0, lambda: setattr(broken, "fails", False))
    desk.work(plan, desk.with_(location=broken))
    assert len(desk.tape.asked) == 2
    assert desk.rows().height == 2 * SESSIONS


def test_an_outage_without_end_ends_the_worker_with_its_budget_and_loses_nothing(desk: Any) -> None:
    desk.backfill("AAA")
    broken = desk.with_(queue=Failing(desk.platform.queue, "receive", QueueError("connection refused")))
    began = time.monotonic()
    with pytest.raises(QueueError, match="connection refused"):
        worker_of(broken).run(time_budget=2)
    assert time.monotonic() - began > 1
    desk.work()
    assert desk.rows().height == SESSIONS


# --------------------------------------------------------------------------------------------------------------- quotas


def test_no_request_is_made_while_a_vendor_is_closed_whoever_was_refused(desk: Any) -> None:
    """The second worker has a reservation when the first one is refused."""
    desk.tape.answers["AAA"] = [RateLimited("blocked", 2.0)]
    desk.backfill("AAA")
    desk.daily("BBB")
    settings = desk.platform.settings.model_copy(update={"chunk_size": 1})
    slow = {"quotas": {"tape": Quota(1, 0.6)}, "settings": settings}
    asked: list[tuple[str, float]] = []
    real = desk.tape.fetch
    desk.tape.fetch = lambda request: (asked.append((request.symbols[0], time.monotonic())), real(request))[1]
    threads = [threading.Thread(target=worker_of(desk.with_(**slow)).run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    refused = next(at for symbol, at in asked if symbol == "AAA")
    assert [symbol for symbol, at in asked if 0 < at - refused < 1.9] == []
    assert sorted(symbol for symbol, _ in asked) in (["AAA", "AAA", "BBB"],)
    assert desk.rows()["symbol"].n_unique() == 2


@pytest.mark.parametrize(("retry_after", "closed_for"), [(600.0, 600), (1e9, 3600), (None, 1), (0.0, 1), (-5.0, 1)])
def test_what_a_vendor_says_about_waiting_is_believed_within_reason(
    retry_after: float | None, closed_for: float, desk: Any
) -> None:
    desk.tape.answers["AAA"] = [RateLimited("slow down", retry_after)]
    desk.backfill("AAA")
    worker_of(desk.platform).run(time_budget=0.6)
    (closed,) = desk.platform.state.quotas.closed() or [{"closed_until": desk.platform.state.now()}]
    assert closed_for - 3 < (closed["closed_until"] - desk.platform.state.now()).total_seconds() <= closed_for
    assert desk.task("AAA")["attempts"] == 0
    if closed_for > 3:
        assert [c["source"] for c in status(desk.platform)["closed"]] == ["tape"]


def test_a_stray_refusal_is_waited_out_and_its_request_made_again_at_once(desk: Any) -> None:
    """With leases of a minute, what goes back comes again after a third of one: it would be the last of its run."""
    symbols = ("AAA", "BBB", "CCC", "DDD")
    desk.tape.answers["AAA"] = [RateLimited("slow down")]
    settings = desk.platform.settings.model_copy(update={"lease_seconds": 60.0, "max_workers": 1})
    desk.backfill(*symbols)
    worker = desk.with_(quotas={"tape": Quota(20, 1.0)}, settings=settings)
    assert worker_of(worker).run(time_budget=10).landed == len(symbols)
    assert [symbol for symbol, _ in desk.tape.asked] == ["AAA", *symbols]
    assert desk.sql("select attempts, fence, requests from tasks where symbol = 'AAA'") == [
        {"attempts": 0, "fence": 1, "requests": 2}
    ]


def test_a_request_that_is_refused_again_and_again_goes_back_to_the_queue(desk: Any) -> None:
    desk.tape.answers["AAA"] = [RateLimited("slow down")] * 5
    desk.backfill("AAA")
    worker = desk.with_(quotas={"tape": Quota(100, 1.0)})
    assert worker_of(worker).run(time_budget=10).landed == 1
    assert desk.sql("select attempts, fence, requests, state from tasks") == [
        {"attempts": 0, "fence": 2, "requests": 6, "state": "done"}
    ]


def test_a_task_for_a_vendor_that_the_worker_does_not_have_is_given_up_with_a_reason(desk: Any) -> None:
    desk.backfill("AAA", "BBB")
    desk.sql("update tasks set source = 'elsewhere' where symbol = 'BBB'")
    done = desk.work()
    assert (done.landed, done.failed, done.requests) == (1, 1, 1)
    task = desk.task("BBB")
    assert (task["state"], task["lapses"]) == ("failed", 0)
    assert "no source 'elsewhere'; there is tape" in task["last_error"]


def test_a_worker_that_misses_a_vendors_key_says_which_setting_to_set(desk: Any) -> None:
    desk.backfill("AAA")
    desk.sql("update tasks set source = 'alpaca'")
    desk.work()
    assert "set QUANTX_ALPACA_API_KEY and QUANTX_ALPACA_API_SECRET" in desk.task("AAA")["last_error"]


# -------------------------------------------------------------------------------------------------------------- reports


def test_the_report_says_what_was_asked_for_and_what_came(desk: Any) -> None:
    desk.work(desk.backfill("AAA", "BBB"))
    desk.clock.goes_to(date(2024, 1, 16))
    desk.tape.shows["AAA"][date(2024, 1, 11)] = (50.0, 51.0, 49.0, 50.5, 2000.0)
    desk.tape.shows["BBB"][date(2024, 1, 16)] = (5.0, 1.0, 9.0, 5.0, 1.0)
    desk.tape.answers["CCC"] = [UnknownSymbol("no such symbol")]
    plan = desk.daily("AAA", "BBB", "CCC")
    desk.work(plan)
    report = json.loads(desk.platform.location.get(desk.platform.state.runs.report_of(plan.run_id)))
    assert (report["type"], report["symbols_processed"]) == ("daily", 3)
    assert report["results"] == {"success": 2, "failed": 1, "skipped": 0}
    assert (report["requests"], report["revisions"], report["rejected_rows"], report["rows"]["new"]) == (3, 1, 1, 1)
    assert report["failures"] == [{"symbol": "CCC", "class": "UnknownSymbol", "error": "no such symbol", "attempts": 1}]
    assert {"timestamp", "started_at", "duration_seconds", "fetched_after_seconds"} <= report.keys()
