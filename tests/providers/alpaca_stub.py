"""A stub of Alpaca on 127.0.0.1 that sends exactly what a test wants, and pieces of its pages."""

from __future__ import annotations

import base64
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from quantx.core.model import Payload, Window
from quantx.providers.alpaca import Alpaca
from quantx.providers.alpaca_session import AlpacaSession
from quantx.testing.serving import StubHandler, serving

NOW = datetime(2024, 3, 8, 22, 0, tzinfo=UTC)
WINDOW = Window(date(2024, 3, 4), date(2024, 3, 8))
DATE = "Fri, 08 Mar 2024 21:59:30 GMT"
KEY, SECRET = "CANARYKEY0001", "canary-secret-0002"


class StoppedClock:
    def now(self) -> datetime:
        return NOW


@dataclass(frozen=True)
class Answer:
    """What the stub sends."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False  # the connection is reset instead
    drip: float = 0.0  # seconds between bytes
    short: int = 0  # bytes by which the body is shorter than the head declares


@dataclass(frozen=True)
class Asked:
    path: str
    params: dict[str, str]
    headers: dict[str, str]


class StubAlpaca:
    """Replies with `answer(request)` and keeps the requests."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Answer] = lambda asked: Answer(page({}))
        self.asked: list[Asked] = []
        self.url = ""


@contextmanager
def running_stub() -> Iterator[StubAlpaca]:
    stub = StubAlpaca()

    class Handler(StubHandler):
        def do_GET(self) -> None:  # noqa: N802 — the name is http.server's
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers)
            stub.asked.append(asked)
            answer = stub.answer(asked)
            time.sleep(answer.delay)
            if answer.cut:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            self.send_response_only(answer.status)
            length = str(len(answer.body) + answer.short)
            defaults = {"Content-Type": "application/json", "Date": DATE, "Content-Length": length}
            for name, value in {**defaults, **answer.headers}.items():
                self.send_header(name, value)
            self.close_connection = bool(answer.short)
            with suppress(OSError):  # the client may hang up on what it does not want
                self.end_headers()
                self._write(answer)

        def _write(self, answer: Answer) -> None:
            for piece in [answer.body] if not answer.drip else [bytes([b]) for b in answer.body]:
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(answer.drip)

    with serving(Handler) as stub.url:
        yield stub


def connected(url: str, *, feed: str = "iex", timeout: tuple[float, float] = (10.0, 10.0)) -> Alpaca:
    """The provider with the canary keys; it fetches from `url`."""
    return Alpaca(
        lambda: AlpacaSession(SecretStr(KEY), SecretStr(SECRET), url, timeout=timeout), StoppedClock(), feed=feed
    )


def bar(t: str, price: float = 100.0, **fields: Any) -> dict[str, Any]:
    return {"t": t, "o": price, "h": price + 1, "l": price - 1, "c": price, "v": 1000, "n": 10, "vw": price, **fields}


def days(count: int, price: float = 100.0) -> list[dict[str, Any]]:
    """Daily bars from Monday 2024-03-04 on; five at most, before New York changes its clocks."""
    return [bar(f"2024-03-{4 + i:02d}T05:00:00Z", price + i) for i in range(count)]


def page(bars: Mapping[str, Any] | None, after: str | None = None, *, spaced: bool = False) -> bytes:
    """A page of bars; `after` names the last row (SYMBOL|D|time), from which a token is made."""
    token = base64.b64encode(after.encode()).decode() if after else None
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps({"bars": bars, "next_page_token": token}, separators=separators).encode()


def payload(body: bytes, symbols: str = "AAPL", *, status: int = 200) -> Payload:
    """A payload that answers a question about `symbols` (with commas between)."""
    url = f"https://data.alpaca.markets/v2/stocks/bars?symbols={symbols}&timeframe=1Day"
    return Payload(symbols, url, status, NOW, content_type="application/json", body=body)


def recorded(folder: Path, name: str, symbols: str) -> Payload:
    """A recorded page as the answer to a question about `symbols`."""
    return payload((folder / "wire_alpaca" / "marketdata" / f"{name}.json").read_bytes(), symbols)
