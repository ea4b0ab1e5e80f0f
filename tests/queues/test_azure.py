"""What is particular to a queue in Azure: the text on the wire, its limits, its refusals, and who may use it."""

from __future__ import annotations

import base64
import json
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from azure.storage.queue import QueueClient

from quantx.errors import QueueError
from quantx.queues import messages
from quantx.queues.azure import AzureQueue
from quantx.queues.open import open_queue
from quantx.queues.poison import poison_name
from quantx.queues.protocol import Message, NotSent
from quantx.settings import StorageKey, load_settings

from ..azurite import ACCOUNT, KEY, Azurite, SecureAzurite

NAMED_KEY = {"account_name": ACCOUNT, "account_key": KEY}  # for Microsoft's client
OUR_KEY = StorageKey(ACCOUNT, KEY)
ROW = {"task_id": 7, "run_id": "01HKZ", "source": "yahoo", "symbol": "BRK.B", "timeframe": "1d"}
ROW |= {"window_start": "2024-01-02", "window_end": "2024-01-05"}
MESSAGE = Message("1", "receipt", "a", 1)


def text(length: int) -> str:
    return base64.b64encode(b"x" * (length * 3 // 4)).decode()


@pytest.fixture
def name() -> str:
    return f"q{uuid.uuid4().hex}"


@pytest.fixture
def queue(azurite: Azurite, name: str) -> Iterator[AzureQueue]:
    opened = AzureQueue(azurite.queue_endpoint, name, OUR_KEY)
    yield opened
    opened.close()


@pytest.fixture
def raw(azurite: Azurite) -> Iterator[Callable[[str], QueueClient]]:
    """Gives Microsoft's own client of a queue, without any decoding: what Azure Functions would see."""
    clients: list[QueueClient] = []

    def client(name: str) -> QueueClient:
        clients.append(QueueClient(azurite.queue_endpoint, name, credential=NAMED_KEY))
        return clients[-1]

    yield client
    for opened in clients:
        opened.close()


def test_a_message_is_the_text_that_azure_functions_expects(queue: AzureQueue, name: str, raw: Any) -> None:
    queue.send([messages.encode(ROW)])
    (seen,) = raw(name).peek_messages()
    assert json.loads(base64.b64decode(seen.content, validate=True))["symbol"] == "BRK.B"


def test_neither_a_message_nor_a_record_of_poison_ever_expires(queue: AzureQueue, name: str, raw: Any) -> None:
    queue.send(["bad", "good"])
    queue.poison(queue.receive(1, 60)[0], "no task")
    assert [raw(n).peek_messages()[0].expires_on.year for n in (name, poison_name(name))] == [9999, 9999]


def test_a_message_of_another_hand_is_received_and_can_be_poisoned(queue: AzureQueue, name: str, raw: Any) -> None:
    queue.depth()  # creates both queues
    raw(name).send_message("<not ours>")
    (message,) = queue.receive(32, 60)
    queue.poison(message, "a message is no base64 JSON")
    assert [(p.body, p.reason) for p in queue.poisoned(5)] == [("<not ours>", "a message is no base64 JSON")]


def test_the_largest_message_fits_on_the_poison_queue(queue: AzureQueue) -> None:
    queue.send([text(65_536)])
    (message,) = queue.receive(1, 60)
    queue.poison(message, "too large")
    (record,) = queue.poisoned(1)
    assert record.body.endswith("… (cut: 65536 characters in all)")
    assert (queue.depth().total, queue.depth().poisoned) == (0, 1)


def test_what_azure_functions_gave_up_is_seen_beside_ours(queue: AzureQueue, name: str, raw: Any) -> None:
    queue.depth()
    raw(poison_name(name)).send_message(messages.encode(ROW))
    (record,) = queue.poisoned(5)
    assert record.body == messages.encode(ROW)
    assert record.reason == "another program put it here, without a reason"


def test_a_message_that_azure_refuses_holds_up_no_other(queue: AzureQueue) -> None:
    with pytest.raises(NotSent, match=r"413|TooLarge") as refusal:
        queue.send([text(100), text(80_000), *[text(100)] * 20])
    assert refusal.value.sent == frozenset({0, *range(2, 22)})
    assert queue.depth().total == 21


def test_a_deleted_queue_is_created_again(queue: AzureQueue, name: str, raw: Any) -> None:
    queue.send(["a"])
    (message,) = queue.receive(1, 60)
    raw(name).delete_queue()
    assert queue.delete([message]) == [False]
    raw(name).delete_queue()
    queue.send(["b"])
    assert [m.body for m in queue.receive(32, 60)] == ["b"]


def test_beyond_a_page_what_is_visible_is_at_most_the_total(queue: AzureQueue) -> None:
    queue.send([str(n) for n in range(40)])
    queue.receive(5, 60)
    depth = queue.depth()
    assert (depth.visible, depth.total) == (40, 40)


# What Azurite does not do at will is played by a service that answers as it is told.


class Played(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: Callable[[str, int], tuple[int, str]]
    asked: list[str]

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(f"{self.command} {self.path}")
        status, code = type(self).answers(self.command, len(self.asked))
        peeked = "<QueueMessage><MessageText>a</MessageText></QueueMessage>" if "peekonly" in self.path else ""
        body = f"<QueueMessagesList>{peeked}</QueueMessagesList>"
        if code:
            body = f"<Error><Code>{code}</Code><Message>played</Message></Error>"
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        if code:
            self.send_header("x-ms-error-code", code)
        self.send_header("Content-Length", "0" if status == 204 else str(len(body)))
        self.end_headers()
        if status != 204:
            self.wfile.write(body.encode())

    do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 — http.server calls them so

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """Serve at a port of this machine; return the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def played(answers: Callable[[str, int], tuple[int, str]]) -> Iterator[tuple[AzureQueue, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Played,), {"answers": staticmethod(answers), "asked": asked})
    with serving(handler) as port, closing(AzureQueue(f"http://127.0.0.1:{port}/{ACCOUNT}", "tasks", OUR_KEY)) as queue:
        yield queue, asked


LAPSED = [(400, "PopReceiptMismatch"), (404, "MessageNotFound")]


@pytest.mark.parametrize("answer", LAPSED, ids=[code for _, code in LAPSED])
def test_a_lost_delivery_is_reported_without_an_error(answer: tuple[int, str]) -> None:
    with played(lambda method, n: answer) as (queue, _):
        assert queue.delete([MESSAGE, MESSAGE]) == [False, False]
        assert queue.extend([MESSAGE], 60) == [None]


def test_a_service_that_is_busy_for_a_moment_is_asked_again() -> None:
    with played(lambda method, n: (503, "ServerBusy") if n < 3 else (204, "")) as (queue, asked):
        assert queue.delete([MESSAGE]) == [True]
        assert len(asked) == 3


def test_an_outage_while_sending_reports_the_accepted_messages_and_stops() -> None:
    with played(lambda method, n: (201, "") if n <= 16 else (503, "ServerBusy")) as (queue, asked):
        started = time.monotonic()
        with pytest.raises(NotSent, match="ServerBusy") as failure:
            queue.send([str(n) for n in range(1000)])
        assert len(failure.value.sent) == 16
        assert time.monotonic() - started < 6
        assert len(asked) < 100


def test_a_queue_that_is_being_deleted_is_waited_for() -> None:
    answers = {1: (404, "QueueNotFound"), 2: (409, "QueueBeingDeleted"), 3: (409, "QueueAlreadyExists")}
    with played(lambda method, n: answers.get(n, (200, ""))) as (queue, asked):
        assert queue.receive(1, 60) == []
        assert [line.split()[0] for line in asked] == ["GET", "PUT", "PUT", "GET"]


def test_a_forbidden_request_names_the_next_step() -> None:
    with (
        played(lambda method, n: (403, "AuthorizationPermissionMismatch")) as (queue, asked),
        pytest.raises(QueueError, match="role Storage Queue Data Contributor"),
    ):
        queue.receive(1, 60)
    assert len(asked) == 1


@pytest.mark.parametrize("status", [200, 202, 302])
def test_a_page_of_a_proxy_is_no_sent_or_deleted_message(status: int) -> None:
    with played(lambda method, n: (status, "")) as (queue, asked):
        with pytest.raises(NotSent, match="QUANTX_QUEUE_URL, and proxies"):
            queue.send(["a"])
        with pytest.raises(QueueError, match="QUANTX_QUEUE_URL, and proxies"):
            queue.delete([MESSAGE])
        with pytest.raises(QueueError, match="QUANTX_QUEUE_URL, and proxies"):
            queue.depth()
        assert len(asked) == 3


def test_messages_without_their_fields_are_an_error_of_the_queue() -> None:
    with played(lambda method, n: (200, "")) as (queue, _):
        for ask in (queue.depth, lambda: queue.poisoned(1)):  # no count; a message without an id
            with pytest.raises(QueueError, match="can't be read"):
                ask()


@pytest.mark.parametrize("address", ["http://us%40er:pass@{}", "us%40er:pass@{}"])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_may_need_a_password(variable: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append((self.path, self.headers["Proxy-Authorization"]))
            self.send_error(403)

        def log_message(self, *args: object) -> None:
            pass

    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with serving(Proxy) as port:
        monkeypatch.setenv(variable, address.format(f"127.0.0.1:{port}"))
        queue = AzureQueue("https://acc.queue.core.windows.net", "tasks", OUR_KEY)
        with pytest.raises(QueueError, match="the proxy refuses") as refusal:
            queue.receive(1, 60)
        queue.close()
    assert set(asked) == {("acc.queue.core.windows.net:443", f"Basic {base64.b64encode(b'us@er:pass').decode()}")}
    assert "pass" not in str(refusal.value)


def test_an_unreachable_service_fails_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    queue = AzureQueue(f"http://127.0.0.1:{port}/{ACCOUNT}", "tasks", OUR_KEY)
    started = time.monotonic()
    with pytest.raises(NotSent, match="check the address") as failure:
        queue.send(["a"] * 50)
    assert failure.value.sent == frozenset()
    assert time.monotonic() - started < 6
    assert KEY not in str(failure.value)
    queue.close()


# Who may use it.


@pytest.fixture
def secure(azurite_https: SecureAzurite, monkeypatch: pytest.MonkeyPatch) -> SecureAzurite:
    for variable, value in azurite_https.environment.items():
        monkeypatch.setenv(variable, value)
    return azurite_https


def round_trip(queue: Any) -> None:
    queue.send([str(n) for n in range(20)])
    received = queue.receive(32, 60)
    assert sorted(int(m.body) for m in received) == list(range(20))
    assert all(queue.extend(received[:2], 60))
    queue.poison(received[-1], "no task")
    assert queue.delete(received[2:-1]) == [True] * 17
    assert (queue.depth().total, queue.depth().poisoned) == (2, 1)
    queue.close()


def test_the_managed_identity_may_use_the_queue(secure: SecureAzurite, name: str, database: Any) -> None:
    settings = load_settings(queue_url=f"{secure.azurite.queue_endpoint}/{name}")
    before = len(secure.identity.issued)
    round_trip(open_queue(settings, database))
    assert len(secure.identity.issued) - before == 1  # for all threads and requests


@pytest.mark.parametrize("form", ["az://{name}", "{name}", "{endpoint}/{name}"])
def test_an_account_key_may_use_it_too(secure: SecureAzurite, form: str, name: str, database: Any) -> None:
    settings = load_settings(
        queue_url=form.format(name=name, endpoint=secure.azurite.queue_endpoint),
        azure_storage_connection_string=secure.azurite.connection_string,
        use_managed_identity=False,
    )
    round_trip(open_queue(settings, database))


def test_an_identity_without_a_token_is_an_error(
    secure: SecureAzurite, name: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    queue: Any = open_queue(load_settings(queue_url=f"{secure.azurite.queue_endpoint}/{name}"), database)
    with pytest.raises(QueueError, match=re.escape(f"the queue {secure.azurite.queue_endpoint}/{name}: ")):
        queue.receive(1, 60)
    queue.close()
