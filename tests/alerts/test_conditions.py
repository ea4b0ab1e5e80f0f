"""Conditions: each kind holds exactly while the state, the queue or a disk says so."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from quantx.alerts.conditions import CHECKS, DISAGREEMENTS, check_conditions, local_folders
from quantx.core.alert_rules import ALERT_RULES
from quantx.core.model import Finding, Series, Window
from quantx.core.quality.action_comparison import EVENT_COMPARISON_RULES
from quantx.core.quality.vendor_causes import VENDOR_RULES
from quantx.pipeline.reporting.freshness import universe_freshness
from quantx.settings import Settings
from quantx.state.series.port import SeriesFacts
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun, Universe

from .conftest import Lab

DAY = Window(date(2024, 1, 31), date(2024, 1, 31))


def found(lab: Lab, **settings: object) -> dict[str, list[tuple[str, str]]]:
    checked = check_conditions(lab.context(**settings), lab.clock.now())
    result: dict[str, list[tuple[str, str]]] = {}
    for each in checked.conditions:
        result.setdefault(each.kind, []).append((each.subject, each.message))
    return result


def plan(lab: Lab, run: str, *symbols: str, kind: str = "daily") -> list[int]:
    tasks = [NewTask(Series("yahoo", "bars", "1d", symbol), DAY) for symbol in symbols]
    return list(lab.state.tasks.plan(NewRun(run, kind, "yahoo", {}), tasks).task_ids)  # type: ignore[arg-type]


def fail(lab: Lab, *ids: int) -> None:
    for task in lab.state.tasks.claim(ids, "me", 60, 10).held:
        lab.state.tasks.fail(task, "UnknownSymbol", "it is unknown", final=True, most=3, delay=0)


def test_every_rule_has_its_check() -> None:
    assert CHECKS.keys() == ALERT_RULES.keys()


def test_the_rules_of_disagreement_are_those_of_the_comparison() -> None:
    known = {rule.id for rule in (*VENDOR_RULES, *EVENT_COMPARISON_RULES)}
    assert set(DISAGREEMENTS) <= known


def test_nothing_is_wrong_with_a_new_installation(lab: Lab) -> None:
    assert found(lab) == {}


def test_a_run_is_failed_once_it_has_ended_until_its_tasks_are_retried(lab: Lab) -> None:
    first, second = plan(lab, "R1", "A", "B", kind="backfill")
    fail(lab, first)
    assert found(lab) == {}  # it has not ended
    fail(lab, second)
    assert found(lab) == {"run_failed": [("run R1", "2 tasks failed, as in: it is unknown")]}
    lab.state.tasks.retry(NewRun("R2", "manual", "yahoo", {}), [first, second])
    assert found(lab) == {}


def test_what_fails_in_each_daily_run_is_one_condition_and_another_failure_another(lab: Lab) -> None:
    fail(lab, *plan(lab, "R1", "A"))
    once = found(lab)
    assert once == {"run_failed": [("yahoo, UnknownSymbol", "1 task of run R1 failed, as in: it is unknown")]}
    lab.clock.move(days=1)
    fail(lab, *plan(lab, "R2", "A"))
    (task,) = plan(lab, "R3", "B")
    (held,) = lab.state.tasks.claim([task], "me", 60, 1).held
    lab.state.tasks.fail(held, "TransientProviderError", "503", final=True, most=3, delay=0)
    assert found(lab)["run_failed"] == [
        ("yahoo, UnknownSymbol", "1 task of run R2 failed, as in: it is unknown"),
        ("yahoo, TransientProviderError", "1 task of run R3 failed, as in: 503"),
    ]


def test_a_run_that_does_not_end_is_late(lab: Lab) -> None:
    plan(lab, "R1", "A")
    lab.clock.move(hours=12.5)
    assert found(lab) == {"run_late": [("daily run R1", "1 unfinished task after 12 hours")]}
    assert found(lab, alerts_rules={"run_late": {"limit": 24}}) == {}


def test_a_session_without_a_run_is_late_and_not_a_second_alert(lab: Lab) -> None:
    lab.state.findings.note([Finding("no_run_by_deadline", "error", "us", "no daily run")])
    assert found(lab) == {"run_late": [("us", "no daily run")]}


def test_a_universe_is_stale_when_too_many_members_lack_the_session_that_is_due(lab: Lab) -> None:
    lab.clock.instant = datetime(2024, 2, 1, 8, 30, tzinfo=UTC)  # the session of 31 January is due at 08:00
    members = [(symbol, "us", None, None, None) for symbol in ("AAPL", "MSFT")]
    how = {"phase": "p", "market": "us", "source_type": "static", "refreshed_at": lab.clock.now()}
    lab.state.universes.put(Universe("two", members=members, **how))  # type: ignore[arg-type]
    assert found(lab) == {}  # no bars yet: that is a missing run

    def store(symbol: str, session: date) -> None:
        facts = SeriesFacts(
            Series("yahoo", "bars", "1d", symbol),
            covered=Window(session, session),
            nothing=(),
            first_session=session,
            watermark=session,
            asked_through=session,
            asked_at=lab.clock.now(),
        )
        lab.state.rounds.finish(lab.state.rounds.start(0, 1000, 100), [], [facts], "[]")

    def silent() -> int:
        return universe_freshness(lab.state.alert_facts, Settings(), lab.clock.now())[0].silent

    assert silent() == 2
    store("AAPL", date(2024, 1, 31))
    store("MSFT", date(2024, 1, 16))  # eleven sessions before
    assert silent() == 1
    store("MSFT", date(2024, 1, 30))
    assert silent() == 0
    assert found(lab)["freshness_missed"] == [
        ("two", "1 of 2 members lack the session that is due (2024-01-31); the newest is 2024-01-31")
    ]
    assert found(lab, alerts_rules={"freshness_missed": {"limit": 50}}) == {}
    store("MSFT", date(2024, 1, 31))
    assert found(lab) == {}


def test_findings_of_severity_error_and_disagreements_of_vendors(lab: Lab) -> None:
    lab.state.findings.note(
        [
            Finding("close_jump", "error", "AAPL", "150 then 15", source="yahoo", first_day=date(2024, 1, 2)),
            Finding("close_jump", "warn", "MSFT", "30 then 29"),
            Finding("vendors_disagree", "warn", "MSFT", "apart at the close"),
        ]
    )
    assert found(lab) == {
        "finding": [("AAPL yahoo 2024-01-02", "150 then 15")],
        "vendor_disagreement": [("MSFT", "apart at the close")],
    }


def test_a_rule_with_very_many_findings_is_one_condition(lab: Lab) -> None:
    lab.state.findings.note([Finding("gap", "error", f"S{n}", "missing") for n in range(2001)])
    assert found(lab) == {"finding": [("very many", "more than 2,000 open findings (2,001)")]}
    assert check_conditions(lab.context(), lab.clock.now()).unchecked_topics == {"finding/gap"}


def test_a_vendor_is_in_back_off_too_long_after_half_an_hour_of_refusals(lab: Lab) -> None:
    lab.state.quotas.close("yahoo", 3600, "429 Too Many Requests")
    lab.clock.move(minutes=29)
    assert found(lab) == {}
    lab.clock.move(minutes=2)
    assert found(lab)["circuit_open"] == [("yahoo", "it has refused requests for 31 minutes: 429 Too Many Requests")]
    lab.clock.move(minutes=30)
    assert found(lab) == {}


def test_poison_lasts_while_the_queue_has_it(lab: Lab) -> None:
    lab.queue.send(["x"])
    lab.queue.poison(lab.queue.receive(1, 60)[0], "no task")
    assert found(lab)["poison"] == [("queue", "1 message is in the poison queue")]
    lab.queue.discard_poison(lambda records: [True] * len(records))
    assert found(lab) == {}


def test_a_cost_above_the_budget(lab: Lab) -> None:
    (task,) = plan(lab, "R1", "A")
    fail(lab, task)
    lab.state.runs.finish("R1", "reports/x.json")
    assert "cost_above_budget" not in found(lab)
    assert "cost_above_budget" not in found(lab, alerts_rules={"cost_above_budget": {"limit": 10_000}})
    ((subject, message),) = found(lab, alerts_rules={"cost_above_budget": {"limit": 1}})["cost_above_budget"]
    assert (subject, message.partition("; ")[2]) == ("month", "the budget is 1.00")


def test_a_backup_that_failed_or_is_old(lab: Lab) -> None:
    limit = {"backup_failed": {"limit": 36}}
    assert found(lab) == {}
    assert found(lab, alerts_rules=limit)["backup_failed"] == [
        ("age", "no good backup within 36 hours: there is none yet")
    ]
    lab.state.job_outcomes.record("backup", "no space")
    assert found(lab)["backup_failed"] == [("last backup", "it failed: no space")]
    lab.clock.move(minutes=1)
    lab.state.job_outcomes.record("backup", None)
    assert found(lab, alerts_rules=limit) == {}
    lab.clock.move(hours=37)
    assert found(lab) == {}
    assert found(lab, alerts_rules=limit)["backup_failed"] == [
        ("age", "no good backup within 36 hours: the last one is of 2024-02-01 12:01 UTC")
    ]


def test_a_disk_that_is_almost_full_is_one_alert_for_all_its_folders(lab: Lab) -> None:
    assert found(lab, alerts_rules={"disk": {"limit": 0}}) == {}
    ((subject, message),) = found(lab, alerts_rules={"disk": {"limit": 100}})["disk"]
    assert subject == str(lab.folder / "lake")
    assert "% free" in message


@pytest.mark.parametrize(
    ("lake", "state", "folders"),
    [
        ("file:///data/my%20lake", "./state", ["/data/my lake", str(Path("state").absolute())]),
        ("az://lake", "postgresql://host/db", []),
    ],
)
def test_only_folders_of_this_machine_are_looked_at(lake: str, state: str, folders: list[str]) -> None:
    assert [str(path) for path in local_folders(Settings(state_url=state), lake)] == folders


def test_a_check_that_fails_leaves_its_kind_as_it_is(lab: Lab) -> None:
    context = lab.context(lake_url=str(lab.folder / "lake"))

    class Broken:
        def depth(self) -> None:
            from quantx.errors import QueueError

            raise QueueError("no answer")

    checked = check_conditions(type(context)(**{**vars(context), "queue": Broken()}), lab.clock.now())
    assert checked.checked == ALERT_RULES.keys() - {"poison"}
