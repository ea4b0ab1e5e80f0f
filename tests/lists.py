"""A real HTTP server of lists, which can also be slow, endless, compressed, or redirect in circles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[["_Handler"], None]


@dataclass
class Lists:
    """Serves `pages` by path: bytes, or a behaviour; `requests` are the paths and headers of the requests."""

    url: str = ""
    pages: dict[str, bytes | Behaviour] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    lists: Lists

    def do_GET(self) -> None:
        self.lists.requests.append((self.path, dict(self.headers)))
        page = self.lists.pages.get(self.path)
        try:
            if page is None:
                self.reply(b"<html><title>Not Found</title></html>", 404)
            elif isinstance(page, bytes):
                self.reply(page)
            else:
                page(self)
        except OSError:  # the client has left
            self.close_connection = True

    def reply(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def endless(handler: _Handler) -> None:
    """Send zeros for ever, as fast as the client reads them."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.lists.stopped.is_set():
        handler.wfile.write(bytes(1 << 16))


def dripping(handler: _Handler) -> None:
    """Send a byte from time to time, for ever."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.lists.stopped.wait(0.05):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def dripping_headers(handler: _Handler) -> None:
    """Send a header line from time to time, and never a body."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.lists.stopped.wait(0.05):
        handler.wfile.write(b"X-More: x\r\n")
        handler.wfile.flush()


def silent(handler: _Handler) -> None:
    """Send no answer."""
    handler.lists.stopped.wait(60)


def compressed(body: bytes, encoding: str = "gzip") -> Behaviour:
    return lambda handler: handler.reply(body, Content_Encoding=encoding)


def leading_to(address: str) -> Behaviour:
    return lambda handler: handler.reply(b"", 302, Location=address)


def cut_off(handler: _Handler) -> None:
    """Send fewer bytes than the header states."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"symbol\nAAPL\n")
    handler.close_connection = True


@contextmanager
def serving() -> Iterator[Lists]:
    lists = Lists()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"lists": lists}))
    server.daemon_threads = True
    lists.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield lists
    finally:
        lists.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
        time.sleep(0.1)  # the handlers see the event
