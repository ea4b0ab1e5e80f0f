"""The contract of the tasks port: plan work, retry what failed, and send its messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from quantx.core.model import Window
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun

from ..contract import LEASE, WEEK, Kit, in_threads, series, window


class TestPlanning:
    def test_each_symbol_gets_a_task_that_waits_for_its_message(self, kit: Kit) -> None:
        plan = kit.plan("A", "B", skipped=3)
        assert (plan.run_id, len(set(plan.task_ids)), plan.skipped, plan.shared) == ("R1", 2, 3, 0)
        tickets = kit.state.tasks.to_send(10, 60)
        assert [(t.task_id, t.run_id, t.series, t.window) for t in tickets] == [
            (task, "R1", series(symbol), WEEK) for task, symbol in zip(plan.task_ids, "AB", strict=True)
        ]

    def test_each_symbol_has_its_own_window(self, kit: Kit) -> None:
        windows: Mapping[str, Window] = {"B": window(3, 4), "A": window(5, 5)}
        kit.state.tasks.plan(kit.new_run(), [NewTask(series(symbol), window) for symbol, window in windows.items()])
        assert {t.series.symbol: t.window for t in kit.state.tasks.to_send(10, 60)} == windows

    def test_two_triggers_that_plan_the_same_work_share_its_tasks(self, kit: Kit) -> None:
        first, second = kit.plan("A", "B"), kit.plan("B", "C")
        assert (second.run_id, second.shared) == ("R2", 1)
        assert len({*first.task_ids, *second.task_ids}) == 3
        assert len(kit.state.tasks.to_send(10, 60)) == 3

    def test_a_shared_task_stays_with_the_run_that_planned_it(self, kit: Kit) -> None:
        kit.plan("A")
        second = kit.plan("A", "B")
        assert [row["symbol"] for row in kit.state.tasks.listed(None, second.run_id, 10)] == ["B"]

    def test_a_trigger_for_work_that_one_run_has_planned_joins_that_run(self, kit: Kit) -> None:
        first = kit.plan("A", "B", skipped=2)
        second = kit.plan("B", "A", skipped=7)
        assert (second.run_id, set(second.task_ids), second.skipped) == (first.run_id, set(first.task_ids), 2)
        assert [run["id"] for run in kit.state.runs.recent(10)] == [first.run_id]

    def test_a_trigger_for_work_of_two_runs_has_a_run_of_its_own(self, kit: Kit) -> None:
        kit.plan("A")
        kit.plan("B")
        both = kit.plan("A", "B")
        assert (both.run_id, both.shared) == ("R3", 2)
        assert kit.state.runs.totals("R3").tasks == 0

    def test_a_run_without_tasks_is_a_run_that_has_ended(self, kit: Kit) -> None:
        plan = kit.plan(skipped=5)
        assert (plan.run_id, plan.task_ids, plan.skipped) == ("R1", (), 5)
        assert [(run.id, run.skipped) for run in kit.state.runs.ended()] == [("R1", 5)]

    @pytest.mark.parametrize("other", [{"kind": "backfill"}, {"window": window(2, 4)}], ids=["kind", "window"])
    def test_another_kind_or_window_is_other_work(self, kit: Kit, other: dict[str, Any]) -> None:
        assert set(kit.plan("A").task_ids).isdisjoint(kit.plan("A", **other).task_ids)

    def test_work_that_has_ended_can_be_planned_again(self, kit: Kit) -> None:
        task = kit.task()
        assert kit.fail(kit.one(task), final=True)
        again = kit.plan("AAPL")
        assert (again.shared, task in again.task_ids) == (0, False)

    def test_planning_the_same_run_again_changes_nothing(self, kit: Kit) -> None:
        """The answer to the first try was lost."""
        run = kit.new_run(skipped=1)
        first = kit.plan("A", "B", run=run)
        assert kit.plan("A", "B", run=run) == first
        kit.fail(kit.one(first.task_ids[0]), final=True)
        again = kit.plan("A", "B", run=run)
        assert (again.run_id, set(again.task_ids), again.skipped) == (run.id, set(first.task_ids), 1)
        assert sum(kit.state.tasks.count().values()) == 2

    def test_triggers_that_name_the_same_symbols_in_another_order_do_not_block_each_other(self, kit: Kit) -> None:
        symbols = [f"S{n}" for n in range(100)]

        def plan(order: list[str], names: str) -> None:
            for name in names:
                kit.plan(*order, run=NewRun(name, "daily", "yahoo", {}))

        in_threads([lambda: plan(symbols, "abcdefgh"), lambda: plan(symbols[::-1], "ABCDEFGH")])
        assert kit.state.tasks.count() == {"pending": 100}


class TestRetrying:
    def dead(self, kit: Kit, *symbols: str) -> list[int]:
        ids = list(kit.plan(*symbols).task_ids)
        for task in kit.claim(*ids):
            assert kit.fail(task, final=True)
        return ids

    def test_failed_tasks_are_planned_once_more_in_a_new_run(self, kit: Kit) -> None:
        dead = self.dead(kit, "A", "B")
        plan = kit.state.tasks.retry(kit.new_run("manual"), None)
        assert (plan.run_id, len(plan.task_ids), plan.shared) == ("R2", 2, 0)
        assert set(plan.task_ids).isdisjoint(dead)
        assert sorted(t.attempts for t in kit.claim(*plan.task_ids)) == [0, 0]
        assert [kit.listed(task)["kind"] for task in plan.task_ids] == ["daily", "daily"]

    def test_a_failed_task_is_retried_once(self, kit: Kit) -> None:
        self.dead(kit, "A")
        assert len(kit.state.tasks.listed(None, None, 10, dead=True)) == 1
        kit.state.tasks.retry(kit.new_run("manual"), None)
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []
        assert kit.state.tasks.retry(kit.new_run("manual"), None).task_ids == ()

    def test_only_the_named_ones_are_retried(self, kit: Kit) -> None:
        first, second = self.dead(kit, "A", "B")
        pending = kit.task("C")
        assert len(kit.state.tasks.retry(kit.new_run("manual"), [second, pending, 999]).task_ids) == 1
        assert [row["id"] for row in kit.state.tasks.listed(None, None, 10, dead=True)] == [first]

    def test_what_is_planned_anew_already_is_shared(self, kit: Kit) -> None:
        self.dead(kit, "A", "B")
        other = kit.plan("A").task_ids[0]
        plan = kit.state.tasks.retry(kit.new_run("manual"), None)
        assert (other in plan.task_ids, len(plan.task_ids), plan.shared) == (True, 2, 1)
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []

    def test_two_failures_of_the_same_work_become_one_task(self, kit: Kit) -> None:
        self.dead(kit, "A")
        self.dead(kit, "A")
        plan = kit.state.tasks.retry(kit.new_run("manual"), None)
        assert len(plan.task_ids) == 1
        assert kit.state.tasks.listed(None, None, 10, dead=True) == []


class TestSending:
    def test_a_message_waits_until_it_was_sent(self, kit: Kit) -> None:
        task = kit.task()
        (ticket,) = kit.state.tasks.to_send(10, 60)
        assert kit.state.tasks.to_send(10, 60) == []  # another sender
        kit.let_pass(61)
        assert kit.state.tasks.to_send(10, 60) == [ticket]  # the first one died
        kit.state.tasks.sent([task])
        kit.let_pass(61)
        assert kit.state.tasks.to_send(10, 60) == []

    def test_no_more_are_taken_than_asked(self, kit: Kit) -> None:
        kit.plan("A", "B", "C")
        assert [len(kit.state.tasks.to_send(2, 60)) for _ in range(3)] == [2, 1, 0]

    def test_what_needs_no_worker_any_more_is_not_sent(self, kit: Kit) -> None:
        """A sender got an error, although the queue had taken its messages."""
        landed, failed, leased = kit.plan("A", "B", "C").task_ids
        kit.land(kit.one(landed))
        kit.fail(kit.one(failed), final=True)
        kit.one(leased)
        assert [ticket.task_id for ticket in kit.state.tasks.to_send(10, 60)] == [leased]

    def test_what_was_sent_twice_does_no_harm(self, kit: Kit) -> None:
        task = kit.task()
        for _ in range(2):
            kit.state.tasks.sent([task, 999])
        assert kit.state.tasks.to_send(10, 60) == []


class TestLostMessages:
    def test_a_task_that_nobody_works_on_is_sent_again_once(self, kit: Kit) -> None:
        waiting, dead, alive = kit.plan("A", "B", "C").task_ids
        kit.state.tasks.to_send(10, 1)
        kit.state.tasks.sent([waiting, dead, alive])
        kit.one(dead, lease=10, owner="dead")
        held = kit.one(alive, lease=10)
        assert kit.state.tasks.resend_lost(60) == 0
        kit.let_pass(100)
        kit.state.tasks.extend([held], 10)
        assert kit.state.tasks.resend_lost(60) == 2
        assert [t.task_id for t in kit.state.tasks.to_send(10, 60)] == [waiting, dead]
        assert kit.state.tasks.resend_lost(60) == 0

    def test_what_is_delayed_is_not_lost(self, kit: Kit) -> None:
        task = kit.task()
        kit.state.tasks.release([kit.one(task)], delay=100)
        kit.let_pass(120)
        assert kit.state.tasks.resend_lost(60) == 0
        kit.let_pass(60)
        assert kit.state.tasks.resend_lost(60) == 1

    def test_what_has_landed_is_not_lost(self, kit: Kit) -> None:
        kit.land(kit.one(kit.task()))
        kit.let_pass(100)
        assert kit.state.tasks.resend_lost(60) == 0


class TestPlanningHeldTasks:
    """Work that only its planner can do: files of its machine."""

    def test_they_are_leased_at_once_and_no_message_is_sent(self, kit: Kit) -> None:
        tasks = kit.state.tasks
        wanted = [NewTask(series("A"), WEEK), NewTask(series("B"), WEEK)]
        held = tasks.plan_held(NewRun("R9", "manual", "files", {}), wanted, "me", LEASE)
        assert [(t.run_id, t.series.symbol, t.window) for t in held] == [("R9", "A", WEEK), ("R9", "B", WEEK)]
        assert tasks.to_send(10, 60) == []
        assert kit.claim(held[0].id, owner="other") == []
        assert kit.land(*held) == {t.id for t in held}

    def test_the_same_work_is_held_again_once_its_planner_is_dead(self, kit: Kit) -> None:
        tasks, wanted = kit.state.tasks, [NewTask(series("A"), WEEK)]
        (first,) = tasks.plan_held(NewRun("R8", "manual", "files", {}), wanted, "me", 60)
        assert tasks.plan_held(NewRun("R9", "manual", "files", {}), wanted, "other", 60) == ()
        kit.let_pass(61)
        (again,) = tasks.plan_held(NewRun("R10", "manual", "files", {}), wanted, "other", 60)
        assert (again.id, again.run_id, again.fence > first.fence) == (first.id, "R8", True)

    def test_after_the_lease_they_are_lost_ones(self, kit: Kit) -> None:
        kit.state.tasks.plan_held(NewRun("R9", "manual", "files", {}), [NewTask(series("A"), WEEK)], "me", 60)
        kit.let_pass(600)
        assert kit.state.tasks.resend_lost(60) == 1
