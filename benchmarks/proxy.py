"""A proxy that delays and records each request, like a storage service on another machine."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

LOG = "/_proxy/log"
_CHUNK = 1 << 16


@dataclass(frozen=True)
class _Head:
    """The first line and the headers of a message, as received."""

    raw: bytes

    @property
    def first(self) -> list[str]:
        return self.raw.split(b"\r\n", 1)[0].decode("latin-1").split(" ")

    def get(self, name: str) -> str | None:
        for line in self.raw.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.encode():
                return value.strip().decode("latin-1")
        return None

    def without(self, name: str) -> _Head:
        """Return the head without a header."""
        lines = self.raw.split(b"\r\n")
        kept = [line for line in lines if not line.lower().startswith(f"{name}:".encode())]
        return _Head(b"\r\n".join(kept))


class _Proxy:
    def __init__(self, target: str, delay: float) -> None:
        parts = urlsplit(target)
        self._host, self._port, self._delay = parts.hostname or "", parts.port or 80, delay
        self._requests: list[tuple[str, str, int]] = []  # method, target, status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward the requests of one connection, one after the other."""
        up: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while head := await _head(reader):
                method, target = head.first[:2]
                if target == LOG:
                    await self._tell(writer)
                    continue
                up = up or await asyncio.open_connection(self._host, self._port)
                if head.get("expect"):  # as the Azure SDK for C++ sends it: the body follows this reply
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    head = head.without("expect")
                body = await _body(head, reader)
                await asyncio.sleep(self._delay)
                up[1].write(head.raw + body)
                await up[1].drain()
                reply = await _head(up[0])
                if reply is None:
                    return
                status = int(reply.first[1])
                self._requests.append((method, target, status))
                empty = method == "HEAD" or status in (204, 304)
                writer.write(reply.raw + (b"" if empty else await _body(reply, up[0])))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            for end in (writer, up[1] if up else writer):
                end.close()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """Return the requests since the last call."""
        body, self._requests = json.dumps(self._requests).encode(), []
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()


async def _head(reader: asyncio.StreamReader) -> _Head | None:
    try:
        return _Head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError:
        return None


async def _body(head: _Head, reader: asyncio.StreamReader) -> bytes:
    """Return the body of a message as received, with the marks of its chunks."""
    if (head.get("transfer-encoding") or "").lower() != "chunked":
        return await reader.readexactly(int(head.get("content-length") or 0))
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        parts += [size, await reader.readexactly(int(size, 16) + 2)]
        if int(size, 16) == 0:
            return b"".join(parts)


def serve(target: str, delay: float) -> None:
    """Serve until the process is ended."""

    async def main() -> None:
        proxy = _Proxy(target, delay)
        listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=_CHUNK)
        print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)
        await listener.serve_forever()

    asyncio.run(main())
