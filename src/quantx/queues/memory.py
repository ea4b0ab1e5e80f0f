"""A real queue in memory, for tests and for trying things: same promises, time given by a clock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quantx.core.model import Clock
from quantx.queues.poison import read_record, record_of
from quantx.queues.protocol import Depth, Message, Poisoned, check_most


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
        self._poison: list[tuple[str, datetime]] = []
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
        check_most(most)
        now = self._clock.now()
        with self._lock:
            seen = [(key, m) for key, m in self._messages.items() if m.visible_at <= now][:most]
            for _, m in seen:
                m.dequeue_count += 1
                m.receipt = f"r{next(self._ids)}"
                m.visible_at = now + timedelta(seconds=visibility)
            return [Message(key, m.receipt, m.body, m.dequeue_count) for key, m in seen]

    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        """Hide messages for longer; None where this delivery has lapsed."""
        until = self._clock.now() + timedelta(seconds=visibility)
        with self._lock:
            return [self._extend(message, until) for message in messages]

    def delete(self, messages: Sequence[Message]) -> list[bool]:
        """Remove messages for good; False where this delivery has lapsed."""
        with self._lock:
            return [self._delete(message) for message in messages]

    def poison(self, message: Message, reason: str) -> None:
        """Move a message to the poison queue; nothing where this delivery has lapsed."""
        now = self._clock.now()
        with self._lock:
            if self._delete(message):
                self._poison.append((record_of(message.body, reason, now), now))

    def poisoned(self, most: int) -> list[Poisoned]:
        """Look at up to `most` records, the oldest first."""
        check_most(most)
        with self._lock:
            return [read_record(record, put_at) for record, put_at in self._poison[:most]]

    def depth(self) -> Depth:
        """Return how much is waiting."""
        now = self._clock.now()
        with self._lock:
            visible = sum(m.visible_at <= now for m in self._messages.values())
            oldest = min((m.sent_at for m in self._messages.values()), default=None)
            return Depth(visible, len(self._messages), oldest, len(self._poison))

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _held(self, message: Message) -> _Stored | None:
        stored = self._messages.get(message.id)
        return stored if stored is not None and stored.receipt == message.receipt else None

    def _extend(self, message: Message, until: datetime) -> Message | None:
        stored = self._held(message)
        if stored is None:
            return None
        stored.visible_at = until
        stored.receipt = f"r{next(self._ids)}"
        return Message(message.id, stored.receipt, stored.body, stored.dequeue_count)

    def _delete(self, message: Message) -> bool:
        if self._held(message) is None:
            return False
        del self._messages[message.id]
        return True
