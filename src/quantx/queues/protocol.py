"""What a task queue promises: at least once, in roughly the order of sending."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quantx.errors import QueueError

MOST_MESSAGES = 32  # Azure Storage Queue gives no more at a time


@dataclass(frozen=True)
class Message:
    """A message as received; `receipt` is proof of this delivery and is void after the next one."""

    id: str
    receipt: str
    body: str
    dequeue_count: int  # deliveries so far, this one included


@dataclass(frozen=True)
class Poisoned:
    """What was put aside because it can't be worked on."""

    body: str  # of the message; cut where it was huge, and then its end says so
    reason: str
    at: datetime


@dataclass(frozen=True)
class Depth:
    """How much is waiting."""

    visible: int
    total: int  # with those that are being worked on or delayed
    oldest: datetime | None  # when the oldest message was sent
    poisoned: int = 0  # records on the poison queue


class NotSent(QueueError):
    """Some messages were not accepted, or it is not known of them.

    `sent` holds the positions of those that the queue has accepted; the others may be sent again.
    """

    def __init__(self, message: str, sent: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.sent = frozenset(sent)


class TaskQueue(Protocol):
    """A queue with visibility time-outs.

    A body is base64 text of at most 64 KiB (see `messages`): what every queue carries as it is.
    Every operation raises QueueError where the service can't be reached or refuses. What is done to several messages
    at once is done to each for itself: a failure may come after some of them.
    """

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages, to be seen after `delay` seconds; NotSent tells which of them the queue has."""
        ...

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Return up to `most` (≤ 32) messages and hide them for `visibility` seconds."""
        ...

    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        """Hide messages for `visibility` seconds from now (0: give them back at once).

        Returns, in order, each with its newest receipt, or None where this delivery has lapsed.
        """
        ...

    def delete(self, messages: Sequence[Message]) -> list[bool]:
        """Remove messages for good; returns, in order, False where this delivery has lapsed."""
        ...

    def poison(self, message: Message, reason: str) -> None:
        """Put a record of the message on the poison queue, then delete the message.

        A crash between the two, or a delivery that has lapsed, may leave a second record; none is lost.
        """
        ...

    def poisoned(self, most: int) -> list[Poisoned]:
        """Look at up to `most` (≤ 32) records of the poison queue, without taking them."""
        ...

    def depth(self) -> Depth:
        """Return how much is waiting."""
        ...

    def close(self) -> None:
        """Let go of the service."""
        ...


def check_most(most: int) -> None:
    """Raise a ValueError where no queue gives so many messages at a time."""
    if not 1 <= most <= MOST_MESSAGES:
        raise ValueError(f"ask for 1 to {MOST_MESSAGES} messages, not {most}")
