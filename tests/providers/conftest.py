"""A stub of Yahoo on 127.0.0.1 that sends exactly what a test wants, and the pieces of a chart."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from quantx.core.model import Payload, Window
from quantx.core.symbols import US, canonical_symbol, venue_of
from quantx.errors import InvalidSymbol
from quantx.providers.yahoo import Yahoo
from quantx.providers.yahoo_session import YahooSession
from quantx.testing.serving import StubHandler, serving

CHART_PATH = "/v8/finance/chart/"
NOW = datetime(2024, 3, 8, 12, 0, tzinfo=UTC)
WINDOW = Window(date(2024, 2, 1), date(2024, 3, 7))
DATE = "Fri, 08 Mar 2024 11:59:30 GMT"


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


@dataclass(frozen=True)
class Asked:
    """A request as the stub saw it."""

    symbol: str
    params: dict[str, str]
    cookie: str


class StubYahoo:
    """Answers charts with `answer(symbol)`, the handshake with `handshake[path]`, and counts both."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], Answer] = lambda asked: Answer(chart(asked.symbol))
        self.handshake = {
            "/": Answer(status=404, headers={"Set-Cookie": "A3=stub; Path=/; Max-Age=3600"}),
            "/v1/test/getcrumb": Answer(b"stub/crumb.1"),
            "/consent": Answer(status=404),
        }
        self.charts: list[Asked] = []
        self.handshakes: list[str] = []
        self.strays: list[str] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self.url = ""

    def reply(self, path: str, query: str, cookie: str) -> Answer:
        if path.startswith(CHART_PATH):
            params = {name: values[0] for name, values in parse_qs(query).items()}
            asked = Asked(unquote(path.removeprefix(CHART_PATH)), params, cookie)
            with self._lock:
                self.charts.append(asked)
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
            answer = self.answer(asked)
            time.sleep(answer.delay)
            with self._lock:
                self._at_once -= 1
            return answer
        if path in self.handshake:
            self.handshakes.append(path)
            answer = self.handshake[path]
            time.sleep(answer.delay)
            return answer
        self.strays.append(path)
        return Answer(status=404)


@pytest.fixture
def stub() -> Iterator[StubYahoo]:
    """A running stub; `stub.url` is its address."""
    yahoo = StubYahoo()

    class Handler(StubHandler):
        def do_GET(self) -> None:  # noqa: N802 — the name is http.server's
            parts = urlsplit(self.path)
            answer = yahoo.reply(parts.path, parts.query, self.headers.get("Cookie", ""))
            if answer.cut:
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            self.send_response_only(answer.status)
            defaults = {"Content-Type": "application/json", "Date": DATE, "Content-Length": str(len(answer.body))}
            for name, value in {**defaults, **answer.headers}.items():
                self.send_header(name, value)
            with suppress(OSError):  # the client may hang up on what it does not want
                self.end_headers()
                self.wfile.write(answer.body)

    with serving(Handler) as yahoo.url:
        yield yahoo


@pytest.fixture
def yahoo(stub: StubYahoo) -> Yahoo:
    """The provider, connected to the stub."""
    return Yahoo(lambda: YahooSession(stub.url), StoppedClock())


@pytest.fixture
def hasty(stub: StubYahoo) -> Yahoo:
    """The provider, connected to the stub; it gives up after a second."""
    return Yahoo(lambda: YahooSession(stub.url, timeout=(0.4, 0.6)), StoppedClock())


def _zone(wire: str) -> str:
    try:
        return venue_of(canonical_symbol(wire)).timezone
    except InvalidSymbol:
        return US.timezone


def document(symbol: str = "AAPL", rows: int = 5, **meta: Any) -> dict[str, Any]:
    """A chart of `rows` days from Monday 2024-03-04, prices 100, 101 …"""
    closes = [100.0 + i for i in range(rows)]
    return {
        "chart": {
            "result": [
                {
                    "meta": {
                        "currency": "USD",
                        "symbol": symbol,
                        "exchangeTimezoneName": _zone(symbol),
                        "dataGranularity": "1d",
                        **meta,
                    },
                    "timestamp": [1709562600 + 86400 * i for i in range(rows)],
                    "indicators": {
                        "quote": [
                            {
                                "open": closes,
                                "high": [c + 1 for c in closes],
                                "low": [c - 1 for c in closes],
                                "close": closes,
                                "volume": [1000 + i for i in range(rows)],
                            }
                        ],
                        "adjclose": [{"adjclose": [c / 2 for c in closes]}],
                    },
                }
            ],
            "error": None,
        }
    }


def chart(symbol: str = "AAPL", **options: Any) -> bytes:
    return json.dumps(document(symbol, **options)).encode()


def payload(
    body: bytes | dict[str, Any], symbol: str = "AAPL", *, wire: str | None = None, status: int = 200
) -> Payload:
    """A payload that answers a question about `symbol`."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"https://query2.finance.yahoo.com{CHART_PATH}{wire or symbol}?interval=1d"
    return Payload(symbol, url, status, NOW, content_type="application/json", body=raw)
