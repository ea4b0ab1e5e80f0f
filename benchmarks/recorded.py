"""A sandbox that records its requests with their times, so that a benchmark can explain where the time went."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.servers import get_json
from quantx.sandbox import Sandbox

_PATH = "/_sandbox/requests"
Kind = Literal["good", "garbage", "429", "500"]


@dataclass(frozen=True)
class Request:
    """One request as the vendor saw it."""

    at: float  # seconds of the system's clock, at its arrival
    symbol: str
    kind: Kind  # of the answer


class RecordingSandbox(Sandbox):
    """The sandbox, with a list of its requests under another path of its controls."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._requests: list[tuple[float, str, Kind]] = []

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        path = scope.get("path", "")
        if path == _PATH:
            body = json.dumps(self._requests).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        at, status = time.time(), 0

        async def record(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif "/chart/" in path:
                self._requests.append((at, path.rpartition("/")[2], _kind(status, message.get("body", b""))))
            await send(message)

        await super().__call__(scope, receive, record)


def _kind(status: int, body: bytes) -> Kind:
    if status != 200:
        return "429" if status == 429 else "500"
    return "good" if body.startswith(b"{") else "garbage"


def requests_of(url: str) -> list[Request]:
    """Return the requests that a recording sandbox has answered, in order of their arrival."""
    return sorted((Request(*item) for item in get_json(url, _PATH)), key=lambda request: request.at)


def repeated(requests: Sequence[Request]) -> Mapping[str, int]:
    """Return how many requests were made again, by the answer of the symbol's request before."""
    last: dict[str, str] = {}
    counts: dict[str, int] = defaultdict(int)
    for request in requests:
        if request.symbol in last:
            counts[last[request.symbol]] += 1
        last[request.symbol] = request.kind
    return counts
