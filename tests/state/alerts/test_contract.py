"""The contract of the alerts port: decisions and their messages are one transaction; the outbox; facts; outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from quantx.core.alerts import Alert, AlertMessage, Condition
from quantx.core.model import Finding
from quantx.state.alerts.port import AlertBook, AlertChange
from quantx.state.values import Universe

from ..contract import Kit, facts

NOW = datetime(2024, 2, 1, 6, tzinfo=UTC)
LATE = Condition(kind="run_late", subject="us", message="no run", severity="error")


def message(name: str, *, made_at: datetime = NOW, transition: str = "began") -> AlertMessage:
    return AlertMessage(
        id=name,
        topic="run_late",
        transition=transition,  # type: ignore[arg-type]
        severity="error",
        title=f"title of {name}",
        lines=("one", "two"),
        made_at=made_at,
    )


def alert(condition: Condition = LATE, *, present: bool = True) -> Alert:
    return Alert(condition=condition, present=present, begun_at=NOW, changed_at=NOW, announced=True, begins=(NOW,))


def change(
    kit: Kit, alerts: Sequence[Alert], *messages: tuple[AlertMessage, Sequence[str]], now: datetime = NOW
) -> None:
    by_key = {each.condition.key: each for each in alerts}
    kit.state.alerts.change(lambda book: AlertChange(alerts=by_key, messages=messages), now)


class TestAlerts:
    def test_a_decision_and_its_messages_are_stored_together(self, kit: Kit) -> None:
        grouped = Condition(kind="finding", group="close_jump", subject="A/B", message="'x'\n", severity="warn")
        change(kit, [alert(), alert(grouped, present=False)], (message("M1"), ("slack", "mail")))
        assert kit.state.alerts.listed() == [alert(), alert(grouped, present=False)]
        (waiting,) = kit.state.alerts.waiting("slack", 10)
        assert (waiting.message, waiting.attempts, waiting.not_before) == (message("M1"), 0, NOW)
        assert kit.state.alerts.waiting("webhook", 10) == []

    def test_a_subject_may_be_of_any_length(self, kit: Kit) -> None:
        text = "".join(chr(0x4E00 + n % 20_000) for n in range(10_000))
        long = [Condition(kind="finding", subject=text + end, message=text, severity="warn") for end in "ab"]
        change(kit, [alert(each) for each in long])
        assert {each.condition.subject[-1] for each in kit.state.alerts.listed()} == {"a", "b"}
        change(kit, [alert(long[0])])
        assert [each.condition for each in kit.state.alerts.listed()] == [long[0]]

    def test_an_error_while_deciding_changes_nothing(self, kit: Kit) -> None:
        change(kit, [alert()], (message("M1"), ("slack",)))

        def fails(book: AlertBook) -> AlertChange:
            raise KeyError

        with pytest.raises(KeyError):
            kit.state.alerts.change(fails, NOW)
        assert kit.state.alerts.listed() == [alert()]

    def test_the_book_counts_the_messages_of_the_last_day_by_topic(self, kit: Kit) -> None:
        seen: list[AlertBook] = []

        def look(book: AlertBook) -> AlertChange:
            seen.append(book)
            return AlertChange(alerts={}, messages=())

        yesterday = NOW - timedelta(days=1)
        digest = message("M3", transition="digest")
        change(kit, [], (message("M1", made_at=yesterday), ()), (message("M2"), ()), (digest, ()))
        kit.state.alerts.change(look, NOW)
        assert (dict(seen[0].made), seen[0].digest_at, seen[0].dead) == ({"run_late": 1}, NOW, 0)

    def test_alerts_that_are_left_out_are_forgotten(self, kit: Kit) -> None:
        change(kit, [alert()])
        change(kit, [])
        assert kit.state.alerts.listed() == []

    def test_old_messages_are_forgotten_with_their_deliveries(self, kit: Kit) -> None:
        change(kit, [], (message("M1"), ("slack",)), (message("M2", made_at=NOW + timedelta(days=1)), ("slack",)))
        change(kit, [], now=NOW + timedelta(days=30, seconds=1))
        assert [row["message"] for row in kit.state.alerts.deliveries(10)] == ["M2"]


class TestOutbox:
    def test_messages_wait_in_order_until_their_channel_accepts_them(self, kit: Kit) -> None:
        change(kit, [], (message("M2"), ("slack",)), (message("M1", made_at=NOW - timedelta(hours=1)), ("slack",)))
        first, second = kit.state.alerts.waiting("slack", 10)
        assert (first.message.id, second.message.id) == ("M1", "M2")
        kit.state.alerts.end_delivery(first, "sent")
        kit.state.alerts.end_delivery(second, "dead", "HTTP 404")
        assert kit.state.alerts.waiting("slack", 10) == []
        listed = [(row["message"], row["state"], row["last_error"]) for row in kit.state.alerts.deliveries(10)]
        assert listed == [("M2", "dead", "HTTP 404"), ("M1", "sent", None)]

    def test_a_failed_attempt_counts_and_waits(self, kit: Kit) -> None:
        change(kit, [], (message("M1"), ("slack",)))
        (delivery,) = kit.state.alerts.waiting("slack", 10)
        kit.state.alerts.delay_delivery(delivery, 5, "HTTP 429", counted=False)
        kit.state.alerts.delay_delivery(delivery, 60, "HTTP 500")
        (again,) = kit.state.alerts.waiting("slack", 10)
        assert again.attempts == 1
        assert 50 < (again.not_before - kit.state.now()).total_seconds() <= 60


class TestJobOutcomes:
    def test_the_last_failure_counts_until_a_success(self, kit: Kit) -> None:
        outcomes = kit.state.job_outcomes
        assert outcomes.listed() == []
        outcomes.record("backup", "no space")
        (failed,) = outcomes.listed()
        assert (failed.failed, failed.error, failed.succeeded_at) == (True, "no space", None)
        kit.let_pass(1)
        outcomes.record("backup", None)
        (good,) = outcomes.listed()
        assert (good.failed, good.error) == (False, "no space")


class TestAlertFacts:
    def test_a_failed_task_counts_until_it_is_retried_or_its_series_is_fetched(self, kit: Kit) -> None:
        first, second = kit.plan("AAPL", "MSFT").task_ids
        assert [(p.unfinished, p.tasks) for p in kit.state.alert_facts.run_problems(7)] == [(True, 2)]
        for task in kit.claim(first, second):
            kit.fail(task, final=True)
        (problem,) = kit.state.alert_facts.run_problems(7)
        assert (problem.kind, problem.tasks, problem.running, problem.unfinished) == ("daily", 2, False, False)
        assert (problem.source, problem.error_class, problem.error) == ("yahoo", "Transient", "503")
        kit.state.tasks.retry(kit.new_run("manual"), [second])
        assert [(p.kind, p.tasks, p.running, p.unfinished) for p in kit.state.alert_facts.run_problems(7)] == [
            ("daily", 1, False, False),
            ("manual", 1, True, True),
        ]
        kit.let_pass(60)
        task = kit.one(kit.task("AAPL"))
        kit.land(task, fetched_at=kit.state.now())
        kit.curate(facts=[facts((2, 5), asked_at=kit.state.now())])
        assert [p for p in kit.state.alert_facts.run_problems(7) if not p.unfinished] == []

    def test_failures_are_apart_by_their_class(self, kit: Kit) -> None:
        tasks = kit.claim(*kit.plan("A", "B", "C", kind="backfill").task_ids)
        for task, error_class in zip(tasks, ("X", "Y", "X"), strict=True):
            kit.fail(task, final=True, error_class=error_class)
        found = [(p.error_class, p.tasks) for p in kit.state.alert_facts.run_problems(7)]
        assert found == [("X", 2), ("Y", 1)]

    def test_members_are_counted_by_exchange_and_newest_session(self, kit: Kit) -> None:
        members = [(symbol, "us", None, None, None) for symbol in ("AAPL", "BRK.B", "MSFT", "0700.HK")]
        gone = ("OLD", "us", None, None, date(2020, 1, 1))
        how = {"phase": "p", "market": "us", "source_type": "static", "refreshed_at": NOW}
        kit.state.universes.put(Universe("mixed", **how, members=[*members, gone]))
        kit.state.universes.put(Universe("off", **how, members=members, enabled=False))
        kit.task()
        kit.cover((2, 5), first=2, last=5)
        found = [(p.universe, p.symbol, p.watermark, p.members) for p in kit.state.alert_facts.member_progress()]
        assert found == [
            ("mixed", "0700.HK", None, 1),
            ("mixed", "AAPL", date(2024, 1, 5), 1),
            ("mixed", "BRK.B", None, 1),
            ("mixed", "MSFT", None, 1),
        ]

    def test_open_errors_and_findings_of_the_rules_are_returned(self, kit: Kit) -> None:
        kit.state.findings.note(
            [
                Finding("late", "error", "us", "no run"),
                Finding("gap", "warn", "AAPL", "missing"),
                Finding("vendors_disagree", "warn", "MSFT", "apart", source="yahoo"),
            ]
        )
        found, crowded = kit.state.alert_facts.open_findings(["vendors_disagree"], 1)
        assert crowded == {}
        assert [(row["rule"], row["subject"], row["source"]) for row in found] == [
            ("late", "us", ""),
            ("vendors_disagree", "MSFT", "yahoo"),
        ]

    def test_a_rule_with_very_many_findings_is_a_number(self, kit: Kit) -> None:
        kit.state.findings.note([Finding("gap", "error", f"S{n}", "missing") for n in range(3)])
        kit.state.findings.note([Finding("late", "error", "us", "no run")])
        found, crowded = kit.state.alert_facts.open_findings([], 2)
        assert ([row["rule"] for row in found], crowded) == (["late"], {"gap": 3})

    def test_a_vendor_in_back_off_has_the_time_of_its_first_refusal(self, kit: Kit) -> None:
        assert kit.state.alert_facts.refused_since() == []
        kit.state.quotas.close("yahoo", 600, "429")
        (row,) = kit.state.alert_facts.refused_since()
        assert (row["source"], row["reason"]) == ("yahoo", "429")
        assert (kit.state.now() - row["refused_since"]).total_seconds() < 60
