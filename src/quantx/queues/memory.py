"""A real queue in memory, for tests and for trying things: same promises, time given by a clock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quantx.core.model import Clock
from quantx.queues.protocol import MOST_MESSAGES, Depth, Message


@dataclass
class _Stored:
    body: str
    sent_at: datetime
    visible_at: datetime
    dequeue_count: int = 0
    receipt: str = ""


class MemoryQueue:
    """A TaskQueue that lives as long as the object."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._messages: dict[str, _Stored] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages, to be seen after `delay` seconds."""
        now = self._clock.now()
        with self._lock:
            for body in bodies:
                self._messages[str(next(self._ids))] = _Stored(body, now, now + timedelta(seconds=delay))

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Return up to `most` messages and hide them for `visibility` seconds."""
        if not 1 <= most <= MOST_MESSAGES:
            raise ValueError(f"ask for 1 to {MOST_MESSAGES} messages, not {most}")
        now = self._clock.now()
        with self._lock:
            seen = [(key, m) for key, m in self._messages.items() if m.visible_at <= now][:most]
            for _, m in seen:
                m.dequeue_count += 1
                m.receipt = f"r{next(self._ids)}"
                m.visible_at = now + timedelta(seconds=visibility)
            return [Message(key, m.receipt, m.body, m.dequeue_count) for key, m in seen]

    def extend(self, message: Message, visibility: float) -> Message | None:
        """Hide a message for longer; None where this delivery has lapsed."""
        with self._lock:
            stored = self._messages.get(message.id)
            if stored is None or stored.receipt != message.receipt:
                return None
            stored.visible_at = self._clock.now() + timedelta(seconds=visibility)
            stored.receipt = f"r{next(self._ids)}"
            return Message(message.id, stored.receipt, stored.body, stored.dequeue_count)

    def delete(self, message: Message) -> bool:
        """Remove a message for good; False where this delivery has lapsed."""
        with self._lock:
            stored = self._messages.get(message.id)
            if stored is None or stored.receipt != message.receipt:
                return False
            del self._messages[message.id]
            return True

    def depth(self) -> Depth:
        """Return how much is waiting."""
        now = self._clock.now()
        with self._lock:
            visible = sum(m.visible_at <= now for m in self._messages.values())
            oldest = min((m.sent_at for m in self._messages.values()), default=None)
            return Depth(visible, len(self._messages), oldest)
