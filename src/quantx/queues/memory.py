"""A queue in memory, for tests and trials: the same guarantees, with the time of a given clock."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

from typing_extensions import override

from quantx.core.model import Clock
from quantx.queues.poison import read_record, record_of
from quantx.queues.protocol import Depth, Message, Poisoned, TaskQueue, check_most


@dataclass
class _Stored:
    body: str
    sent_at: datetime
    visible_at: datetime
    _: KW_ONLY
    dequeue_count: int = 0
    receipt: str = ""


class MemoryQueue(TaskQueue):
    """A TaskQueue that lives as long as the object."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._messages: dict[str, _Stored] = {}
        self._poison: list[tuple[str, datetime]] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    @override
    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        now = self._clock.now()
        with self._lock:
            for body in bodies:
                self._messages[str(next(self._ids))] = _Stored(body, now, now + timedelta(seconds=delay))

    @override
    def receive(self, most: int, visibility: float) -> list[Message]:
        check_most(most)
        now = self._clock.now()
        with self._lock:
            visible = [(key, m) for key, m in self._messages.items() if m.visible_at <= now][:most]
            for _, m in visible:
                m.dequeue_count += 1
                m.receipt = f"r{next(self._ids)}"
                m.visible_at = now + timedelta(seconds=visibility)
            return [Message(key, m.receipt, m.body, m.dequeue_count) for key, m in visible]

    @override
    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        until = self._clock.now() + timedelta(seconds=visibility)
        with self._lock:
            return [self._extend(message, until) for message in messages]

    @override
    def delete(self, messages: Sequence[Message]) -> list[bool]:
        with self._lock:
            return [self._delete(message) for message in messages]

    @override
    def poison(self, message: Message, reason: str) -> None:
        now = self._clock.now()
        with self._lock:
            if self._delete(message):
                self._poison.append((record_of(message.body, reason, now), now))

    @override
    def poisoned(self, most: int) -> list[Poisoned]:
        check_most(most)
        with self._lock:
            return [read_record(record, put_at) for record, put_at in self._poison[:most]]

    @override
    def discard_poison(self, chosen: Callable[[Sequence[Poisoned]], Sequence[bool]]) -> int:
        with self._lock:
            stored = list(self._poison)
        gone = chosen([read_record(record, put_at) for record, put_at in stored])
        with self._lock:  # another worker may have discarded some of them meanwhile
            dropped = [e for e, drop in zip(stored, gone, strict=True) if drop and e in self._poison]
            self._poison = [entry for entry in self._poison if entry not in dropped]
        return len(dropped)

    @override
    def depth(self) -> Depth:
        now = self._clock.now()
        with self._lock:
            visible = sum(m.visible_at <= now for m in self._messages.values())
            oldest = min((m.sent_at for m in self._messages.values()), default=None)
            return Depth(visible, len(self._messages), oldest, len(self._poison))

    @override
    def total(self) -> int:
        return self.depth().total

    @override
    def close(self) -> None:
        """Do nothing: it holds no connection."""

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
