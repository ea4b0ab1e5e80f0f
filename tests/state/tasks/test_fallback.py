"""The contract of the tasks port: pass a task on to another vendor."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from quantx.core.model import Series, Window
from quantx.state.tasks.port import NewTask

from ..contract import EVER, WEEK, Kit, series


class TestFallback:
    def test_a_task_passes_on_to_the_vendor_that_stands_in(self, kit: Kit) -> None:
        run = kit.new_run()
        wanted = [NewTask(series("A"), WEEK, ("stooq", "fmp")), NewTask(series("B"), WEEK)]
        plan = kit.state.tasks.plan(run, wanted)
        a, b = kit.claim(*plan.task_ids)
        assert (a.fallback, b.fallback) == (("stooq", "fmp"), ())
        assert kit.state.tasks.pass_on(a, "UnknownSymbol", "never heard of it")
        assert not kit.state.tasks.pass_on(a, "UnknownSymbol", "again")  # no longer held
        assert not kit.state.tasks.pass_on(b, "UnknownSymbol", "nobody stands in")
        kit.land(b)
        assert kit.state.tasks.any_unfinished(plan.task_ids)  # what took its place
        assert kit.state.tasks.count(plan.task_ids) == {"pending": 1, "landed": 1}
        assert kit.state.tasks.dead() == 0
        assert kit.state.series.progress("yahoo", "bars", "1d", ["A"])["A"].refused
        (ticket,) = [t for t in kit.state.tasks.to_send(10, EVER) if t.series.source == "stooq"]
        (there,) = kit.claim(ticket.task_id)
        assert (there.series.symbol, there.window, there.run_id, there.fallback) == ("A", WEEK, run.id, ("fmp",))
        assert kit.fail(there, final=True)
        totals = kit.state.runs.totals(run.id)
        assert (totals.tasks, totals.failed, totals.passed_on, totals.requests, totals.symbols) == (2, 1, 1, 3, 2)
        assert [(f["source"], f["symbol"]) for f in kit.state.runs.failures(run.id)] == [("stooq", "A")]
        assert kit.state.tasks.count(plan.task_ids) == {"failed": 1, "landed": 1}

    def test_events_apart_are_planned_with_the_task_that_is_passed_on(self, kit: Kit) -> None:
        run = kit.new_run()
        wanted = [NewTask(series(symbol), WEEK, ("stooq",)) for symbol in "AB"]
        plan = kit.state.tasks.plan(run, wanted)
        a, b = kit.claim(*plan.task_ids)
        since = Window(WEEK.start - timedelta(days=60), WEEK.end)
        assert kit.state.tasks.pass_on(a, "UnknownSymbol", "never heard of it", events=since)
        assert not kit.state.tasks.pass_on(a, "UnknownSymbol", "again", events=since)
        kit.land(b)
        tickets = [t for t in kit.state.tasks.to_send(10, EVER) if t.series.source == "stooq"]
        assert [(t.series.dataset, t.series.symbol, t.window, t.run_id) for t in tickets] == [
            ("bars", "A", WEEK, run.id),
            ("actions", "A", since, run.id),
        ]
        (bars,) = kit.claim(tickets[0].task_id)
        kit.land(bars)
        assert kit.state.tasks.count(plan.task_ids) == {"landed": 2, "pending": 1}  # A's bars, B's; A's events
        assert kit.state.tasks.count([b.id]) == {"landed": 1}
        (events,) = kit.claim(tickets[1].task_id)
        assert events.fallback == ()
        assert kit.fail(events, final=True)
        assert kit.state.tasks.count(plan.task_ids) == {"landed": 2, "failed": 1}

    def test_events_follow_bars_that_were_passed_on(self, kit: Kit) -> None:
        events = Series("yahoo", "actions", "1d", "A")
        wanted = [
            NewTask(series("A"), WEEK, ("stooq",)),
            NewTask(events, WEEK),
            NewTask(replace(events, symbol="B"), WEEK),
        ]
        plan = kit.state.tasks.plan(kit.new_run(), wanted)
        held = {(t.series.dataset, t.series.symbol): t for t in kit.claim(*plan.task_ids)}
        assert not kit.state.tasks.pass_on(held["actions", "A"], "NotEntitled", "its bars have not passed on")
        assert kit.state.tasks.pass_on(held["bars", "A"], "NotEntitled", "not in your plan")
        assert not kit.state.tasks.pass_on(held["actions", "B"], "NotEntitled", "it has no bars here")
        assert kit.state.tasks.pass_on(held["actions", "A"], "NotEntitled", "not in your plan")
        assert kit.state.tasks.count([held["actions", "A"].id]) == {"pending": 1}  # the bars that stand for it
        assert kit.state.tasks.count(plan.task_ids) == {"pending": 1, "leased": 1}
        assert kit.state.tasks.dead() == 0

    @pytest.mark.parametrize("given_up", [False, True])
    def test_events_that_wait_or_were_given_up_follow_their_bars(self, kit: Kit, given_up: bool) -> None:
        events = Series("yahoo", "actions", "1d", "A")
        plan = kit.state.tasks.plan(kit.new_run(), [NewTask(series("A"), WEEK, ("stooq",)), NewTask(events, WEEK)])
        held = {t.series.dataset: t for t in kit.claim(*plan.task_ids)}
        if given_up:
            assert kit.fail(held["actions"], final=True)
        else:
            kit.state.tasks.release([held["actions"]], 3000.0, "closed")
        assert kit.state.tasks.pass_on(held["bars"], "RateLimited", "closed")
        assert kit.state.tasks.dead() == 0
        assert kit.state.tasks.count(plan.task_ids) == {"pending": 1}
        assert kit.state.runs.totals(plan.run_id).passed_on == 2
