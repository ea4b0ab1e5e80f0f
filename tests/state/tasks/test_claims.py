"""The contract of the tasks port: claims, leases and fences."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from quantx.core.model import Window
from quantx.state.postgres import open_state
from quantx.state.tasks.port import Claim, NewTask
from quantx.state.values import NewRun

from ..contract import LEASE, WEEK, Kit, has_run_since, in_threads, series


class TestClaiming:
    def test_a_task_is_held_by_one_worker(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task, owner="one")
        assert (held.fence, held.attempts, held.has_history) == (1, 0, False)
        assert (held.run_id, held.kind, held.series, held.window) == ("R1", "daily", series(), WEEK)
        assert kit.claim(task, owner="two") == []
        assert kit.state_of(task) == "leased"

    def test_the_same_owner_gets_what_it_has_got(self, kit: Kit) -> None:
        """The answer to its claim was lost."""
        task = kit.task()
        assert kit.one(task, owner="one") == kit.one(task, owner="one")

    def test_a_repeated_claim_begins_the_lease_anew(self, kit: Kit) -> None:
        task = kit.task()
        kit.one(task, owner="one", lease=60)
        kit.let_pass(40)
        kit.one(task, owner="one", lease=60)
        kit.let_pass(40)
        assert kit.claim(task, owner="two") == []

    def test_a_lease_that_ran_out_passes_on_with_a_higher_fence(self, kit: Kit) -> None:
        task = kit.task()
        one = kit.one(task, owner="one", lease=60)
        kit.let_pass(61)
        assert kit.one(task, owner="two").fence > one.fence

    def test_a_message_may_be_ahead_of_the_delay_of_its_task(self, kit: Kit) -> None:
        task = kit.task()
        kit.state.tasks.release([kit.one(task)], delay=3600)
        assert len(kit.claim(task)) == 1

    def test_claiming_says_what_needs_no_worker_and_what_does_not_exist(self, kit: Kit) -> None:
        landed, failed, held, free = kit.plan("A", "B", "C", "D").task_ids
        kit.land(kit.one(landed))
        kit.fail(kit.one(failed), final=True)
        kit.one(held, owner="other")
        claim = kit.state.tasks.claim([landed, failed, held, free, 999], "me", LEASE, 10)
        assert [t.id for t in claim.held] == [free]
        assert (claim.complete, claim.unknown) == ({landed, failed}, {999})

    def test_no_more_are_claimed_than_asked(self, kit: Kit) -> None:
        ids = kit.plan("A", "B", "C").task_ids
        assert [t.id for t in kit.claim(*ids, most=2)] == list(ids[:2])
        assert [t.id for t in kit.claim(*ids, most=2, owner="two")] == [ids[2]]

    def test_claiming_nothing_is_nothing(self, kit: Kit) -> None:
        kit.task()
        assert kit.claim() == []

    def test_tasks_of_one_series_are_worked_on_one_after_the_other(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        assert kit.one(backfill, daily, owner="one").id == daily
        assert kit.claim(backfill, owner="two") == []
        assert kit.claim(backfill, owner="one") == []
        kit.let_pass(LEASE + 1)
        assert kit.one(backfill, owner="two").id == backfill

    def test_whose_lease_has_run_out_does_not_come_back_beside_another_task_of_the_series(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        lapsed = kit.one(backfill, owner="one")
        kit.let_pass(LEASE + 1)
        kit.one(daily, owner="two")
        assert kit.state.tasks.extend([lapsed], LEASE) == set()
        assert kit.land(lapsed) == set()
        assert kit.state_of(backfill) == "pending"

    def test_a_series_whose_reply_has_landed_is_free_for_its_next_task(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        kit.land(kit.one(daily))
        assert kit.one(backfill, owner="two").id == backfill

    def test_daily_work_goes_first_also_where_nobody_named_it(self, kit: Kit) -> None:
        backfills = kit.plan("A", "B", kind="backfill").task_ids
        daily = kit.plan("C").task_ids
        assert [t.id for t in kit.claim(*backfills, most=2)] == [*daily, backfills[0]]

    def test_daily_work_that_is_to_wait_is_not_claimed_unnamed(self, kit: Kit) -> None:
        backfill, daily = kit.task("A", "backfill"), kit.task("B")
        kit.state.tasks.release([kit.one(daily)], delay=3600)
        assert [t.id for t in kit.claim(backfill)] == [backfill]

    @pytest.mark.parametrize("named", ["daily", "settled"])
    def test_daily_work_is_not_claimed_unnamed_where_no_other_work_is_named(self, kit: Kit, named: str) -> None:
        other, unnamed = kit.task("A", "daily" if named == "daily" else "backfill"), kit.task("B")
        if named == "settled":
            kit.land(kit.claim(other, most=2)[-1])
            kit.let_pass(LEASE + 1)
            kit.state.tasks.release(kit.claim(unnamed, owner="x"), delay=0)
        assert unnamed not in [t.id for t in kit.claim(other)]

    def test_of_many_workers_one_gets_each_task(self, kit: Kit) -> None:
        ids = kit.plan(*(f"S{n}" for n in range(100))).task_ids
        got: list[int] = []

        def claims(n: int) -> Callable[[], None]:
            return lambda: got.extend(t.id for t in kit.claim(*ids[n % 2 :: 2], owner=str(n)))

        in_threads([claims(n) for n in range(6)])
        assert sorted(got) == sorted(ids)

    def test_of_many_workers_one_gets_each_series(self, kit: Kit) -> None:
        names = [f"S{n}" for n in range(30)]
        ids = [*kit.plan(*names).task_ids, *kit.plan(*names, kind="backfill").task_ids]
        got: list[str] = []

        def claims(n: int) -> Callable[[], None]:
            return lambda: got.extend(t.series.symbol for t in kit.claim(*ids[n % 3 :: 3], owner=str(n)))

        in_threads([claims(n) for n in range(6)])
        assert sorted(got) == sorted(set(got))

    def test_what_kills_its_workers_is_given_up(self, kit: Kit) -> None:
        task = kit.task()
        for n in range(10):
            assert kit.one(task, owner=str(n), lease=60).fence == n + 1
            kit.let_pass(61)
        claim = kit.state.tasks.claim([task], "last", 60, 10)
        assert (claim.held, claim.complete) == ((), {task})
        row = kit.listed(task)
        assert (row["state"], row["error_class"], row["attempts"]) == ("failed", "WorkerDied", 0)

    def test_a_series_with_bars_has_a_history(self, kit: Kit) -> None:
        kit.cover((2, 5), last=5)
        assert kit.one(kit.task()).has_history

    def test_what_one_request_serves_is_claimed_together(self, kit: Kit) -> None:
        first, *others = kit.plan("A", "B", "C", "D", "E").task_ids
        backfill = kit.task("F", kind="backfill")  # the same window: the same request can serve it
        (elsewhere,) = kit.plan("G", window=Window(WEEK.start, WEEK.start)).task_ids
        claim = kit.state.tasks.claim([first], "me", LEASE, 1, {"yahoo": 5})
        assert [task.id for task in claim.held] == [first, *others]  # daily work first, and no more than fits
        again = kit.state.tasks.claim([first], "me", LEASE, 1, {"yahoo": 5})
        assert [(t.id, t.fence) for t in again.held] == [(t.id, t.fence) for t in claim.held]
        assert [task.id for task in kit.claim(backfill, elsewhere, owner="other")] == [elsewhere, backfill]
        assert kit.state.tasks.claim([*others], "other", LEASE, 10, {"yahoo": 5}).held == ()

    def test_of_one_series_a_request_serves_one_task(self, kit: Kit) -> None:
        (a,) = kit.plan("A").task_ids
        kit.plan("B", kind="backfill")
        (b,) = kit.plan("B").task_ids
        assert {t.id for t in kit.state.tasks.claim([a], "me", LEASE, 1, {"yahoo": 9}).held} == {a, b}


class TestHolding:
    def test_who_lost_the_lease_can_do_nothing_any_more(self, kit: Kit) -> None:
        task = kit.task()
        one = kit.one(task, owner="one", lease=60)
        kit.let_pass(61)
        two = kit.one(task, owner="two")
        assert kit.land(one) == set()
        assert kit.fail(one) is None
        assert kit.state.tasks.extend([one], LEASE) == set()
        kit.state.tasks.release([one], delay=0.0)
        assert kit.state_of(task) == "leased"
        assert kit.land(two) == {task}

    def test_a_lease_that_ran_out_but_was_not_taken_still_lands(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task, lease=60)
        kit.let_pass(61)
        assert kit.land(held) == {task}

    def test_a_lease_can_be_extended_by_its_holder(self, kit: Kit) -> None:
        task, other = kit.plan("A", "B").task_ids
        held = kit.claim(task, other, lease=60)
        kit.let_pass(40)
        assert kit.state.tasks.extend(held, 60) == {task, other}
        kit.let_pass(40)
        assert kit.claim(task, other, owner="two") == []

    def test_giving_a_task_back_counts_no_failure(self, kit: Kit) -> None:
        task = kit.task()
        held = kit.one(task)
        kit.state.tasks.release([held], delay=60.0, error="429", requests=1)
        row = kit.listed(task)
        assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 0, "429")
        assert kit.state.runs.totals("R1").requests == 1
        kit.state.tasks.release([held], delay=60.0, requests=1)  # once more is nothing
        assert kit.state.runs.totals("R1").requests == 1
        assert kit.one(task).fence == held.fence + 1


def test_after_a_restart_of_the_server_holders_get_a_lease_to_come_back(migrated_database_url: str) -> None:
    """They could not extend their leases while it was away, and may hold what they have fetched."""
    state = open_state(migrated_database_url)
    try:
        (task,) = state.tasks.plan(NewRun("R1", "daily", "yahoo", {}), [NewTask(series("AAPL"), WEEK)]).task_ids
        state.tasks.claim([task], "holder", 1.0, 32)
        with state.database.transaction() as connection:
            connection.execute("update tasks set lease_until = now() - interval '20 s'")
        for started, passes_on in (("now() - interval '1 s'", False), ("now() - interval '1 min'", True)):
            has_run_since(state, started)
            assert bool(state.tasks.claim([task], "other", 15.0, 32).held) is passes_on
    finally:
        state.close()


def test_a_claim_looks_again_at_a_task_that_lands_while_it_waits(migrated_database_url: str) -> None:
    """Its lease has run out, and its holder lands it all the same: the claim waits for the row and then leaves it."""
    state = open_state(migrated_database_url)
    try:
        has_run_since(state, "now() - interval '1 year'")
        (task,) = state.tasks.plan(NewRun("R1", "daily", "yahoo", {}), [NewTask(series("AAPL"), WEEK)]).task_ids
        state.tasks.claim([task], "holder", 1.0, 32)
        with state.database.transaction() as connection:
            connection.execute("update tasks set lease_until = now() - interval '1 s'")
        found: list[Claim] = []
        claiming = threading.Thread(target=lambda: found.append(state.tasks.claim([task], "other", 15.0, 32)))
        with state.database.transaction() as landing:
            landing.execute("update tasks set state = 'landed', lease_owner = null, lease_until = null")
            claiming.start()
            claiming.join(0.5)
            assert claiming.is_alive()  # it waits for the row
        claiming.join(10)
        assert (found[0].held, found[0].complete) == ((), frozenset({task}))
    finally:
        state.close()
