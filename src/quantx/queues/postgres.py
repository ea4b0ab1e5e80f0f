"""The queue in the state database: the embedded default, and enough for one machine or a few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from quantx.errors import QueueError, StateError
from quantx.queues.poison import poison_name, read_record, record_of
from quantx.queues.protocol import Depth, Message, NotSent, Poisoned, check_most
from quantx.state.database import Database
from quantx.state.values import Row


class PostgresQueue:
    """A TaskQueue in the table queue_messages; receivers skip each other's locks."""

    def __init__(self, database: Database, name: str = "tasks") -> None:
        self._database = database
        self._name = name
        self._poison_name = poison_name(name)

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages, to be seen after `delay` seconds; all of them or none."""
        try:
            self._rows("queue.send", queue=self._name, bodies=list(bodies), delay=delay)
        except QueueError as error:
            raise NotSent(str(error)) from error

    def receive(self, most: int, visibility: float) -> list[Message]:
        """Return up to `most` messages and hide them for `visibility` seconds."""
        check_most(most)
        rows = self._rows("queue.receive", queue=self._name, most=most, visibility=visibility)
        rows.sort(key=lambda row: row["id"])
        return [Message(str(row["id"]), row["receipt"], row["body"], row["dequeue_count"]) for row in rows]

    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        """Hide messages for longer; None where this delivery has lapsed."""
        rows = self._rows("queue.extend", **_deliveries(messages), visibility=visibility)
        held = {row["id"] for row in rows}
        return [message if int(message.id) in held else None for message in messages]

    def delete(self, messages: Sequence[Message]) -> list[bool]:
        """Remove messages for good; False where this delivery has lapsed."""
        gone = {row["id"] for row in self._rows("queue.delete", **_deliveries(messages))}
        told = []
        for message in messages:
            told.append(int(message.id) in gone)
            gone.discard(int(message.id))  # given twice, it was deleted once
        return told

    def poison(self, message: Message, reason: str) -> None:
        """Move a message to the poison queue, in one statement; nothing where this delivery has lapsed."""
        record = record_of(message.body, reason, datetime.now(UTC))
        self._rows("queue.poison", **_deliveries([message]), queue=self._poison_name, record=record)

    def poisoned(self, most: int) -> list[Poisoned]:
        """Look at up to `most` records, the oldest first."""
        check_most(most)
        rows = self._rows("queue.look", queue=self._poison_name, most=most)
        return [read_record(row["body"], row["inserted_at"]) for row in rows]

    def depth(self) -> Depth:
        """Return how much is waiting."""
        row = self._rows("queue.depth", queue=self._name, poison=self._poison_name)[0]
        return Depth(row["visible"], row["total"], row["oldest"], row["poisoned"])

    def close(self) -> None:
        """Do nothing: the database belongs to the state."""

    def _rows(self, statement: str, **values: object) -> list[Row]:
        try:
            return self._database.rows(statement, **values)
        except StateError as error:
            raise QueueError(f"the queue in {error}") from error


def _deliveries(messages: Sequence[Message]) -> dict[str, object]:
    return {"ids": [int(message.id) for message in messages], "receipts": [message.receipt for message in messages]}
