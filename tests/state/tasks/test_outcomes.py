"""The contract of the tasks port: land replies, record failures, and list tasks."""

from __future__ import annotations

from datetime import timedelta

import pytest

from quantx.core.model import Window

from ..contract import REPLY, WEEK, Kit, raw_object, reply_to


class TestLandingAndFailing:
    def test_landing_ends_the_fetching(self, kit: Kit) -> None:
        task = kit.task()
        assert kit.land(kit.one(task)) == {task}
        assert kit.state_of(task) == "landed"
        assert kit.claim(task) == []
        assert kit.state.rounds.waiting() == (1, REPLY)
        assert kit.state.runs.totals("R1").requests == 1

    def test_tasks_that_are_still_to_be_fetched_are_few_or_not(self, kit: Kit) -> None:
        kit.landed("A", "B")
        _, held = kit.plan("C", "D").task_ids
        kit.one(held)
        assert [kit.state.tasks.few_left(most) for most in (0, 1, 2, 100)] == [False, False, True, True]

    def test_landing_the_same_object_again_returns_what_it_has_landed(self, kit: Kit) -> None:
        held = kit.one(kit.task())
        assert kit.land(held, path="raw/1.parquet") == {held.id}
        assert kit.land(held, path="raw/1.parquet") == {held.id}
        assert kit.state.rounds.waiting() == (1, REPLY)

    def test_a_task_lands_once(self, kit: Kit) -> None:
        held = kit.one(kit.task())
        assert kit.land(held, path="raw/1.parquet") == {held.id}
        assert kit.land(held, path="raw/2.parquet") == set()
        assert kit.state.rounds.waiting() == (1, REPLY)

    def test_of_a_batch_lands_what_is_still_held(self, kit: Kit) -> None:
        ids = kit.plan("A", "B").task_ids
        old = kit.claim(*ids, lease=60)
        kit.let_pass(61)
        kit.one(ids[0], owner="two")
        assert kit.land(*old) == {ids[1]}

    def test_a_malformed_reply_is_kept_and_its_task_goes_on(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task)
        assert kit.land(held, malformed="no JSON") == set()
        assert kit.state_of(task) == "leased"
        (landing,) = kit.state.rounds.replies(kit.start())
        assert (landing.task_id, landing.malformed) == (task, "no JSON")
        assert kit.fail(held, most=3) is False

    def test_failures_count_until_the_task_is_given_up(self, kit: Kit) -> None:
        task = kit.task()
        assert [kit.fail(kit.one(task), most=3) for _ in range(3)] == [False, False, True]
        row = kit.listed(task)
        assert (row["attempts"], row["last_error"], row["error_class"]) == (3, "503", "Transient")
        assert kit.claim(task) == []
        assert kit.state.runs.totals("R1").requests == 3

    def test_a_final_failure_is_given_up_at_once(self, kit: Kit) -> None:
        assert kit.fail(kit.one(kit.task()), final=True) is True

    def test_a_failure_counts_once(self, kit: Kit) -> None:
        held = kit.one(kit.task())
        assert kit.fail(held) is False
        assert kit.fail(held) is None

    def test_who_is_given_up_is_noted_with_its_series(self, kit: Kit) -> None:
        for _ in range(2):
            kit.fail(kit.one(kit.task()), final=True)
        row = kit.known()
        assert (row["failures"], row["last_error"]) == (2, "503")
        assert not kit.state.series.progress("yahoo", "bars", "1d", ["AAPL"])["AAPL"].refused

    @pytest.mark.parametrize("error_class", ["UnknownSymbol", "NotEntitled"])
    def test_an_answer_that_asking_again_does_not_change_is_a_refusal(self, kit: Kit, error_class: str) -> None:
        kit.fail(kit.one(kit.task()), final=True, error_class=error_class)
        known = kit.state.series.progress("yahoo", "bars", "1d", ["AAPL"])["AAPL"]
        assert (known.refused, known.last_error) == (True, "503")
        (row,) = kit.state.series.refused(10)
        assert (row["source"], row["timeframe"], row["symbol"], row["last_error"]) == ("yahoo", "1d", "AAPL", "503")
        assert row["last_asked_at"] == known.asked_at
        assert kit.state.series.refused(0) == []
        kit.cover((2, 5), last=5)
        assert kit.state.series.refused(10) == []
        assert not kit.state.series.progress("yahoo", "bars", "1d", ["AAPL"])["AAPL"].refused

    def test_pages_that_tasks_share_are_one_request(self, kit: Kit) -> None:
        plan = kit.plan("A", "B")
        a, b = kit.claim(*plan.task_ids)
        raw = raw_object("raw/p.parquet", payloads=2)
        replies = [reply_to(a, path=raw.path, rows=2), reply_to(b, path=raw.path, row=1)]
        assert kit.state.tasks.land(raw, replies, [a, b], [2, 0]) == {a.id, b.id}
        assert kit.state.rounds.replies(kit.start()) == replies
        assert kit.state.runs.totals(plan.run_id).requests == 2


class TestDeadTasks:
    def dead(self, kit: Kit, symbol: str = "AAPL", window: Window = WEEK) -> int:
        (task,) = kit.plan(symbol, window=window).task_ids
        assert kit.fail(kit.one(task), final=True)
        return task

    def test_a_later_task_that_covers_a_dead_one_settles_it(self, kit: Kit) -> None:
        dead = self.dead(kit)
        assert kit.state.tasks.dead() == 1
        later = kit.task()
        assert kit.state.tasks.dead() == 1  # it has not landed yet
        kit.land(kit.one(later))
        assert kit.state.tasks.dead() == 0
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []
        assert kit.listed(dead)["retried_by"] == later
        assert kit.state.tasks.retry(kit.new_run("daily", 0), None).task_ids == ()

    def test_a_wider_window_settles_and_a_narrower_one_does_not(self, kit: Kit) -> None:
        first, last = self.dead(kit), self.dead(kit, window=Window(WEEK.start, WEEK.end + timedelta(days=7)))
        (wider,) = kit.plan("AAPL", window=Window(WEEK.start - timedelta(days=7), WEEK.end)).task_ids
        kit.land(kit.one(wider))
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10, dead=True)] == [last]
        assert kit.listed(first)["retried_by"] == wider

    def test_another_series_or_a_reply_that_cannot_be_read_settles_nothing(self, kit: Kit) -> None:
        self.dead(kit)
        kit.land(kit.one(kit.task("MSFT")))
        kit.land(kit.one(kit.task()), malformed="the body is not JSON")
        assert kit.state.tasks.dead() == 1

    def test_an_earlier_task_settles_no_later_one(self, kit: Kit) -> None:
        (earlier,) = kit.plan("AAPL", kind="backfill").task_ids
        self.dead(kit)
        kit.land(kit.one(earlier))
        assert kit.state.tasks.dead() == 1


class TestListing:
    def test_tasks_are_counted_by_state(self, kit: Kit) -> None:
        landed, failed, _ = ids = kit.plan("A", "B", "C").task_ids
        kit.land(kit.one(landed))
        kit.fail(kit.one(failed), final=True)
        assert kit.state.tasks.count() == {"landed": 1, "failed": 1, "pending": 1}
        assert kit.state.tasks.count(ids[:1]) == {"landed": 1}
        assert kit.state.tasks.count([]) == {}

    def test_a_task_is_found_with_its_replies(self, kit: Kit) -> None:
        tasks, task = kit.state.tasks, kit.task()
        assert tasks.replies_of(task) == []
        kit.land(kit.one(task))
        found = tasks.find(task)
        assert found is not None
        assert {**found, **kit.listed(task)} == found
        assert (found["requests"], found["fallback"], found["lease_until"]) == (1, [], None)
        (reply,) = tasks.replies_of(task)
        assert (reply["row"], reply["size"], reply["malformed"]) == (0, REPLY, None)
        assert tasks.find(10**9) is None

    def test_the_newest_tasks_are_listed_first(self, kit: Kit) -> None:
        first, second = kit.task("A"), kit.task("B")
        kit.fail(kit.one(first), final=True)
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10)] == [second, first]
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 1)] == [second]
        assert [row["id"] for row in kit.state.tasks.listed("failed", None, 10)] == [first]
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10, before=second)] == [first]
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10, symbol="B")] == [second]
        assert kit.state.tasks.listed(None, None, 10, source="stooq") == []
        assert [row["id"] for row in kit.state.tasks.listed(None, "R2", 10)] == [second]

    def test_a_listed_task_says_the_same_in_every_state(self, kit: Kit) -> None:
        kit.task()
        (row,) = kit.state.tasks.listed(None, None, 10)
        del row["updated_at"]
        assert row == {
            "id": row["id"],
            "run_id": "R1",
            "kind": "daily",
            "source": "yahoo",
            "dataset": "bars",
            "symbol": "AAPL",
            "timeframe": "1d",
            "window_start": WEEK.start,
            "window_end": WEEK.end,
            "state": "pending",
            "attempts": 0,
            "lapses": 0,
            "rows_new": 0,
            "rows_changed": 0,
            "rows_rejected": 0,
            "error_class": None,
            "last_error": None,
            "retried_by": None,
            "passed_on": False,
        }
