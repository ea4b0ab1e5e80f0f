"""From a condition to a receiver: a message for its beginning, one for its end, sent at least once, never for ever."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from quantx.alerts.channels.channel import Channel, NotDelivered, PartlyDelivered
from quantx.alerts.channels.slack import Slack
from quantx.alerts.channels.webhook import Webhook
from quantx.alerts.outbox import Sender, SentCounts, within
from quantx.alerts.run import check_and_send
from quantx.alerts.run import test_channels as try_channels
from quantx.core.alerts import AlertMessage
from quantx.core.model import Finding
from quantx.pipeline.runtime.threads import Threads
from quantx.settings import Settings
from quantx.state.alerts.port import AlertChange
from quantx.state.postgres import open_state

from .conftest import HandClock, Lab
from .servers import HttpReceiver, listening

NUMBERS = itertools.count(1)
JUMP = Finding("close_jump", "error", "AAPL", "150 then 15", source="yahoo")


@dataclass
class Book(Channel):
    """Keeps what it gets; fails first with these errors."""

    name: str = "webhook"
    gap: float = 0.0
    errors: list[NotDelivered | PartlyDelivered] = field(default_factory=list)
    got: list[AlertMessage] = field(default_factory=list)

    def send(self, message: AlertMessage) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(message)


def send_test(context: Any, channels: Any) -> None:
    """Put a message into the outbox."""
    now = context.clock.now()
    message = AlertMessage(
        id=f"{now:%H%M%S%f}-{next(NUMBERS)}",
        topic="test",
        transition="test",
        severity="info",
        title="t",
        lines=(),
        made_at=now,
    )
    context.state.alerts.change(lambda book: AlertChange(alerts={}, messages=[(message, list(channels))]), now)


def titles(book: Book) -> list[str]:
    return [message.title for message in book.got]


class TestTransitions:
    def test_a_finding_makes_one_message_and_its_end_another(self, lab: Lab) -> None:
        context, book = lab.context(), Book()
        lab.state.findings.note([JUMP])
        for _ in range(3):
            check_and_send(context, channels={"webhook": book})
            lab.clock.move(minutes=15)
        lab.state.findings.resolve("close_jump", ["AAPL"], "corrected")
        for _ in range(3):
            check_and_send(context, channels={"webhook": book})
        assert titles(book) == ["Finding: close_jump, AAPL yahoo", "Resolved: Finding: close_jump, AAPL yahoo"]
        assert book.got[0].lines[0] == "AAPL yahoo: 150 then 15 (since 2024-02-01 12:00 UTC)"

    def test_without_a_channel_alerts_are_recorded_and_the_first_channel_gets_them(self, lab: Lab) -> None:
        context, book = lab.context(), Book()
        lab.state.findings.note([JUMP])
        found = check_and_send(context, channels={})
        assert [alert.condition.subject for alert in found.alerts] == ["AAPL yahoo"]
        assert found.messages == ()
        check_and_send(context, channels={"webhook": book})
        assert titles(book) == ["Finding: close_jump, AAPL yahoo"]

    def test_rules_choose_channels_and_leave_out(self, lab: Lab) -> None:
        rules: dict[str, Any] = {
            "finding": {"channels": ["slack"], "leave_out": ["gap", "TSLA"]},
            "poison": {"send": "never"},
            "run_failed": {"send": "digest"},
        }
        context, webhook, slack = lab.context(alerts_rules=rules), Book(), Book("slack")
        lab.state.findings.note([JUMP, Finding("gap", "error", "MSFT", "a session is missing")])
        lab.state.findings.note([Finding("close_jump", "error", "TSLA", "9 then 1", source="yahoo")])
        lab.queue.send(["x"])
        lab.queue.poison(lab.queue.receive(1, 60)[0], "no task")
        check_and_send(context, channels={"webhook": webhook, "slack": slack})
        assert (titles(webhook), titles(slack)) == ([], ["Finding: close_jump, AAPL yahoo"])

    def test_the_digest_comes_once_a_day_at_its_time(self, lab: Lab) -> None:
        context, book = lab.context(alerts_digest="13:30 Europe/Berlin"), Book()  # 12:30 UTC
        hours = []
        for _ in range(96):
            check_and_send(context, channels={"webhook": book})
            hours += [f"{message.made_at:%d %H:%M}" for message in book.got]
            book.got.clear()
            lab.clock.move(minutes=30)
        assert hours == ["01 12:30", "02 12:30"]

    def test_a_clock_that_was_ahead_delays_nothing(self, lab: Lab) -> None:
        context, book = lab.context(alerts_digest="12:30"), Book(errors=[NotDelivered("it answers HTTP 500")])
        lab.clock.move(days=10, hours=1)
        lab.state.findings.note([JUMP])
        check_and_send(context, channels={"webhook": book})  # the alert and a digest of that day, which wait
        lab.clock.move(days=-10, minutes=-15)
        lab.state.findings.resolve("close_jump", ["AAPL"], "corrected")
        for _ in range(3):
            check_and_send(context, channels={"webhook": book})
            lab.clock.move(minutes=15)
        finding = "Finding: close_jump, AAPL yahoo"
        assert sorted(titles(book)) == [
            "Daily digest: 1 open",
            "Daily digest: nothing is wrong",
            finding,
            f"Resolved: {finding}",
        ]


class TestSending:
    def sender(self, lab: Lab, *channels: Book, attempts: int = 3) -> Sender:
        named = {channel.name: channel for channel in channels}
        return Sender(state=lab.state, channels=named, clock=lab.clock, runtime=lab.runtime, attempts=attempts)

    def test_a_failed_message_waits_longer_each_time_and_holds_back_later_ones(self, lab: Lab) -> None:
        book = Book(errors=[NotDelivered("it answers HTTP 500")] * 3)
        send_test(lab.context(), {"webhook": book})
        lab.clock.move(seconds=1)
        send_test(lab.context(), {"webhook": book})
        assert self.sender(lab, book, attempts=12).send(3600) == SentCounts(sent=2, failed=3)
        assert lab.runtime.waits == [30, 60, 120]
        first, second = lab.state.alerts.deliveries(10)[::-1]
        assert [book.got[0].id, book.got[1].id] == [first["message"], second["message"]]

    def test_a_time_that_the_receiver_names_is_kept_and_is_no_attempt(self, lab: Lab) -> None:
        book = Book(errors=[NotDelivered("it answers HTTP 429", retry_after=7)] * 5)
        send_test(lab.context(), {"webhook": book})
        assert self.sender(lab, book).send(3600) == SentCounts(sent=1, failed=5)
        assert lab.runtime.waits == [7] * 5

    def test_what_is_due_later_than_the_time_of_the_caller_stays(self, lab: Lab) -> None:
        book = Book(errors=[NotDelivered("it answers HTTP 500")])
        send_test(lab.context(), {"webhook": book})
        assert self.sender(lab, book).send(20) == SentCounts(failed=1)
        lab.clock.move(minutes=15)
        assert self.sender(lab, book).send(20) == SentCounts(sent=1)

    def test_a_message_that_is_rejected_is_tried_twice(self, lab: Lab) -> None:
        book = Book(errors=[NotDelivered("it answers HTTP 400", rejected=True)] * 9)
        send_test(lab.context(), {"webhook": book})
        assert self.sender(lab, book, attempts=12).send(3600) == SentCounts(failed=2, dead=1)

    def test_a_message_that_some_recipients_have_is_not_sent_again(self, lab: Lab) -> None:
        book = Book(errors=[PartlyDelivered("it refuses 1 of 2 recipients")])
        context = lab.context()
        send_test(context, ["webhook"])
        assert check_and_send(context, channels={"webhook": book}).sent == SentCounts(sent=1)
        (row,) = context.state.alerts.deliveries(9)
        assert (row["state"], row["last_error"]) == ("sent", "it refuses 1 of 2 recipients")

    def test_messages_to_slack_are_a_second_apart(self, lab: Lab) -> None:
        book = Book(name="slack", gap=1.0)
        for _ in range(3):
            send_test(lab.context(), {"slack": book})
        self.sender(lab, book).send(60)
        assert lab.runtime.waits == [1, 1, 1]  # also after the last: another process may be next

    def test_one_process_sends_at_a_time(self, lab: Lab) -> None:
        send_test(lab.context(), {"webhook": Book()})
        with lab.state.exclusive("alerts"):
            assert self.sender(lab, Book()).send(60) is None

    def test_a_dead_message_is_reported_through_the_other_channel_until_one_arrives(self, lab: Lab) -> None:
        broken = Book(errors=[NotDelivered("it answers HTTP 404")] * 2)
        good, channels = Book("slack"), {}
        channels = {"webhook": broken, "slack": good}
        context = lab.context(alerts_attempts=1)
        lab.state.findings.note([JUMP])
        check_and_send(context, channels=channels)
        assert titles(good) == ["Finding: close_jump, AAPL yahoo", "Alerts not delivered: webhook"]
        assert (
            good.got[1].lines[0].startswith("webhook: a message was not accepted after 1 attempts: it answers HTTP 404")
        )
        broken.errors.clear()
        lab.clock.move(minutes=15)
        lab.state.findings.resolve("close_jump", ["AAPL"], "corrected")
        check_and_send(context, channels=channels)
        check_and_send(context, channels=channels)
        assert titles(good)[2:] == [
            "Resolved: Finding: close_jump, AAPL yahoo",
            "Resolved: Alerts not delivered: webhook",
        ]


class TestReceivers:
    """Against servers on sockets, with PostgreSQL."""

    def context(self, lab: Lab, url: str) -> Any:
        context = lab.context()
        return type(context)(**{**vars(context), "state": open_state(url), "runtime": Threads()})

    def test_two_refusals_and_then_one_message_with_the_same_id(self, lab: Lab, migrated_database_url: str) -> None:
        receiver = HttpReceiver(answers=[(429, {"Retry-After": "1"}), (429, {"Retry-After": "1"}), (200, {})])
        with listening(receiver) as port:
            url = SecretStr(f"http://127.0.0.1:{port}/")
            context = self.context(lab, migrated_database_url)
            with closing(context.state):
                context.state.findings.note([JUMP])
                lab.clock.instant = context.state.now()
                context = type(context)(**{**vars(context), "clock": StateTime(context.state)})
                done = check_and_send(context, channels={"slack": Slack(url=url, installation="lab")}, seconds=10)
                (row,) = context.state.alerts.deliveries(10)
        assert done.sent == SentCounts(sent=1, failed=2)
        assert (row["state"], row["attempts"], row["last_error"]) == ("sent", 1, None)
        ids = {request.json["blocks"][-1]["elements"][0]["text"].rpartition(" ")[2] for request in receiver.requests}
        assert ids == {row["message"]}
        first, second, third = (request.at for request in receiver.requests)
        assert min(second - first, third - second) >= 0.9

    def test_a_sender_that_dies_after_the_receiver_took_the_message_repeats_its_id(
        self, lab: Lab, migrated_database_url: str
    ) -> None:
        receiver = HttpReceiver()
        with listening(receiver) as port, closing(open_state(migrated_database_url)) as state:
            url = SecretStr(f"http://127.0.0.1:{port}/")
            channel = Webhook(url=url, secret=SecretStr("k"), installation="lab")
            context = type(lab.context())(**{**vars(lab.context()), "state": state, "clock": StateTime(state)})
            send_test(context, {"webhook": channel})
            (delivery,) = state.alerts.waiting("webhook", 1)
            channel.send(delivery.message)  # and no `end_delivery`: the process was killed
            sender = Sender(
                state=state, channels={"webhook": channel}, clock=context.clock, runtime=Threads(), attempts=3
            )
            assert sender.send(5) == SentCounts(sent=1)
            assert sender.send(5) == SentCounts()
        assert len(receiver.requests) == 2
        assert len({request.headers["x-quantx-id"] for request in receiver.requests}) == 1

    def test_two_processes_at_once_announce_a_condition_once(self, lab: Lab, migrated_database_url: str) -> None:
        receiver = HttpReceiver()
        with listening(receiver) as port:
            channel = Slack(url=SecretStr(f"http://127.0.0.1:{port}/"), installation="lab", gap=0.0)
            with closing(open_state(migrated_database_url)) as state:
                state.findings.note([JUMP])

            context = lab.context()

            def one() -> None:
                with closing(open_state(migrated_database_url)) as own:
                    parts = {**vars(context), "state": own, "clock": StateTime(own), "runtime": Threads()}
                    check_and_send(type(context)(**parts), channels={"slack": channel}, seconds=5)

            threads = [threading.Thread(target=one) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(receiver.requests) == 1

    def test_a_server_that_answers_a_byte_at_a_time_is_left_after_the_limit(self) -> None:
        receiver = HttpReceiver(trickle=True)
        with listening(receiver) as port:
            channel = Slack(url=SecretStr(f"http://127.0.0.1:{port}/"), installation="lab")
            message = AlertMessage(
                id="M",
                topic="test",
                transition="test",
                severity="info",
                title="t",
                lines=(),
                made_at=HandClock().now(),
            )
            begun = time.monotonic()
            with pytest.raises(NotDelivered, match="does not answer in time"):
                within(0.3, lambda: channel.send(message))
            assert time.monotonic() - begun < 3


@dataclass
class StateTime:
    """The clock of a state."""

    state: Any

    def now(self) -> Any:
        return self.state.now()


def test_a_test_needs_no_outbox_and_names_what_failed() -> None:
    broken, good = Book(errors=[NotDelivered("it answers HTTP 404")]), Book("slack")
    results = try_channels({"webhook": broken, "slack": good}, HandClock().now())
    assert results == {"webhook": "it answers HTTP 404", "slack": None}
    assert titles(good) == ["Test: this channel works"]


def test_the_settings_of_a_rule_reach_the_limit() -> None:
    settings = Settings(alerts_rules={"disk": {"limit": 12}})  # type: ignore[dict-item]
    assert (settings.alert_limit("disk"), settings.alert_limit("circuit_open")) == (12, 30)
    assert settings.alert_limit("cost_above_budget") is None
    assert settings.redacted()["alerts_rules"] == "{'disk': {'limit': 12.0}}"
