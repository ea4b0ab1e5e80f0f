"""The queue in Azure Storage: for a fleet in the cloud; KEDA scales on its length.

The bodies are the base64 text of our messages, as Azure Functions expects it: the SDK must not encode it again. The SDK
retries; only the waits between are shorter here. The service has no batches, so that each message takes a request: a
few threads send them.
"""

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.storage.queue import ExponentialRetry, QueueClient, QueueMessage
from azure.storage.queue._generated import models as _responses
from typing_extensions import override

from quantx.azure_sign_in import AzureIdentity
from quantx.core.foreign_errors import network_fact
from quantx.errors import QueueError
from quantx.queues.poison import poison_name, read_record, record_of
from quantx.queues.protocol import MOST_MESSAGES, Depth, Message, NotSent, Poisoned, TaskQueue, check_most

_THREADS = 8
_NEVER = -1  # a message's time to live; without it the service forgets after seven days
_LAPSED = ("PopReceiptMismatch", "MessageNotFound")
_REFUSED_ALONE = (400, 413)  # an error of one message, which the others need not have
_ROLE = "role Storage Queue Data Contributor"
_RETRIES = 3
_TAKEN = 60  # seconds for which records of the poison queue are hidden while they are checked
_CONNECT, _READ = 2, 15  # seconds
_CREATE_ATTEMPTS = 5  # while a queue of that name is being deleted, a second apart

T = TypeVar("T")
R = TypeVar("R")


def _complete_responses() -> None:
    """Complete the SDK's (12.18) classes of responses now, in one thread.

    The SDK does so at the first response of each kind, without a lock. A second thread that reads a response at that
    moment gets plain XML elements for messages, or "dictionary changed size during iteration".
    """
    for response in vars(_responses).values():
        if hasattr(response, "_calculated"):
            response.__new__(response)


_complete_responses()


class _ShortRetry(ExponentialRetry):
    """The SDK's retries with short waits: 0.2, 0.4 and 0.8 seconds, each times a random factor from 0.5 to 1.5."""

    def get_backoff_time(self, settings: dict[str, Any]) -> float:
        return float(0.1 * 2 ** settings["count"] * random.uniform(0.5, 1.5))


class AzureQueue(TaskQueue):
    """A TaskQueue in Azure Storage, and its poison queue; both are created at their first use where they are missing.

    With `create=False` an operation on a missing queue is a QueueError.
    The service takes visibility in whole seconds; it is rounded up.
    """

    def __init__(
        self, account_url: str, name: str, access: dict[str, str] | AzureIdentity, *, create: bool = True
    ) -> None:
        self._url, self._create = f"{account_url}/{name}", create
        with ExitStack() as opened:
            if isinstance(access, AzureIdentity):
                opened.callback(access.close)
            self._queue = opened.enter_context(closing(_client(account_url, name, access)))
            self._poison = opened.enter_context(closing(_client(account_url, poison_name(name), access)))
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="queue")
            opened.callback(self._pool.shutdown, cancel_futures=True)
            self._opened = opened.pop_all()

    @override
    def close(self) -> None:
        self._opened.close()

    @override
    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        """Add messages that never expire, to be seen after `delay` seconds."""

        def send_one(body: str) -> None:
            self._ask(
                self._queue,
                lambda: self._queue.send_message(body, visibility_timeout=math.ceil(delay), time_to_live=_NEVER),
            )

        results, failures = self._each(send_one, bodies)
        if failures:
            raise NotSent(str(failures[0]), results) from failures[0]

    @override
    def receive(self, most: int, visibility: float) -> list[Message]:
        check_most(most)
        hidden = max(1, math.ceil(visibility))

        def one_page() -> list[Message]:
            pages = self._queue.receive_messages(messages_per_page=most, visibility_timeout=hidden).by_page()
            page = next(pages, iter(()))  # an empty queue gives no page
            return [Message(m.id, str(m.pop_receipt), m.content or "", m.dequeue_count or 1) for m in page]

        return self._ask(self._queue, one_page)

    @override
    def extend(self, messages: Sequence[Message], visibility: float) -> list[Message | None]:
        """Hide messages for longer; None where this delivery has lapsed."""

        def extend_one(message: Message) -> Message | None:
            try:
                updated = self._ask(
                    self._queue,
                    lambda: self._queue.update_message(
                        message.id, message.receipt, visibility_timeout=math.ceil(visibility)
                    ),
                )
            except _Lapsed:
                return None
            return replace(message, receipt=str(updated.pop_receipt))

        return self._all(extend_one, messages)

    @override
    def delete(self, messages: Sequence[Message]) -> list[bool]:
        """Remove messages for good; False where this delivery has lapsed."""

        def delete_one(message: Message) -> bool:
            try:
                self._ask(self._queue, lambda: self._queue.delete_message(message.id, message.receipt))
            except _Lapsed:
                return False
            return True

        return self._all(delete_one, messages)

    @override
    def poison(self, message: Message, reason: str) -> None:
        record = record_of(message.body, reason, datetime.now(UTC))
        self._ask(self._poison, lambda: self._poison.send_message(record, time_to_live=_NEVER))
        self.delete([message])

    @override
    def poisoned(self, most: int) -> list[Poisoned]:
        check_most(most)
        records = self._ask(self._poison, lambda: self._poison.peek_messages(max_messages=most))
        return [read_record(m.content or "", m.inserted_on or datetime.now(UTC)) for m in records]

    @override
    def discard_poison(self, chosen: Callable[[Sequence[Poisoned]], Sequence[bool]]) -> int:
        """Take the records page by page, delete the chosen ones, and release the others at the end."""
        gone, kept = 0, list[QueueMessage]()
        while self._count(self._poison) > len(kept) and (page := self._ask(self._poison, self._page_of_poison)):
            records = [read_record(m.content or "", m.inserted_on or datetime.now(UTC)) for m in page]
            for message, drop in zip(page, chosen(records), strict=True):
                if not drop:
                    kept.append(message)
                    continue
                with contextlib.suppress(_Lapsed):  # another worker has taken it
                    self._ask(self._poison, partial(self._poison.delete_message, message.id, message.pop_receipt))
                    gone += 1
        for message in kept:
            release = partial(self._poison.update_message, message.id, message.pop_receipt, visibility_timeout=0)
            with contextlib.suppress(_Lapsed):
                self._ask(self._poison, release)
        return gone

    def _page_of_poison(self) -> list[QueueMessage]:
        pages = self._poison.receive_messages(messages_per_page=MOST_MESSAGES, visibility_timeout=_TAKEN).by_page()
        return list(next(pages, iter(())))

    @override
    def depth(self) -> Depth:
        """Return the depth in three requests.

        `total` and `poisoned` are the service's approximate counts. `visible` is exact below 32; otherwise it is
        `total`, which is never less. `oldest` is that of the up to 32 messages at the head of the queue; None where no
        message is visible.
        """
        total = self._count(self._queue)
        seen = self._ask(self._queue, lambda: self._queue.peek_messages(max_messages=MOST_MESSAGES))
        total = max(total, len(seen))
        visible = len(seen) if len(seen) < MOST_MESSAGES else total
        oldest = min((m.inserted_on for m in seen if m.inserted_on is not None), default=None)
        return Depth(visible, total, oldest, self._count(self._poison))

    def _count(self, client: QueueClient) -> int:
        return self._ask(client, client.get_queue_properties).approximate_message_count or 0

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
        stopped = threading.Event()

        def attempt(position: int) -> None:
            if stopped.is_set():
                return
            try:
                results[position] = one(items[position])
            except QueueError as error:
                failures.append(error)
                cause = error.__cause__
                if not (isinstance(cause, HttpResponseError) and cause.status_code in _REFUSED_ALONE):
                    stopped.set()

        if len(items) == 1:
            attempt(0)
        else:
            list(self._pool.map(attempt, range(len(items))))
        return results, failures

    def _ask(self, client: QueueClient, request: Callable[[], R]) -> R:
        """Return the service's response, after creating the queue where it was missing; raise _Lapsed or QueueError."""
        try:
            try:
                return request()
            except HttpResponseError as error:
                if _code(error) != "QueueNotFound" or not self._create:
                    raise
                _create(client)
                return request()
        except AzureError as error:
            if _code(error) in _LAPSED:
                raise _Lapsed(_code(error)) from error
            raise QueueError(f"the queue {self._url}: {_reason(error)}") from error


def _client(account_url: str, name: str, access: dict[str, str] | AzureIdentity) -> QueueClient:
    return QueueClient(
        account_url,
        name,
        credential=access.credential if isinstance(access, AzureIdentity) else access,
        retry_policy=_ShortRetry(retry_total=_RETRIES),
        connection_timeout=_CONNECT,
        read_timeout=_READ,
    )


class _Lapsed(QueueError):
    """The message was delivered to another receiver, or is deleted."""


def _create(client: QueueClient) -> None:
    """Create a queue unless it exists; wait a few seconds while one of that name is being deleted."""
    for attempts_left in reversed(range(_CREATE_ATTEMPTS)):
        try:
            client.create_queue()
        except ResourceExistsError as error:
            if _code(error) != "QueueBeingDeleted":
                return
            if attempts_left == 0:
                raise
            time.sleep(1)
        else:
            return


def _code(error: AzureError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


def _reason(error: AzureError) -> str:
    """Return the fact and the next step in one line, without the signature of the request."""
    status = error.status_code if isinstance(error, HttpResponseError) else None
    fact = network_fact(error) if status is None else f"HTTP {status} {_code(error)}".rstrip()
    if status in (401, 403):
        return f"{fact}; check AZURE_STORAGE_CONNECTION_STRING, or give the identity the {_ROLE}"
    if status is None:
        return f"{fact}; check the address, and that the service or the identity can be reached"
    if _code(error) == "QueueNotFound":
        return "there is no queue of that name; check QUANTX_QUEUE_URL"
    return f"{fact}; the same request may work later"
