"""The queue in the state database: the embedded default, and enough for one machine or a few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from typing_extensions import override

from quantx.errors import QueueError, StateError
from quantx.queues.poison import poison_name, read_record, record_of
from quantx.queues.protocol import Depth, Message, NotSent, Poisoned, TaskQueue, check_most
from quantx.state.database import Database
from quantx.state.values import Row


class PostgresQueue(TaskQueue):
    """A TaskQueue in the table queue_messages; receivers skip each other's locks."""

    def __init__(self, database: Database, name: str = "tasks") -> None:
        self._database = database
        self._name = name
        self._poison_name = poison_name(name)

    @override
    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add all of the messages or none, to be seen after `delay` seconds."""
        try:
            self._rows("queue.send", queue=self._name, bodies=list(bodies), delay=delay)
        except QueueError as error:
            raise NotSent(str(error)) from error

    @override
    def receive(self, most: int, visibility: float) -> list[Message]:
        check_most(most)
        rows = self._rows("queue.receive", queue=self._name, most=most, visibility=visibility)
        rows.sort(key=lambda row: row["id"])
        return [Message(str(row["id"]), row["receipt"], row["body"], row["dequeue_count"]) for row in rows]

    @override
    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        rows = self._rows("queue.extend", **_deliveries(messages), visibility=visibility)
        held = {row["id"] for row in rows}
        return [message if int(message.id) in held else None for message in messages]

    @override
    def delete(self, messages: Sequence[Message]) -> list[bool]:
        deleted_ids = {row["id"] for row in self._rows("queue.delete", **_deliveries(messages))}
        deleted = []
        for message in messages:
            deleted.append(int(message.id) in deleted_ids)
            deleted_ids.discard(int(message.id))  # of a message that is given twice, the second is not deleted
        return deleted

    @override
    def poison(self, message: Message, reason: str) -> None:
        """Move the message to the poison queue in one statement; do nothing where this delivery has lapsed."""
        record = record_of(message.body, reason, datetime.now(UTC))
        self._rows("queue.poison", **_deliveries([message]), queue=self._poison_name, record=record)

    @override
    def poisoned(self, most: int) -> list[Poisoned]:
        check_most(most)
        rows = self._rows("queue.look", queue=self._poison_name, most=most)
        return [read_record(row["body"], row["inserted_at"]) for row in rows]

    @override
    def discard_poison(self, chosen: Callable[[Sequence[Poisoned]], Sequence[bool]]) -> int:
        rows = self._rows("queue.poison_records", queue=self._poison_name)
        gone = chosen([read_record(row["body"], row["inserted_at"]) for row in rows])
        ids = [row["id"] for row, drop in zip(rows, gone, strict=True) if drop]
        return len(self._rows("queue.discard_poison", queue=self._poison_name, ids=ids)) if ids else 0

    @override
    def depth(self) -> Depth:
        row = self._rows("queue.depth", queue=self._name, poison=self._poison_name)[0]
        return Depth(row["visible"], row["total"], row["oldest"], row["poisoned"])

    @override
    def total(self) -> int:
        return self.depth().total

    @override
    def close(self) -> None:
        """Do nothing: the database belongs to the state."""

    def _rows(self, statement: str, **values: object) -> list[Row]:
        try:
            return self._database.rows(statement, **values)
        except StateError as error:
            raise QueueError(f"the queue in {error}") from error


def _deliveries(messages: Sequence[Message]) -> dict[str, object]:
    return {"ids": [int(message.id) for message in messages], "receipts": [message.receipt for message in messages]}
