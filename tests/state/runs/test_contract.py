"""The contract of the runs port."""

from __future__ import annotations

from datetime import date, timedelta

from quantx.core.model import Series, Window
from quantx.state.runs.port import RunUsage
from quantx.state.tasks.port import NewTask

from ..contract import REPLY, Kit, done


class TestRuns:
    def test_a_run_is_reported_once_when_its_last_task_has_ended(self, kit: Kit) -> None:
        first, second = kit.plan("A", "B").task_ids
        assert kit.state.runs.ended() == []
        kit.fail(kit.one(first), final=True)
        assert kit.state.runs.ended() == []
        kit.fail(kit.one(second), final=True)
        (run,) = kit.state.runs.ended()
        assert (run.id, run.kind, run.source, run.request) == ("R1", "daily", "yahoo", {"symbols": ["A"]})
        assert kit.state.runs.report_of("R1") is None
        kit.state.runs.finish("R1", "reports/R1.json")
        kit.state.runs.finish("R1", "reports/other.json")
        assert kit.state.runs.ended() == []
        assert kit.state.runs.report_of("R1") == "reports/R1.json"
        assert kit.state.runs.totals("R1").failed == 2

    def test_a_reported_run_waits_to_be_inspected_once(self, kit: Kit) -> None:
        runs = kit.state.runs
        for task_id in kit.plan("B", "A").task_ids:
            assert runs.uninspected() == {}
            kit.fail(kit.one(task_id), final=True)
        runs.finish("R1", "reports/R1.json")
        assert runs.uninspected() == {"R1": ["A", "B"]}
        runs.inspected([])
        assert runs.uninspected() == {"R1": ["A", "B"]}
        runs.inspected(["R1"])
        runs.inspected(["R1"])
        assert runs.uninspected() == {}

    def test_runs_name_the_days_of_minutes_that_they_requested(self, kit: Kit) -> None:
        runs = kit.state.runs
        minutes = Series("yahoo", "bars", "1m", "A")
        for start, end in ((date(2024, 3, 1), date(2024, 3, 29)), (date(2024, 1, 2), date(2024, 1, 31))):
            kit.state.tasks.plan(kit.new_run(), [NewTask(minutes, Window(start, end))])
        daily = NewTask(Series("yahoo", "bars", "1d", "B"), Window(date(2024, 1, 2), date(2024, 1, 31)))
        last = kit.new_run()
        kit.state.tasks.plan(last, [daily])
        assert runs.minute_windows([f"R{at}" for at in (1, 2, 3)]) == {"A": Window(date(2024, 1, 2), date(2024, 3, 29))}
        assert runs.minute_windows([last.id]) == {}

    def test_a_run_tells_when_its_last_reply_was_stored(self, kit: Kit) -> None:
        first, second = kit.plan("A", "B").task_ids
        assert kit.state.runs.totals("R1").landed_at is None
        kit.land(kit.one(first))
        landed_at = kit.state.runs.totals("R1").landed_at
        assert landed_at is not None
        assert abs(landed_at - kit.state.now()) < timedelta(seconds=10)
        kit.land(kit.one(second), malformed="no JSON")
        assert kit.state.runs.totals("R1").landed_at == landed_at

    def test_an_unknown_run_has_no_report(self, kit: Kit) -> None:
        assert kit.state.runs.report_of("R1") is None

    def test_what_the_reported_runs_of_a_kind_have_used_is_counted(self, kit: Kit) -> None:
        assert kit.state.runs.usage("daily", 30) == RunUsage()
        for symbols in (["AAPL", "MSFT"], ["IBM"]):
            run = kit.new_run()
            ids = kit.plan(*symbols, run=run).task_ids
            kit.land(*kit.claim(*ids))
            kit.let_pass(60)
            kit.curate(*(done(task_id, new=1) for task_id in ids))
            kit.state.runs.finish(run.id, f"reports/{run.id}.json")
        kit.plan("GOOG", kind="backfill")
        kit.plan("TSLA")  # not reported yet
        used = kit.state.runs.usage("daily", 30)
        assert (used.runs, used.tasks, used.requests, used.batches, used.size) == (2, 3, 3, 2, 3 * REPLY)
        assert 120 <= used.seconds < 180
        assert kit.state.runs.usage("backfill", 30) == RunUsage()
        kit.let_pass(31 * 86_400)
        assert kit.state.runs.usage("daily", 30) == RunUsage()

    def test_the_newest_runs_come_first(self, kit: Kit) -> None:
        kit.landed("A")
        kit.let_pass(1)
        kit.plan("B", skipped=4)
        newest, oldest = kit.state.runs.recent(10)
        assert (newest["id"], newest["skipped"], newest["tasks"], newest["finished_at"]) == ("R2", 4, 1, None)
        assert oldest["id"] == "R1"
        assert newest.keys() == oldest.keys()
        assert [run["id"] for run in kit.state.runs.recent(1)] == ["R2"]

    def test_a_run_is_found_with_what_was_asked_and_what_is_left(self, kit: Kit) -> None:
        kit.landed("A")
        kit.let_pass(1)
        kit.plan("B", "C", skipped=4)
        found = kit.state.runs.find("R2")
        assert found is not None
        assert (found["kind"], found["tasks"], found["unfinished"], found["skipped"]) == ("daily", 2, 2, 4)
        assert found == kit.state.runs.recent(1)[0] | {"request": {"symbols": ["A"]}, "unfinished": 2}
        assert kit.state.runs.find("R3") is None

    def test_recent_runs_come_in_pages_and_by_kind(self, kit: Kit) -> None:
        runs = kit.state.runs
        for symbol in ("A", "B", "C"):
            kit.plan(symbol)
            kit.let_pass(60)
        kit.plan("A", kind="backfill")
        assert [row["id"] for row in runs.recent(2)] == ["R4", "R3"]
        assert [(row["id"], row["tasks"]) for row in runs.recent(9, before="R3")] == [("R2", 1), ("R1", 1)]
        assert [row["id"] for row in runs.recent(9, kind="backfill")] == ["R4"]
        assert runs.recent(9, before="none") == []

    def test_tasks_of_recent_runs_are_counted_by_vendor_and_error(self, kit: Kit) -> None:
        first, _second = kit.plan("A", "B").task_ids
        kit.fail(kit.one(first), final=True)
        failed, waiting = kit.state.runs.vendor_usage(1)
        assert failed["error_class"] is not None
        assert (failed["source"], failed["tasks"], failed["failed"], failed["requests"]) == ("yahoo", 1, 1, 1)
        assert (waiting["error_class"], waiting["unfinished"], waiting["accepted"]) == (None, 1, 0)
        kit.let_pass(2 * 86_400)
        assert kit.state.runs.vendor_usage(1) == []
