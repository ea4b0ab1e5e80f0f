"""A keep-alive client and a minimal server for it; they import none of our own code, so that they start at once."""

from __future__ import annotations

import asyncio
import http.client
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import stretch

_FIRST = datetime(2016, 1, 1, tzinfo=UTC)


def serve_constant(size: int) -> None:
    """Serve the floor: the same HTTP server with a constant reply."""
    body = b"x" * size

    async def application(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def main() -> None:
        import uvicorn

        config = uvicorn.Config(application, port=0, lifespan="off", log_level="error", access_log=False, ws="none")
        constant = uvicorn.Server(config)
        running = asyncio.create_task(constant.serve())
        while not constant.started:
            await asyncio.sleep(0.01)
        print(f"http://127.0.0.1:{constant.servers[0].sockets[0].getsockname()[1]}", flush=True)
        await running

    asyncio.run(main())


def request_windows(url: str, count: int, names: list[str]) -> dict[str, Any]:
    """Request `count` windows from the whole market, one after the other."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    size = good = 0
    paths = []
    for i in range(count + len(names)):
        start = _FIRST + timedelta(days=7 * (i % 500))
        period = f"period1={int(start.timestamp())}&period2={int((start + timedelta(days=7)).timestamp())}"
        paths.append(f"/v8/finance/chart/{names[i % len(names)]}?{period}&interval=1d&events=div%2Csplits")
    with closing(connection):
        for path in paths[: len(names)]:  # each symbol is computed once, at its first request
            connection.request("GET", path)
            connection.getresponse().read()
        with stretch() as measured:
            for path in paths[len(names) :]:
                connection.request("GET", path)
                reply = connection.getresponse()
                size += len(reply.read())
                good += reply.status == 200
    return {**vars(measured), "bytes": size, "good": good}
