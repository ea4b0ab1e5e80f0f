"""A vendor on 127.0.0.1 that sends exactly the test's replies, for the adapters over plain HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from quantx.core.model import Clock, Payload
from quantx.providers.http import HttpSession
from quantx.providers.protocol import Provider
from quantx.testing.serving import StubHandler, serving

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)
DATE = "Fri, 16 Jan 2026 11:59:30 GMT"
KEY = "CANARY0KEY7/+="


class StoppedClock:
    """Always the same instant."""

    def now(self) -> datetime:
        return NOW


class NoClock:
    """For `normalize`, which is pure."""

    def now(self) -> datetime:
        raise AssertionError("normalize must not ask for the time")


@dataclass(frozen=True)
class Question:
    path: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # of the body, as declared in the head
    trickle: float = 0.0  # seconds before each byte


class StubVendor:
    """Replies with `answer(question)` and keeps the questions."""

    def __init__(self, answer: Callable[[Question], Answer]) -> None:
        self.answer = answer
        self.asked: list[Question] = []
        self.url = ""

    def session(self, vendor: str = "Stub", key: str | None = KEY) -> HttpSession:
        return HttpSession(vendor, self.url, secret_params={} if key is None else {"apikey": SecretStr(key)})


@contextmanager
def stub_vendor(answer: Callable[[Question], Answer] | bytes) -> Iterator[StubVendor]:
    """Serve for the length of a `with` block."""
    always = Answer(answer) if isinstance(answer, bytes) else None
    vendor = StubVendor((lambda _: always) if always is not None else answer)  # type: ignore[arg-type]

    class Handler(StubHandler):
        def do_GET(self) -> None:  # noqa: N802 — the name is http.server's
            parts = urlsplit(self.path)
            question = Question(parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
            vendor.asked.append(question)
            said = vendor.answer(question)
            self.send_response_only(said.status)
            length = len(said.body) if said.length is None else said.length
            defaults = {"Content-Type": "text/plain", "Date": DATE, "Content-Length": str(length)}
            for name, value in {**defaults, **said.headers}.items():
                self.send_header(name, value)
            with suppress(OSError):
                self.end_headers()
                if said.trickle:
                    for byte in said.body:
                        time.sleep(said.trickle)
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                else:
                    self.wfile.write(said.body)
            self.close_connection = said.length is not None

    with serving(Handler) as vendor.url:
        yield vendor


@contextmanager
def replying_with(
    opened: Callable[[HttpSession, Clock], Provider],
) -> Iterator[Callable[[bytes], Provider]]:
    """Return the contract's `replying`: providers whose vendor replies to every request with some bytes."""
    with ExitStack() as stack:
        yield lambda body: opened(stack.enter_context(stub_vendor(body)).session(), StoppedClock())


def payload(symbol: str, url: str, body: bytes, status: int = 200) -> Payload:
    """A stored reply, as of 2026."""
    return Payload(symbol, url, status, NOW, content_type="text/plain", body=body)
