"""Plan → work: what is planned is fetched once, whatever dies, doubles or fails on the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Quota, Window
from quantx.errors import (
    ConfigError,
    NotEntitled,
    QueueError,
    RateLimited,
    StateError,
    TransientProviderError,
    UnknownSymbol,
)
from quantx.pipeline.planning.plan import plan_backfill
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reporting.run_report import report_ended_runs, run_totals
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.pipeline.wiring import worker_of
from quantx.queues import messages
from quantx.state.database import Database

from ..conftest import Dies

SESSIONS = 9  # 2024-01-02 … 2024-01-12


class Failing:
    """Stands before a part of the platform and makes one of its methods fail the first times."""

    def __init__(self, real: Any, method: str, error: Exception, times: int = 1, *, after: bool = False) -> None:
        self._real, self._method, self._error, self._left, self._after = real, method, error, times, after

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name != self._method:
            return found

        def failing(*arguments: Any, **named: Any) -> Any:
            if self._left <= 0:
                return found(*arguments, **named)
            self._left -= 1
            if self._after:
                found(*arguments, **named)
            raise self._error

        return failing


# ------------------------------------------------------------------------------------------------------------- planning


def test_a_backfill_asks_once_for_each_symbol_and_the_same_again_for_nothing(desk: Any) -> None:
    desk.work(desk.backfill("AAA", "BBB"))
    assert sorted(desk.tape.asked) == [(s, Window(date(2024, 1, 2), date(2024, 1, 12))) for s in ("AAA", "BBB")]
    assert desk.rows().group_by("symbol").len().sort("symbol").rows() == [("AAA", SESSIONS), ("BBB", SESSIONS)]
    versions = desk.versions()
    again = desk.backfill("BBB", "AAA", "AAA")
    assert (again.task_ids, again.skipped) == ((), 2)
    desk.work(again)
    assert len(desk.tape.asked) == 2
    assert desk.versions() == versions


def test_only_the_missing_end_is_asked_for(desk: Any) -> None:
    desk.work(desk.backfill("AAA", end="2024-01-05"))
    desk.work(desk.backfill("AAA"))
    assert desk.tape.asked[-1] == ("AAA", Window(date(2024, 1, 8), date(2024, 1, 12)))
    assert desk.rows()["date"].to_list() == sorted(desk.tape.shows["AAA"])[:SESSIONS]


def test_sessions_that_have_not_closed_are_not_planned(desk: Any) -> None:
    desk.clock.goes_to(date(2024, 1, 12), hour=20)  # an hour before New York's close
    plan = desk.backfill("AAA", end="2024-12-31")
    assert desk.task("AAA")["window_end"] == date(2024, 1, 11)
    assert desk.backfill("AAA", start="2024-01-12", end="2024-12-31").task_ids == ()
    desk.work(plan)
    assert desk.rows()["date"].max() == date(2024, 1, 11)


def test_two_plans_share_their_unfinished_tasks(desk: Any) -> None:
    first, second = desk.backfill("AAA", "BBB"), desk.backfill("BBB", "AAA", "CCC")
    assert set(first.task_ids) < set(second.task_ids)
    desk.work(second)
    assert sorted(s for s, _ in desk.tape.asked) == ["AAA", "BBB", "CCC"]
    desk.work(first)  # ends at once


def test_a_crash_between_plan_and_send_loses_nothing(desk: Any) -> None:
    deaf = desk.with_(queue=Failing(desk.platform.queue, "send", QueueError("down"), 999))
    deaf.runtime.stop()  # and does not wait for the queue to come back
    with pytest.raises(QueueError):
        plan_backfill(deaf, Scope(("AAA",)), Window(date(2024, 1, 2), date(2024, 1, 12)), source="tape")
    assert desk.platform.queue.depth().total == 0
    desk.work()  # any worker sends what the outbox holds
    assert desk.rows().height == SESSIONS


def test_a_crash_after_the_send_sends_twice_and_lands_once(desk: Any) -> None:
    deaf = desk.with_(queue=Failing(desk.platform.queue, "send", QueueError("the answer was lost"), after=True))
    plan_backfill(deaf, Scope(("AAA",)), Window(date(2024, 1, 2), date(2024, 1, 12)), source="tape")
    assert desk.platform.queue.depth().total == 2
    desk.work()
    assert len(desk.tape.asked) == 1
    assert desk.platform.queue.depth().total == 0


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (Scope(), "no enabled universe"),
        (Scope(universe="x"), "'x'"),
        (Scope(phase="p"), "'p'"),
        (Scope(("../x",)), "symbol"),
    ],
)
def test_a_scope_that_names_nothing_is_refused(scope: Scope, said: str, desk: Any) -> None:
    with pytest.raises(ConfigError, match=said):
        plan_backfill(desk.platform, scope, Window(date(2024, 1, 2), date(2024, 1, 12)), source="tape")
    assert desk.sql("select * from runs") == []


def test_a_daily_update_reads_known_sessions_again(desk: Any) -> None:
    desk.work(desk.backfill("AAA", end="2024-01-10"))
    desk.work(desk.daily("AAA", lookback=3))
    assert desk.tape.asked[-1] == ("AAA", Window(date(2024, 1, 8), date(2024, 1, 12)))
    assert desk.daily("AAA").task_ids == ()


def test_the_update_after_three_missed_days_catches_up(desk: Any) -> None:
    desk.work(desk.backfill("AAA"))
    desk.clock.goes_to(date(2024, 1, 18))  # Monday the 15th is a holiday
    desk.work(desk.daily("AAA", lookback=0))
    assert desk.tape.asked[-1] == ("AAA", Window(date(2024, 1, 16), date(2024, 1, 18)))
    assert desk.rows()["date"].to_list()[-3:] == [date(2024, 1, 16), date(2024, 1, 17), date(2024, 1, 18)]


# -------------------------------------------------------------------------------------------------- delivery and leases


def _message(desk: Any, symbol: str) -> str:
    task = desk.task(symbol)
    return messages.encode({**task, "task_id": task["id"]})


def test_a_message_delivered_many_times_lands_once(desk: Any) -> None:
    plan = desk.backfill("AAA")
    desk.platform.queue.send([_message(desk, "AAA")] * 5)
    threads = [threading.Thread(target=desk.work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(desk.tape.asked) == 1
    assert desk.sql("select count(*) as n from landings")[0]["n"] == 1
    desk.platform.queue.send([_message(desk, "AAA")])  # and once more when all is over
    desk.work()
    assert len(desk.tape.asked) == 1
    assert desk.platform.queue.depth().total == 0
    assert desk.task("AAA")["id"] == plan.task_ids[0]


def test_who_lost_the_lease_cannot_land(desk: Any) -> None:
    """While the first worker waits for the vendor, its lease passes to a second one, which lands first."""
    desk.backfill("AAA")

    def slow() -> None:
        desk.sql("update tasks set lease_until = clock_timestamp() - interval '1 s'")
        desk.platform.queue.send([_message(desk, "AAA")])
        desk.work()  # a second worker, from the claim to the curated bars
        desk.tape.shows["AAA"][date(2024, 1, 12)] = (1.0, 1.0, 1.0, 1.0, 1.0)  # what the slow one would bring

    desk.tape.answers["AAA"] = [slow]
    desk.work()
    assert len(desk.tape.asked) == 2
    assert desk.task("AAA")["state"] == "done"
    assert desk.sql("select count(*) as n from landings")[0]["n"] == 1
    assert desk.sql("select count(*) as n from raw_objects")[0]["n"] == 2  # the late reply is kept, but not believed
    assert desk.rows()["close"].min() > 50
    assert desk.rows("bars_1d_revisions").is_empty()


def test_a_slow_vendor_does_not_cost_the_lease(desk: Any) -> None:
    """The lease is 1.2 s, the reply takes 2 s: the worker's heartbeat keeps the task."""
    plan = desk.backfill("AAA")
    desk.tape.answers["AAA"] = [lambda: time.sleep(2)]
    other = threading.Thread(target=lambda: (time.sleep(1.5), desk.work()))
    other.start()
    desk.work(plan)
    other.join(30)
    assert len(desk.tape.asked) == 1
    assert desk.task("AAA")["fence"] == 1


def test_killed_after_the_raw_object_and_before_its_record(desk: Any) -> None:
    """The reply is in the lake, PostgreSQL does not know: another worker asks again, and the bars are there once."""
    plan = desk.backfill("AAA")
    dying = desk.with_state(tasks=Failing(desk.platform.state.tasks, "land", Dies()))
    with pytest.raises(Dies):
        desk.work(plan, dying)
    assert desk.task("AAA")["state"] == "leased"
    desk.work(plan)
    assert len(desk.tape.asked) == 2
    assert len(list((desk.platform.settings.lake_url and _lake(desk)).rglob("raw/**/*.parquet"))) == 2
    assert desk.rows().height == SESSIONS
    assert desk.platform.queue.depth().total == 0


def test_killed_after_the_record_and_before_the_message_is_deleted(desk: Any) -> None:
    plan = desk.backfill("AAA")
    with pytest.raises(Dies):
        desk.work(plan, desk.with_(queue=Failing(desk.platform.queue, "delete", Dies())))
    assert desk.task("AAA")["state"] == "landed"
    time.sleep(1.3)  # the message comes back
    desk.work()
    assert len(desk.tape.asked) == 1
    assert desk.rows().height == SESSIONS
    assert desk.platform.queue.depth().total == 0


def test_a_lost_message_is_sent_again(desk: Any) -> None:
    plan = desk.backfill("AAA")
    desk.sql("delete from queue_messages")
    desk.sql("update tasks set not_before = now() - interval '1 min', updated_at = now() - interval '1 min'")
    desk.work(plan)
    assert desk.rows().height == SESSIONS


def test_a_worker_that_is_told_to_stop_gives_its_tasks_back(desk: Any) -> None:
    desk.backfill("AAA", "BBB", "CCC", "DDD")
    worker = worker_of(desk.with_(quotas={"tape": Quota(2, 1.0)}))
    threading.Timer(0.7, worker.runtime.stop).start()
    began = time.monotonic()
    worker.run()
    assert time.monotonic() - began < 3
    states = {row["state"] for row in desk.sql("select state from tasks")}
    assert states == {"pending", "landed"}
    assert all(row["attempts"] == 0 for row in desk.sql("select attempts from tasks"))
    began = time.monotonic()
    desk.work()
    assert time.monotonic() - began < 3  # nothing waits for a lease to run out
    assert desk.rows()["symbol"].n_unique() == 4


def test_the_quota_is_shared_by_all_workers(desk: Any) -> None:
    desk.backfill("AAA", "BBB", "CCC", "DDD")
    times: list[float] = []
    for symbol in desk.tape.shows:
        desk.tape.answers[symbol] = [lambda: times.append(time.monotonic())]
    settings = desk.platform.settings.model_copy(update={"chunk_size": 1})
    platform = desk.with_(quotas={"tape": Quota(2, 0.5)}, settings=settings)
    threads = [threading.Thread(target=lambda: worker_of(platform).run()) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    times.sort()
    assert len(times) == 4
    assert all(times[k + 2] - times[k] > 0.5 for k in range(2))  # never a third one within half a second


def _lake(desk: Any) -> Any:
    from pathlib import Path

    return Path(desk.platform.location.url.removeprefix("file://"))


# ------------------------------------------------------------------------------------------------------------- failures


def test_transient_errors_are_tried_again(desk: Any) -> None:
    desk.tape.answers["AAA"] = [TransientProviderError("502")]
    done = desk.work(desk.backfill("AAA"))
    assert (done.failed, done.landed) == (0, 1)
    task = desk.task("AAA")
    assert (task["state"], task["attempts"], task["requests"], task["last_error"]) == ("done", 1, 2, None)


def test_after_the_last_attempt_a_task_fails_with_the_reason(desk: Any) -> None:
    desk.tape.answers["AAA"] = [TransientProviderError("502 once"), TransientProviderError("502 twice")]
    done = desk.work(desk.backfill("AAA", "BBB"))
    assert (done.failed, done.landed) == (1, 1)
    task = desk.task("AAA")
    assert (task["state"], task["attempts"], task["last_error"]) == ("failed", 2, "502 twice")
    assert task["error_class"] == "TransientProviderError"
    assert desk.series("AAA")["failures"] == 1
    desk.work(desk.backfill("AAA"))  # and the next run asks again
    assert desk.task("AAA")["state"] == "done"
    assert desk.series("AAA")["failures"] == 0


def test_a_limit_delays_and_does_not_count(desk: Any) -> None:
    desk.tape.answers["AAA"] = [RateLimited("slow down", 1.0)] * 2
    began = time.monotonic()
    done = desk.work(desk.backfill("AAA"))
    assert time.monotonic() - began > 1.9
    assert (done.failed, done.landed) == (0, 1)
    assert desk.task("AAA")["attempts"] == 0
    assert desk.task("AAA")["requests"] == 3


def test_a_limit_closes_the_vendor_for_everybody(desk: Any) -> None:
    desk.tape.answers["AAA"] = [RateLimited("slow down", 1.5)]
    settings = desk.platform.settings.model_copy(update={"chunk_size": 1})
    desk.backfill("AAA", "BBB")
    began = time.monotonic()
    worker_of(desk.with_(settings=settings)).run()
    asked = [symbol for symbol, _ in desk.tape.asked]
    assert sorted(asked) == ["AAA", "AAA", "BBB"]
    assert time.monotonic() - began > 1.4
    assert desk.rows()["symbol"].n_unique() == 2


@pytest.mark.parametrize("error", [UnknownSymbol("no such symbol"), NotEntitled("not in your plan")])
def test_what_asking_again_cannot_help_fails_at_once(error: Exception, desk: Any) -> None:
    desk.tape.answers["AAA"] = [error]
    desk.work(desk.backfill("AAA"))
    assert len(desk.tape.asked) == 1
    assert desk.task("AAA")["state"] == "failed"
    assert desk.task("AAA")["error_class"] == type(error).__name__


def test_an_unknown_symbol_with_history_is_doubted(desk: Any) -> None:
    desk.work(desk.backfill("AAA", end="2024-01-05"))
    desk.tape.answers["AAA"] = [UnknownSymbol("possibly delisted")]
    desk.work(desk.backfill("AAA"))
    assert desk.task("AAA")["state"] == "done"
    assert desk.task("AAA")["attempts"] == 1


def test_a_malformed_reply_is_evidence_and_is_asked_again(desk: Any) -> None:
    desk.tape.answers["AAA"] = [b"<html>not today</html>"]
    done = desk.work(desk.backfill("AAA"))
    assert (done.failed, desk.task("AAA")["attempts"], desk.rows().height) == (0, 1, SESSIONS)
    bodies = pl.read_parquet(_lake(desk) / "raw/**/*.parquet", hive_partitioning=False)["body"].to_list()
    assert b"<html>not today</html>" in bodies
    rejected = desk.rows("quarantine")
    assert rejected.select("symbol", "date", "rules", "row").rows() == [
        ("AAA", None, "payload_readable", "the tape is torn")
    ]
    assert rejected["payload_sha256"].item() is not None


def test_a_reply_that_only_the_curator_cannot_read_fails_its_task(desk: Any) -> None:
    desk.tape.answers["AAA"] = [b"no json"]
    desk.work(desk.backfill("AAA", "BBB"))
    task = desk.task("AAA")
    assert (task["state"], task["error_class"]) == ("failed", "MalformedPayload")
    assert desk.rows("quarantine")["rules"].to_list() == ["payload_readable"]
    assert desk.rows()["symbol"].unique().to_list() == ["BBB"]
    desk.work(desk.backfill("AAA"))
    assert desk.rows()["symbol"].n_unique() == 2


def test_malformed_to_the_end_fails_with_all_replies_kept(desk: Any) -> None:
    desk.tape.answers["AAA"] = [b"<html>1</html>", b"<html>2</html>"]
    desk.work(desk.backfill("AAA"))
    assert desk.task("AAA")["state"] == "failed"
    assert desk.rows("quarantine").height == 1  # the same complaint once
    assert desk.sql("select count(*) as n from landings where malformed is not null")[0]["n"] == 2


# -------------------------------------------------------------------------------------------------------------- reports


def test_a_report_is_written_once_when_the_last_task_has_ended(desk: Any) -> None:
    desk.tape.answers["BBB"] = [UnknownSymbol("no such symbol")]
    plan = desk.backfill("AAA", "BBB")
    report_ended_runs(desk.platform.state, desk.platform.location, desk.platform.clock)
    assert not list(_lake(desk).glob("reports/**/*.json"))
    threads = [threading.Thread(target=desk.work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (path,) = _lake(desk).glob("reports/**/*.json")
    written = path.stat().st_mtime_ns
    report_ended_runs(desk.platform.state, desk.platform.location, desk.platform.clock)
    desk.work()
    assert path.stat().st_mtime_ns == written
    report = json.loads(path.read_text())
    assert report["run_id"] == plan.run_id
    assert report["results"] == {"success": 1, "failed": 1, "skipped": 0}
    assert report["rows"]["new"] == SESSIONS
    assert [f["symbol"] for f in report["failures"]] == ["BBB"]
    assert desk.sql("select report from runs")[0]["report"] == path.relative_to(_lake(desk)).as_posix()


def test_the_totals_of_a_run(desk: Any) -> None:
    plan = desk.backfill("AAA", "BBB")
    desk.work(plan)
    totals = run_totals(desk.platform.state.runs, plan.run_id)
    assert totals == {
        "tasks": 2,
        "success": 2,
        "failed": 0,
        "requests": 2,
        "rows_new": 2 * SESSIONS,
        "rows_changed": 0,
        "rows_same": 0,
        "rows_rejected": 0,
    }


# ------------------------------------------------------------------------------------------------ PostgreSQL in trouble


def test_a_state_that_fails_in_the_middle_is_no_lost_task(desk: Any) -> None:
    plan = desk.backfill("AAA", "BBB")
    tasks = desk.platform.state.tasks
    for method in ("claim", "land", "count"):
        for after in (False, True):  # the statement did not arrive, or its answer got lost
            tasks = Failing(tasks, method, StateError("connection reset"), after=after)
    desk.work(plan, desk.with_state(tasks=tasks))
    assert desk.rows().group_by("symbol").len()["len"].to_list() == [SESSIONS, SESSIONS]
    assert len(desk.tape.asked) == 2  # no reply was paid for twice
    assert {row["fence"] for row in desk.sql("select fence from tasks")} == {1}


def test_a_new_state_on_an_old_lake_doubles_nothing(
    desk: Any, another_desk: Callable[..., Any], fresh_database: Database
) -> None:
    """Rounds of the two never count as one another's, and what is asked again is recognised."""
    desk.work(desk.backfill("AAA"))
    desk.work(desk.daily("AAA"))
    earlier = desk.platform.state.binding().state_id
    rounds = desk.platform.tables["bars_1d"].committed_round(earlier)
    assert rounds == 1
    other = another_desk(fresh_database)
    other.work(other.backfill("AAA", "BBB"))
    bars = other.rows()
    assert bars.group_by("symbol").len().sort("symbol").rows() == [("AAA", SESSIONS), ("BBB", SESSIONS)]
    assert other.rows("bars_1d_revisions").is_empty()
    newer = other.platform.state.binding().state_id
    assert other.platform.tables["bars_1d"].committed_round(newer) == 1  # each state numbers its own rounds
    assert bars.filter(symbol="AAA")["raw"].n_unique() == 1


def test_a_mistake_in_an_adapter_fails_its_task_and_no_other(desk: Any) -> None:
    desk.tape.answers["AAA"] = [KeyError("close"), KeyError("close")]
    done = desk.work(desk.backfill("AAA", "BBB"))
    assert (done.failed, desk.task("BBB")["state"]) == (1, "done")
    assert (desk.task("AAA")["state"], desk.task("AAA")["error_class"]) == ("failed", "ProviderError")
    assert desk.task("AAA")["last_error"] == "the adapter of tape failed with KeyError"


def test_an_older_state_is_refused_once_a_newer_one_has_the_lake(desk: Any) -> None:
    """Two states would number their rounds alike and take each other's commits for their own."""
    platform = desk.platform
    desk.backfill("AAA")
    confirm_lake(platform.location, platform.state)
    platform.location.put("meta/state_id", b"another")
    with pytest.raises(ConfigError, match="a newer state has taken over the lake"):
        desk.work()
    assert desk.rows().is_empty()
    assert desk.task("AAA")["state"] == "landed"  # nothing is lost: the reply waits


def test_a_dead_symbol_rests_in_daily_updates_and_is_asked_once_a_week(desk: Any) -> None:
    desk.tape.shows["AAA"] = {d: bar for d, bar in desk.tape.shows["AAA"].items() if d <= date(2024, 1, 5)}
    desk.clock.at = datetime(2024, 3, 1, 23, tzinfo=UTC)
    desk.work(desk.backfill("AAA", "BBB", end="2024-02-29"))
    assert len(desk.daily("AAA", "BBB").task_ids) == 1
    desk.clock.at += timedelta(days=8)
    assert desk.daily("AAA").skipped == 0


def test_a_window_that_ends_on_a_weekend_is_not_asked_for_twice(desk: Any) -> None:
    desk.tape.shows["AAA"].pop(date(2024, 1, 12))  # the vendor is late with Friday
    desk.clock.at = datetime(2024, 1, 14, 12, tzinfo=UTC)
    desk.work(desk.backfill("AAA", end="2024-01-14"))
    again = desk.backfill("AAA", end="2024-01-14")
    assert (again.task_ids, again.skipped) == ((), 1)
    desk.clock.at += timedelta(hours=2)
    assert len(desk.backfill("AAA", end="2024-01-14").task_ids) == 1
