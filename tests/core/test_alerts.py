"""Alerts: a beginning and an end make one message each; what comes and goes, or comes at once, makes no storm."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from quantx.core.alerts import Alert, AlertMessage, AlertPolicy, Condition, make_digest, make_messages, observe

START = datetime(2024, 2, 1, 6, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KINDS = ("poison", "finding", "disk", "run_failed")


def condition(subject: str = "queue", kind: str = "poison", group: str = "", message: str = "3 messages") -> Condition:
    return Condition(kind=kind, subject=subject, group=group, message=message, severity="error")


class Watch:
    """What a caller keeps between its checks."""

    def __init__(self, policy: AlertPolicy = AlertPolicy()) -> None:  # noqa: B008 — frozen
        self.policy = policy
        self.now = START
        self.alerts: dict[str, Alert] = {}
        self.messages: list[AlertMessage] = []
        self._ids = itertools.count(1)

    def check(
        self, *conditions: Condition, checked: Sequence[str] = KINDS, after: timedelta = 15 * MINUTE
    ) -> list[str]:
        """Check after a while; return the transitions and titles of the new messages."""
        self.now += after
        recent = [m for m in self.messages if m.made_at > self.now - timedelta(days=1)]
        made = {m.topic: sum(n.topic == m.topic for n in recent) for m in recent}
        seen = observe(self.alerts.values(), conditions, checked, self.now)
        self.alerts, new = make_messages(seen, made, self.policy, self.now, lambda: f"M{next(self._ids)}")
        self.messages += new
        return [message.title for message in new]


class TestTransitions:
    def test_a_beginning_and_an_end_make_one_message_each(self) -> None:
        watch = Watch()
        assert watch.check(condition()) == ["Poison messages: queue"]
        assert [watch.check(condition()) for _ in range(5)] == [[]] * 5
        assert watch.check() == ["Resolved: Poison messages: queue"]
        assert [watch.check() for _ in range(5)] == [[]] * 5
        first = watch.messages[0]
        assert (first.transition, first.severity, first.id) == ("began", "error", "M1")
        assert first.lines[0] == "queue: 3 messages (since 2024-02-01 06:15 UTC)"
        assert first.lines[1].startswith("Next: ")

    def test_a_kind_that_was_not_checked_stays_as_it_is(self) -> None:
        watch = Watch()
        watch.check(condition())
        assert watch.check(checked=["disk"]) == []
        assert watch.check(condition()) == []

    def test_the_text_of_a_condition_may_change_without_a_message(self) -> None:
        watch = Watch()
        watch.check(condition())
        assert watch.check(condition(message="4 messages")) == []
        assert watch.alerts["poison/queue"].condition.message == "4 messages"

    def test_a_condition_that_ends_before_it_was_announced_makes_no_message(self) -> None:
        watch = Watch(AlertPolicy(send={"poison": "digest"}))
        assert watch.check(condition()) == []
        assert watch.check() == []
        watch.policy = AlertPolicy()
        assert watch.check() == []

    def test_a_kind_that_goes_to_the_digest_ends_without_a_message_and_begins_anew(self) -> None:
        watch = Watch()
        watch.check(condition())
        watch.policy = AlertPolicy(send={"poison": "digest"})
        assert watch.check(condition()) == []
        watch.policy = AlertPolicy()
        assert watch.check(condition()) == ["Poison messages: queue"]

    def test_what_was_not_announced_is_so_once_there_is_a_channel(self) -> None:
        watch = Watch()
        seen = observe([], [condition()], KINDS, START)
        watch.alerts = seen
        assert watch.check(condition()) == ["Poison messages: queue"]

    def test_a_topic_that_was_not_checked_one_by_one_stays_as_it_is(self) -> None:
        first, crowd = (condition(subject, "finding", "gap") for subject in ("AAPL", "very many"))
        seen = observe([], [first], KINDS, START)
        seen = observe(seen.values(), [crowd], KINDS, START, ["finding/gap"])
        assert {key: alert.present for key, alert in seen.items()} == {first.key: True, crowd.key: True}
        seen = observe(seen.values(), [first], KINDS, START)
        assert {key: alert.present for key, alert in seen.items()} == {first.key: True, crowd.key: False}


class TestStorms:
    def test_one_that_begins_again_is_over_once_it_has_lasted(self) -> None:
        watch = Watch()
        watch.check(condition())
        watch.check()
        assert watch.check(condition()) == ["Poison messages: queue"]
        assert "comes and goes" in watch.messages[-1].lines[-1]
        for _ in range(10):  # within half an hour each
            assert watch.check() == []
            assert watch.check(condition()) == []
        assert watch.check() == []
        assert watch.check() == []
        assert watch.check() == ["Resolved: Poison messages: queue"]

    def test_a_topic_has_six_messages_a_day_and_then_one_about_its_state(self) -> None:
        watch = Watch(AlertPolicy(settle=timedelta(0)))
        hour = 60 * MINUTE
        for _ in range(11):
            watch.check(condition(), after=hour)
            watch.check(after=hour)
        assert len(watch.messages) == 6
        assert "No more messages about this within a day" in watch.messages[5].lines[-1]
        later = [watch.check(after=hour) for _ in range(26)]
        titles = [title for each in later for title in each]
        assert titles in ([], ["Resolved: Poison messages: queue"])
        assert all(alert.announced == alert.present for alert in watch.alerts.values())

    def test_a_thousand_findings_of_a_rule_are_one_message(self) -> None:
        watch = Watch()
        many = [condition(f"S{n:04}", "finding", "close_jump") for n in range(1000)]
        other = condition("AAPL", "finding", "gap")
        assert watch.check(*many, other) == ["Finding: close_jump, 1,000 at once", "Finding: gap, AAPL"]
        assert watch.messages[0].lines[10] == "… and 990 more"
        assert watch.check(other) == ["Resolved: Finding: close_jump, 1,000 at once"]

    def test_another_finding_of_a_rule_is_another_message(self) -> None:
        watch = Watch()
        first, second = (condition(symbol, "finding", "close_jump") for symbol in ("AAPL", "MSFT"))
        watch.check(first)
        assert watch.check(first, second) == ["Finding: close_jump, MSFT"]

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 120)), max_size=120))
    def test_whatever_happens_messages_alternate_and_are_few(self, steps: list[tuple[bool, int]]) -> None:
        watch = Watch()
        for present, minutes in steps:
            watch.check(*[condition()] * present, after=minutes * MINUTE)
        transitions = [message.transition for message in watch.messages]
        assert all(a != b for a, b in itertools.pairwise(transitions))
        assert transitions[:1] in ([], ["began"])
        for message in watch.messages:
            within = [m for m in watch.messages if timedelta(0) <= m.made_at - message.made_at < timedelta(days=1)]
            assert len(within) <= 6
        last = bool(steps and steps[-1][0])
        for _ in range(4):  # two quiet days: the last message is about what is so
            watch.check(*[condition()] * last, after=timedelta(hours=13))
        state = watch.messages[-1].transition == "began" if watch.messages else False
        assert state == last


class TestDigest:
    def test_it_has_what_is_wrong_the_worst_first_and_what_ended(self) -> None:
        watch = Watch()
        warn = Condition(kind="disk", subject="/lake", message="4 % free", severity="warn")
        watch.check(warn, condition(), condition("daily", "run_failed"))
        watch.check(warn, condition())
        digest = make_digest(list(watch.alerts.values()), 2, watch.now, "D1")
        assert (digest.title, digest.severity, digest.transition) == ("Daily digest: 2 open", "error", "digest")
        assert digest.lines == (
            "Poison messages: queue: 3 messages (since 2024-02-01 06:15 UTC)",
            "Disk almost full: /lake: 4 % free (since 2024-02-01 06:15 UTC)",
            "Over since yesterday: Run failed: daily",
            "Not delivered within the last day: 2; `quantx alerts list` shows why",
        )

    def test_a_quiet_day_has_a_digest_too(self) -> None:
        digest = make_digest([], 0, START, "D1")
        assert (digest.title, digest.lines, digest.severity) == ("Daily digest: nothing is wrong", (), "info")
