"""The queue in the state database: the embedded default, and enough for one machine or a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quantx.errors import QueueError, StateError
from quantx.queues.protocol import MOST_MESSAGES, Depth, Message
from quantx.state.database import Database, Row


class PostgresQueue:
    """A TaskQueue in the table queue_messages; receivers skip each other's locks."""

    def __init__(self, database: Database, name: str = "tasks") -> None:
        self._database = database
        self._name = name

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages, to be seen after `delay` seconds."""
        self._rows("queue.send", queue=self._name, bodies=list(bodies), delay=delay)

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Return up to `most` messages and hide them for `visibility` seconds."""
        if not 1 <= most <= MOST_MESSAGES:
            raise ValueError(f"ask for 1 to {MOST_MESSAGES} messages, not {most}")
        rows = self._rows("queue.receive", queue=self._name, most=most, visibility=visibility)
        rows.sort(key=lambda row: row["id"])
        return [Message(str(row["id"]), row["receipt"], row["body"], row["dequeue_count"]) for row in rows]

    def extend(self, message: Message, visibility: float) -> Message | None:
        """Hide a message for longer; None where this delivery has lapsed."""
        rows = self._rows("queue.extend", id=int(message.id), receipt=message.receipt, visibility=visibility)
        return replace(message) if rows else None

    def delete(self, message: Message) -> bool:
        """Remove a message for good; False where this delivery has lapsed."""
        return bool(self._rows("queue.delete", id=int(message.id), receipt=message.receipt))

    def depth(self) -> Depth:
        """Return how much is waiting."""
        row = self._rows("queue.depth", queue=self._name)[0]
        return Depth(row["visible"], row["total"], row["oldest"])

    def _rows(self, statement: str, **values: object) -> list[Row]:
        try:
            return self._database.rows(statement, **values)
        except StateError as error:
            raise QueueError(f"the queue in {error}") from error
