"""The HTTP server under the stubs of vendors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StubHandler(BaseHTTPRequestHandler):
    """Silent, and indifferent to clients that hang up."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or the kernel waits 40 ms in between

    def log_message(self, *args: object) -> None:
        pass

    def finish(self) -> None:
        with suppress(OSError, ValueError):
            super().finish()


@contextmanager
def serving(handler: type[StubHandler]) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 for the length of a `with` block; gives the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *args: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
