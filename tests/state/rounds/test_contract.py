"""The contract of the rounds port."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from quantx.state.rounds.port import TaskResult

from ..contract import ASKED, REPLY, WEEK, Kit, done


class TestRounds:
    def test_a_round_keeps_its_replies_until_it_is_finished(self, kit: Kit) -> None:
        tasks = kit.landed("A", "B")
        round_id = kit.start()
        assert kit.state.rounds.unfinished() == round_id
        found = kit.state.rounds.replies(round_id)
        assert [(x.series.symbol, x.task_id, x.row, x.window, x.run_id) for x in found] == [
            (symbol, task, 0, WEEK, "R1") for symbol, task in zip("AB", tasks, strict=True)
        ]
        assert kit.state.rounds.waiting() == (2, 2 * REPLY)
        kit.finish(round_id)
        assert kit.state.rounds.unfinished() is None
        assert kit.state.rounds.waiting() == (0, 0)

    def test_rounds_count_upwards_from_the_last_one_that_the_lake_has_seen(self, kit: Kit) -> None:
        first = kit.start(above=41)
        kit.finish(first)
        second = kit.start()
        assert (first, second) == (42, 43)

    def test_a_round_that_was_begun_goes_first(self, kit: Kit) -> None:
        """A second one beside it might be committed before it, and then the lake would take it for a repetition."""
        kit.landed("A", "B")
        first = kit.start(replies=1)
        assert kit.start() == first
        assert len(kit.state.rounds.replies(first)) == 1

    def test_a_round_has_no_more_replies_than_asked(self, kit: Kit) -> None:
        kit.landed("A", "B", "C")
        round_id = kit.state.rounds.start(0, 10**9, 2)
        assert len(kit.state.rounds.replies(round_id)) == 2

    def test_the_upcoming_replies_are_those_of_the_round_after_this_one(self, kit: Kit) -> None:
        kit.landed("A", "B", "C", "D")
        rounds, most = kit.state.rounds, 2 * REPLY
        assert rounds.upcoming(most, 9) == rounds.upcoming(10**9, 2)
        first = kit.start(replies=1)
        upcoming = rounds.upcoming(most, 9)
        assert len(upcoming) == 2
        assert rounds.upcoming(1, 9) == upcoming[:1]
        kit.finish(first)
        assert rounds.replies(rounds.start(0, most, 9)) == upcoming

    def test_a_series_gets_one_reply_per_round_in_the_order_of_fetching(self, kit: Kit) -> None:
        daily, backfill = kit.task("A"), kit.task("A", "backfill")
        kit.land(kit.one(daily), fetched_at=ASKED)
        kit.land(kit.one(backfill), fetched_at=ASKED - timedelta(days=1))
        found = []
        for _ in range(2):
            round_id = kit.start()
            found.append([x.task_id for x in kit.state.rounds.replies(round_id)])
            kit.finish(round_id)
        assert found == [[backfill], [daily]]

    def test_evidence_goes_beside_the_reply_of_its_series(self, kit: Kit) -> None:
        held = kit.one(kit.task("A"))
        kit.land(held, malformed="no JSON", fetched_at=ASKED)
        kit.land(held, fetched_at=ASKED + timedelta(seconds=1))
        assert [x.malformed for x in kit.state.rounds.replies(kit.start())] == ["no JSON", None]

    @pytest.mark.parametrize("replies", [1, 2])
    def test_a_round_is_no_larger_than_asked(self, kit: Kit, replies: int) -> None:
        kit.landed("A", "B", "C")
        assert len(kit.state.rounds.replies(kit.start(replies=replies))) == replies

    def test_a_reply_that_is_larger_than_a_round_has_one_of_its_own(self, kit: Kit) -> None:
        kit.landed("A", "B")
        assert len(kit.state.rounds.replies(kit.state.rounds.start(0, 1, 1000))) == 1

    def test_a_finished_round_ends_its_tasks_and_counts_their_rows(self, kit: Kit) -> None:
        good, bad = kit.landed("A", "B")
        kit.curate(
            done(good, new=5, changed=1, same=2, rejected=3),
            TaskResult(bad, "failed", "MalformedPayload", "no JSON", rejected=1),
        )
        assert kit.state.tasks.count() == {"done": 1, "failed": 1}
        totals = kit.state.runs.totals("R1")
        assert (totals.tasks, totals.success, totals.failed, totals.requests) == (2, 1, 1, 2)
        assert totals.rows == {"new": 5, "changed": 1, "same": 2, "rejected": 4}
        assert kit.state.runs.failures("R1") == [
            {
                "source": "yahoo",
                "symbol": "B",
                "error_class": "MalformedPayload",
                "last_error": "no JSON",
                "attempts": 0,
            }
        ]

    def test_only_what_has_landed_is_ended_by_a_round(self, kit: Kit) -> None:
        pending, leased = kit.plan("A", "B").task_ids
        kit.one(leased)
        kit.curate(done(pending), done(leased))
        assert kit.state.tasks.count() == {"pending": 1, "leased": 1}

    def test_a_task_whose_reply_is_lost_is_asked_for_again(self, kit: Kit) -> None:
        (task,) = kit.landed("A")
        kit.state.tasks.sent([task])
        kit.curate(TaskResult(task, "pending", "LakeError", "the raw object is damaged"))
        row = kit.listed(task)
        assert (row["state"], row["attempts"], row["last_error"]) == ("pending", 1, "the raw object is damaged")
        assert [t.task_id for t in kit.state.tasks.to_send(10, 60)] == [task]
        assert kit.one(task).attempts == 1

    def test_a_task_whose_reply_is_lost_fails_after_its_last_attempt(self, kit: Kit) -> None:
        lost = TaskResult(kit.landed("A")[0], "pending", "DamagedObject", "damaged", max_attempts=2)
        kit.curate(lost)
        assert (kit.state_of(lost.task_id), kit.listed(lost.task_id)["attempts"]) == ("pending", 1)
        kit.land(kit.one(lost.task_id))
        kit.state.tasks.sent([lost.task_id])
        kit.curate(lost)
        row = kit.listed(lost.task_id)
        assert (row["state"], row["attempts"], row["last_error"]) == ("failed", 1, "damaged")
        assert kit.state.tasks.to_send(10, 60) == []

    def test_finishing_a_round_again_changes_nothing(self, kit: Kit) -> None:
        """A curator that was taken for dead wakes up; meanwhile the lost reply has landed anew."""
        (task,) = kit.landed("A")
        round_id = kit.start()
        lost = TaskResult(task, "pending", "LakeError", "the raw object is damaged")
        kit.finish(round_id, lost)
        kit.land(kit.one(task))
        kit.finish(round_id, lost)
        assert kit.state_of(task) == "landed"

    def test_hot_bars_are_taken_as_json_and_the_newest_knowledge_is_kept(self, kit: Kit) -> None:
        prices = dict.fromkeys(("open", "high", "low", "close"), 1.5)
        row = {"source": "yahoo", "symbol": "A", "date": "2024-01-02", **prices, "volume": 7, "currency": "USD"}
        for later, close in ((1, 1.75), (1, 1.5), (0, 1.25)):
            known = {"known_from": (ASKED + timedelta(days=later)).isoformat(), "close": close}
            kit.state.rounds.finish(kit.start(), [], [], json.dumps([row | known]))
        assert kit.hot_closes() == [1.5]
