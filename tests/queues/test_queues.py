"""What every queue promises: one class of tests, run against each adapter."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from quantx.errors import QueueError
from quantx.queues.memory import MemoryQueue
from quantx.queues.postgres import PostgresQueue
from quantx.queues.protocol import MOST_MESSAGES, Message, Poisoned, TaskQueue
from quantx.settings import StorageKey
from quantx.state.database import Database

from ..azurite import ACCOUNT, KEY, Azurite


@dataclass
class HandClock:
    """Stands still until it is moved."""

    instant: datetime = datetime(2024, 1, 8, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def move(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


@dataclass
class Kit:
    """A queue under test, and the way to let time pass for it."""

    queue: TaskQueue
    let_pass: Callable[[float], None]
    minute: float = 60  # how long a minute lasts for it


def memory_kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    clock = HandClock()
    yield Kit(MemoryQueue(clock), clock.move)


def postgres_kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    database: Database = request.getfixturevalue("database")

    def let_pass(seconds: float) -> None:
        with database.transaction() as connection:
            connection.execute(
                "update queue_messages set visible_at = visible_at - make_interval(secs => %s)", [seconds]
            )

    yield Kit(PostgresQueue(database), let_pass)


def azure_kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    from quantx.queues.azure import AzureQueue

    azurite: Azurite = request.getfixturevalue("azurite")
    queue = AzureQueue(azurite.queue_endpoint, f"q{uuid.uuid4().hex}", StorageKey(ACCOUNT, KEY))
    # Its clock can't be moved: a minute lasts a second.
    yield Kit(queue, lambda seconds: time.sleep(seconds / 60), minute=1)
    queue.close()


@pytest.fixture(params=[memory_kit, postgres_kit, azure_kit], ids=["memory", "postgres", "azure"])
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    yield from request.param(request)


def bodies(messages: list[Message]) -> list[str]:
    return [message.body for message in messages]


class TestQueue:
    """The contract."""

    def test_what_was_sent_is_received(self, kit: Kit) -> None:
        kit.queue.send(["a", "b", "c"])
        received = kit.queue.receive(10, 60)
        assert sorted(bodies(received)) == ["a", "b", "c"]
        assert {message.dequeue_count for message in received} == {1}
        assert len({message.id for message in received}) == 3

    def test_an_empty_queue_gives_nothing(self, kit: Kit) -> None:
        assert kit.queue.receive(1, 60) == []

    def test_sending_nothing_is_allowed(self, kit: Kit) -> None:
        kit.queue.send([])
        assert kit.queue.depth().total == 0

    def test_messages_come_in_roughly_the_order_of_sending(self, kit: Kit) -> None:
        for body in ("first", "second", "third"):
            kit.queue.send([body])
        assert [bodies(kit.queue.receive(1, 60)) for _ in range(3)] == [["first"], ["second"], ["third"]]

    def test_no_more_than_asked_are_given(self, kit: Kit) -> None:
        kit.queue.send([str(n) for n in range(40)])
        assert len(kit.queue.receive(7, 60)) == 7
        assert len(kit.queue.receive(MOST_MESSAGES, 60)) == 32
        assert len(kit.queue.receive(MOST_MESSAGES, 60)) == 1

    @pytest.mark.parametrize("most", [0, -1, MOST_MESSAGES + 1])
    def test_asking_for_none_or_for_more_than_azure_gives_is_a_mistake(self, kit: Kit, most: int) -> None:
        with pytest.raises(ValueError, match="request 1 to 32"):
            kit.queue.receive(most, 60)

    def test_the_same_text_twice_is_two_messages(self, kit: Kit) -> None:
        kit.queue.send(["a", "a"])
        assert len(kit.queue.receive(10, 60)) == 2

    def test_any_message_arrives_as_it_is(self, kit: Kit) -> None:
        texts = ["{}", "ü \N{ROCKET}", "'; drop table queue_messages --", "%s %(x)s", "<&>", "\x00", "x" * 48 * 1024]
        messages = [base64.b64encode(text.encode()).decode() for text in texts]
        kit.queue.send(messages)
        assert sorted(bodies(kit.queue.receive(10, 60))) == sorted(messages)

    def test_a_received_message_is_hidden_until_its_time_is_over(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        kit.queue.receive(1, kit.minute)
        kit.let_pass(30)
        assert kit.queue.receive(1, kit.minute) == []
        kit.let_pass(31)
        (again,) = kit.queue.receive(1, kit.minute)
        assert (again.body, again.dequeue_count) == ("a", 2)

    def test_a_delayed_message_is_seen_later(self, kit: Kit) -> None:
        kit.queue.send(["later"], delay=kit.minute)
        kit.queue.send(["now"])
        assert bodies(kit.queue.receive(10, 600)) == ["now"]
        kit.let_pass(61)
        assert bodies(kit.queue.receive(10, 600)) == ["later"]

    def test_a_deleted_message_never_comes_back(self, kit: Kit) -> None:
        kit.queue.send(["a", "b"])
        first, second = kit.queue.receive(2, kit.minute)
        assert kit.queue.delete([first]) == [True]
        kit.let_pass(61)
        assert bodies(kit.queue.receive(10, kit.minute)) == [second.body]

    def test_a_second_deletion_is_reported(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (message,) = kit.queue.receive(1, 60)
        assert [kit.queue.delete([message]), kit.queue.delete([message])] == [[True], [False]]

    def test_a_receipt_is_void_after_the_next_delivery(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (mine,) = kit.queue.receive(1, kit.minute)
        kit.let_pass(61)
        (theirs,) = kit.queue.receive(1, kit.minute)
        assert mine.receipt != theirs.receipt
        assert kit.queue.delete([mine]) == [False]
        assert kit.queue.extend([mine], kit.minute) == [None]
        assert kit.queue.delete([theirs]) == [True]

    def test_a_late_receiver_may_delete_before_the_next_delivery(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (message,) = kit.queue.receive(1, kit.minute)
        kit.let_pass(61)
        assert kit.queue.delete([message]) == [True]
        assert kit.queue.receive(1, kit.minute) == []

    def test_extending_hides_for_longer(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (message,) = kit.queue.receive(1, kit.minute)
        kit.let_pass(50)
        (extended,) = kit.queue.extend([message], 2 * kit.minute)
        assert extended is not None
        kit.let_pass(50)
        assert kit.queue.receive(1, kit.minute) == []
        kit.let_pass(71)
        assert len(kit.queue.receive(1, kit.minute)) == 1

    def test_extending_by_nothing_gives_a_message_back(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (message,) = kit.queue.receive(1, 60)
        kit.queue.extend([message], 0)
        assert bodies(kit.queue.receive(1, 60)) == ["a"]

    def test_the_extended_message_has_the_valid_receipt(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (message,) = kit.queue.receive(1, 60)
        (extended,) = kit.queue.extend([message], 60)
        assert extended is not None
        assert (extended.id, extended.body, extended.dequeue_count) == (message.id, "a", 1)
        (extended,) = kit.queue.extend([extended], 60)
        assert extended is not None
        assert kit.queue.delete([extended]) == [True]

    def test_a_deleted_message_cannot_be_extended(self, kit: Kit) -> None:
        kit.queue.send(["a"])
        (message,) = kit.queue.receive(1, 60)
        kit.queue.delete([message])
        assert kit.queue.extend([message], 60) == [None]

    def test_many_are_extended_and_deleted_at_once_and_each_is_reported(self, kit: Kit) -> None:
        kit.queue.send([str(n) for n in range(12)])
        messages = kit.queue.receive(MOST_MESSAGES, 60)
        assert len(messages) == 12
        kit.queue.delete(messages[3:5])
        extended = kit.queue.extend(messages, 60)
        assert [None if m is None else m.body for m in extended] == [
            None if n in (3, 4) else m.body for n, m in enumerate(messages)
        ]
        held = [m for m in extended if m is not None]
        deleted = kit.queue.delete([*held, held[0]])  # side by side: either of the two deletions of one may be first
        assert (deleted[1:10], sorted((deleted[0], deleted[10]))) == ([True] * 9, [False, True])
        assert kit.queue.depth().total == 0

    def test_of_nothing_nothing_is_extended_or_deleted(self, kit: Kit) -> None:
        assert (kit.queue.extend([], 60), kit.queue.delete([])) == ([], [])

    def test_poison_is_put_aside_with_its_reason(self, kit: Kit) -> None:
        kit.queue.send(["bad", "good"])
        messages = {m.body: m for m in kit.queue.receive(2, 60)}
        assert (kit.queue.poisoned(5), kit.queue.depth().poisoned) == ([], 0)
        kit.queue.poison(messages["bad"], "a message is no base64 JSON")
        (record,) = kit.queue.poisoned(5)
        assert (record.body, record.reason) == ("bad", "a message is no base64 JSON")
        assert record.at.tzinfo is not None
        assert kit.queue.depth().poisoned == 1
        assert kit.queue.delete([messages["bad"]]) == [False]
        assert kit.queue.depth().total == 1
        assert len(kit.queue.poisoned(5)) == 1  # looking takes nothing

    def test_chosen_poison_is_discarded_and_the_rest_stays(self, kit: Kit) -> None:
        bodies = [f"bad {n}" for n in range(40)]
        kit.queue.send(bodies)
        while messages := kit.queue.receive(32, 60):
            for message in messages:
                kit.queue.poison(message, "it failed")
        even = {f"bad {n}" for n in range(0, 40, 2)}
        assert kit.queue.discard_poison(lambda records: [record.body in even for record in records]) == 20
        assert kit.queue.depth().poisoned == 20
        assert {record.body for record in kit.queue.poisoned(32)} == set(bodies) - even
        assert kit.queue.discard_poison(lambda records: [False for _ in records]) == 0

    def test_two_workers_may_discard_poison_at_the_same_time(self, kit: Kit) -> None:
        kit.queue.send(["bad"])
        (message,) = kit.queue.receive(1, 60)
        kit.queue.poison(message, "it failed")
        counts: list[int] = []

        def after_another(records: Sequence[Poisoned]) -> list[bool]:
            counts.append(kit.queue.discard_poison(lambda others: [True for _ in others]))
            return [True for _ in records]

        counts.append(kit.queue.discard_poison(after_another))
        assert sum(counts) == 1
        assert kit.queue.depth().poisoned == 0

    def test_depth_counts_waiting_and_hidden_messages(self, kit: Kit) -> None:
        empty = kit.queue.depth()
        assert (empty.visible, empty.total, empty.oldest) == (0, 0, None)
        kit.queue.send(["a", "b", "c"])
        kit.queue.send(["later"], delay=kit.minute)
        (message,) = kit.queue.receive(1, kit.minute)
        depth = kit.queue.depth()
        assert (depth.visible, depth.total, depth.poisoned) == (2, 4, 0)
        assert kit.queue.total() == 4
        assert depth.oldest is not None
        assert depth.oldest.tzinfo is not None
        kit.queue.delete([message])
        assert kit.queue.depth().total == 3
        kit.let_pass(61)
        assert kit.queue.depth().visible == 3

    def test_no_message_is_given_to_two_receivers(self, kit: Kit) -> None:
        kit.queue.send([str(n) for n in range(200)])
        got: list[str] = []
        failures: list[BaseException] = []

        def receiver() -> None:
            try:
                while found := kit.queue.receive(5, 600):
                    got.extend(bodies(found))
            except BaseException as error:  # noqa: BLE001 — told below, in the test's own thread
                failures.append(error)

        threads = [threading.Thread(target=receiver) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        # a receiver may find the rest locked by another and stop early; what is left comes with the next call
        while found := kit.queue.receive(32, 600):
            got.extend(bodies(found))
        assert sorted(got) == sorted(str(n) for n in range(200))


@pytest.mark.parametrize("make", [memory_kit, postgres_kit])
def test_a_queue_of_our_own_carries_any_text(request: pytest.FixtureRequest, make: Any) -> None:
    for kit in make(request):
        texts = ["", "ü \N{ROCKET}", "'; drop table queue_messages --", "%s %(x)s", "x" * 100_000]
        kit.queue.send(texts)
        assert sorted(bodies(kit.queue.receive(10, 60))) == sorted(texts)


def test_queues_in_one_database_are_apart(database: Database) -> None:
    one, two = PostgresQueue(database, "one"), PostgresQueue(database, "two")
    one.send(["a"])
    assert two.receive(1, 60) == []
    assert (two.depth().total, one.depth().total) == (0, 1)


@pytest.mark.parametrize(
    "operation",
    [lambda q: q.send(["a"]), lambda q: q.receive(1, 60), lambda q: q.depth()],
    ids=["send", "receive", "depth"],
)
def test_a_broken_database_is_an_error_of_the_queue(database: Database, operation: Any) -> None:
    with database.transaction() as connection:
        connection.execute("drop table queue_messages")
    with pytest.raises(QueueError, match=r"^the queue in PostgreSQL"):
        operation(PostgresQueue(database))


def test_a_message_of_another_kind_of_queue_is_an_error_of_the_queue(database: Database) -> None:
    with pytest.raises(QueueError):
        PostgresQueue(database).delete([Message("1", "no-uuid", "a", 1)])
