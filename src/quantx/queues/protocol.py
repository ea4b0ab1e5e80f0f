"""The port of a task queue: delivery at least once, roughly in the order of sending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quantx.errors import QueueError

MOST_MESSAGES = 32  # per call; the limit of Azure Storage Queue


@dataclass(frozen=True)
class Message:
    """A message as received; `receipt` stands for this delivery and is void after the next one."""

    id: str
    receipt: str
    body: str
    dequeue_count: int  # deliveries so far, this one included


@dataclass(frozen=True)
class Poisoned:
    """A record of the poison queue: a message that can't be processed."""

    body: str  # of the message; a huge one is cut, with a note at its end
    reason: str
    at: datetime


@dataclass(frozen=True)
class Depth:
    """The number of waiting messages."""

    visible: int
    total: int  # with those that are hidden or delayed
    oldest: datetime | None  # when the oldest message was sent
    poisoned: int = 0  # records on the poison queue


class NotSent(QueueError):
    """Some messages were not accepted, or their fate is unknown.

    `sent` holds the positions of the accepted ones; the others may be sent again.
    """

    def __init__(self, message: str, sent: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.sent = frozenset(sent)


class TaskQueue(Protocol):
    """A queue with visibility time-outs.

    A body is base64 text of at most 64 KiB (see `messages`), which every queue carries unchanged.
    Every operation raises QueueError where the service can't be reached or refuses. An operation on several messages
    handles each by itself: it may fail after some of them.
    """

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages, to be seen after `delay` seconds; NotSent has the positions of the accepted ones."""
        ...

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Return up to `most` (≤ 32) messages and hide them for `visibility` seconds."""
        ...

    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        """Hide messages for `visibility` seconds from now (0: release them at once).

        Return, in order, each with its newest receipt, or None where this delivery has lapsed.
        """
        ...

    def delete(self, messages: Sequence[Message]) -> list[bool]:
        """Delete messages; return, in order, False where this delivery has lapsed."""
        ...

    def poison(self, message: Message, reason: str) -> None:
        """Put a record of the message on the poison queue, then delete the message.

        A crash between the two, or a delivery that has lapsed, may leave a second record; none is lost.
        """
        ...

    def poisoned(self, most: int) -> list[Poisoned]:
        """Return up to `most` (≤ 32) records of the poison queue, roughly the oldest first, without removing them."""
        ...

    def discard_poison(self, chosen: Callable[[Sequence[Poisoned]], Sequence[bool]]) -> int:
        """Delete the chosen records of the poison queue; return their number.

        `chosen` gets some records at a time, and returns for each whether it is to be deleted. After a crash the others
        may be hidden for a minute.
        """
        ...

    def depth(self) -> Depth:
        """Return the number of waiting messages."""
        ...

    def total(self) -> int:
        """Return the depth's `total` alone, with less work."""
        ...

    def close(self) -> None:
        """Close the connections; the queue can't be used afterwards."""
        ...


def check_most(most: int) -> None:
    """Raise ValueError where a call requests more messages than a queue returns."""
    if not 1 <= most <= MOST_MESSAGES:
        raise ValueError(f"request 1 to {MOST_MESSAGES} messages, not {most}")
