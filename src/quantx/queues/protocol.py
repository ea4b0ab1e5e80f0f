"""What a task queue promises: at least once, in roughly the order of sending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

MOST_MESSAGES = 32  # Azure Storage Queue gives no more at a time


@dataclass(frozen=True)
class Message:
    """A message as received; `receipt` is proof of this delivery and is void after the next one."""

    id: str
    receipt: str
    body: str
    dequeue_count: int  # deliveries so far, this one included


@dataclass(frozen=True)
class Depth:
    """How much is waiting."""

    visible: int
    total: int  # with those that are being worked on or delayed
    oldest: datetime | None  # when the oldest message was sent


class TaskQueue(Protocol):
    """A queue with visibility time-outs; every operation may raise QueueError."""

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages, to be seen after `delay` seconds."""
        ...

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Return up to `most` (≤ 32) messages and hide them for `visibility` seconds."""
        ...

    def extend(self, message: Message, visibility: float) -> Message | None:
        """Hide a message for `visibility` seconds from now; return it with its newest receipt, None if it was lost."""
        ...

    def delete(self, message: Message) -> bool:
        """Remove a message for good; False where this delivery has lapsed."""
        ...

    def depth(self) -> Depth:
        """Return how much is waiting."""
        ...
