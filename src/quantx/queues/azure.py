"""The queue in Azure Storage: for a fleet in the cloud; KEDA scales on its length.

The bodies are the base64 text of our messages, as Azure Functions expects it. The service has no batches, so that each
message takes a request: a few threads send them.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from typing_extensions import override

from quantx.azure_sign_in import AzureIdentity
from quantx.errors import QueueError
from quantx.queues.azure_service import Failure, QueueService, Reply
from quantx.queues.poison import poison_name, read_record, record_of
from quantx.queues.protocol import MOST_MESSAGES, Depth, Message, NotSent, Poisoned, TaskQueue, check_most
from quantx.settings import StorageKey

_THREADS = 16
_NEVER = -1  # a message's time to live; without it the service forgets after seven days
_LAPSED = ("PopReceiptMismatch", "MessageNotFound")  # delivered to another receiver, or deleted
_REFUSED_ALONE = (400, 413)  # an error of one message, which the others need not have
_TAKEN = 60  # seconds for which records of the poison queue are hidden while they are checked
_CREATE_ATTEMPTS = 5  # while a queue of that name is being deleted, a second apart

T = TypeVar("T")
R = TypeVar("R")


class AzureQueue(TaskQueue):
    """A TaskQueue in Azure Storage, and its poison queue; both are created at their first use where they are missing.

    With `create=False` an operation on a missing queue is a QueueError.
    The service takes visibility in whole seconds; it is rounded up.
    """

    def __init__(self, account_url: str, name: str, access: StorageKey | AzureIdentity, *, create: bool = True) -> None:
        self._url = f"{account_url}/{name}"
        self._service = QueueService(account_url, access, name=f"the queue {self._url}", connections=_THREADS)
        self._queue = _OneQueue(self._service, name, create=create)
        self._poison = _OneQueue(self._service, poison_name(name), create=create)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="queue")

    @override
    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._service.close()

    @override
    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages that never expire, to be seen after `delay` seconds."""
        results, failures = self._each(lambda body: self._queue.put(body, delay), bodies)
        if failures:
            raise NotSent(str(failures[0]), results) from failures[0]

    @override
    def receive(self, most: int, visibility: float) -> list[Message]:
        check_most(most)
        return [stored.message for stored in self._queue.get(most, max(1, math.ceil(visibility)))]

    @override
    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        """Hide messages for longer; None where this delivery has lapsed."""
        return self._all(lambda message: self._queue.update(message, visibility), messages)

    @override
    def delete(self, messages: Sequence[Message]) -> list[bool]:
        """Remove messages for good; False where this delivery has lapsed."""
        return self._all(self._queue.delete, messages)

    @override
    def poison(self, message: Message, reason: str) -> None:
        self._poison.put(record_of(message.body, reason, datetime.now(UTC)))
        self._queue.delete(message)

    @override
    def poisoned(self, most: int) -> list[Poisoned]:
        check_most(most)
        return [read_record(stored.message.body, stored.put_at) for stored in self._poison.peek(most)]

    @override
    def discard_poison(self, chosen: Callable[[Sequence[Poisoned]], Sequence[bool]]) -> int:
        """Take the records page by page, delete the chosen ones, and release the others at the end."""
        gone, kept = 0, list[Message]()
        while self._poison.count() > len(kept) and (page := self._poison.get(MOST_MESSAGES, _TAKEN)):
            records = [read_record(stored.message.body, stored.put_at) for stored in page]
            for stored, drop in zip(page, chosen(records), strict=True):
                if not drop:
                    kept.append(stored.message)
                else:
                    gone += self._poison.delete(stored.message)  # False: another worker has taken it
        for message in kept:
            self._poison.update(message, 0)
        return gone

    @override
    def depth(self) -> Depth:
        """Return the depth in three requests.

        `total` and `poisoned` are the service's approximate counts. `visible` is exact below 32; otherwise it is
        `total`, which is never less. `oldest` is that of the up to 32 messages at the head of the queue; None where no
        message is visible.
        """
        total = self._queue.count()
        seen = self._queue.peek(MOST_MESSAGES)
        total = max(total, len(seen))
        visible = len(seen) if len(seen) < MOST_MESSAGES else total
        oldest = min((stored.put_at for stored in seen), default=None)
        return Depth(visible, total, oldest, self._poison.count())

    @override
    def total(self) -> int:
        """Return the service's approximate number of messages in one request."""
        return self._queue.count()

    def _all(self, one: Callable[[T], R], items: Sequence[T]) -> list[R]:
        results, failures = self._each(one, items)
        if failures:
            raise failures[0]
        return [results[n] for n in range(len(items))]

    def _each(self, one: Callable[[T], R], items: Sequence[T]) -> tuple[dict[int, R], list[QueueError]]:
        """Call `one` for each item, a few at a time; return the results by position, and the failures.

        After a failure that the other items would meet, too, no further call starts: each would wait for its retries.
        """
        results: dict[int, R] = {}
        failures: list[QueueError] = []
        left, stopped = iter(range(len(items))), threading.Event()

        def work() -> None:
            for position in left:  # shared by the threads
                if stopped.is_set():
                    return
                try:
                    results[position] = one(items[position])
                except QueueError as error:
                    failures.append(error)
                    if not (isinstance(error, Failure) and error.status in _REFUSED_ALONE):
                        stopped.set()

        if len(items) == 1:
            work()
        else:
            for thread in [self._pool.submit(work) for _ in range(min(len(items), _THREADS))]:
                thread.result()
        return results, failures


@dataclass(frozen=True)
class _QueuedMessage:
    """A message as the service returns it."""

    message: Message
    put_at: datetime


class _OneQueue:
    """The operations on one queue of an account."""

    def __init__(self, service: QueueService, name: str, *, create: bool) -> None:
        self._service, self._name, self._create = service, name, create

    def put(self, body: str, delay: float = 0) -> None:
        """Add a message that never expires."""
        text = f"<QueueMessage><MessageText>{escape(body)}</MessageText></QueueMessage>".encode()
        self._request("POST", "/messages", text, visibilitytimeout=math.ceil(delay), messagettl=_NEVER)

    def get(self, most: int, seconds: int) -> list[_QueuedMessage]:
        """Return up to `most` messages and hide them."""
        return _messages(self._request("GET", "/messages", numofmessages=most, visibilitytimeout=seconds))

    def peek(self, most: int) -> list[_QueuedMessage]:
        """Return up to `most` messages without hiding them."""
        return _messages(self._request("GET", "/messages", peekonly="true", numofmessages=most))

    def update(self, message: Message, seconds: float) -> Message | None:
        """Hide a message for longer; return it with its new receipt, None where this delivery has lapsed."""
        reply = self._on("PUT", message, visibilitytimeout=math.ceil(seconds))
        return None if reply is None else replace(message, receipt=reply.headers.get("x-ms-popreceipt", ""))

    def delete(self, message: Message) -> bool:
        """Remove a message for good; return False where this delivery has lapsed."""
        return self._on("DELETE", message) is not None

    def count(self) -> int:
        """Return the service's approximate number of messages."""
        count = self._request("GET", "", comp="metadata").headers.get("x-ms-approximate-messages-count", "")
        if not count.isdecimal():
            raise _unreadable()
        return int(count)

    def _on(self, method: str, message: Message, **query: int) -> Reply | None:
        """Make a request about a message; return None where this delivery has lapsed."""
        try:
            return self._request(method, f"/messages/{message.id}", popreceipt=message.receipt, **query)
        except Failure as failure:
            if failure.code in _LAPSED:
                return None
            raise

    def _request(self, method: str, path: str, body: bytes = b"", /, **query: int | str) -> Reply:
        """Return the service's reply, after creating the queue where it was missing."""
        try:
            return self._service.request(method, self._name + path, query, body)
        except Failure as failure:
            if failure.code != "QueueNotFound" or not self._create:
                raise
        self._create_queue()
        return self._service.request(method, self._name + path, query, body)

    def _create_queue(self) -> None:
        """Create the queue unless it exists; wait a few seconds while one of that name is being deleted."""
        for attempts_left in reversed(range(_CREATE_ATTEMPTS)):
            try:
                self._service.request("PUT", self._name, {})
            except Failure as failure:
                if failure.status != 409 or (failure.code == "QueueBeingDeleted" and not attempts_left):
                    raise
                if failure.code != "QueueBeingDeleted":
                    return
                time.sleep(1)
            else:
                return


def _messages(reply: Reply) -> list[_QueuedMessage]:
    """Return the messages of a reply; those of a peek have no receipt."""
    try:
        return [_stored(element) for element in ElementTree.fromstring(reply.body)]  # noqa: S314 — of Azure
    except (ElementTree.ParseError, ValueError, KeyError) as error:
        raise _unreadable() from error


def _unreadable() -> QueueError:
    return QueueError("the reply of the queue service can't be read; check QUANTX_QUEUE_URL, and proxies")


def _stored(element: ElementTree.Element) -> _QueuedMessage:
    fields = {field.tag: field.text or "" for field in element}
    message = Message(
        fields["MessageId"],
        fields.get("PopReceipt", ""),
        fields.get("MessageText", ""),
        int(fields.get("DequeueCount") or 1),
    )
    return _QueuedMessage(message, parsedate_to_datetime(fields["InsertionTime"]))
