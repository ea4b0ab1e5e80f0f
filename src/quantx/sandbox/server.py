"""The sandbox on a port: in the foreground for the command line, in a thread for tests and the demo."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn

from quantx.errors import ConfigError
from quantx.sandbox.app import Sandbox

log = structlog.get_logger()

_TIMEOUT = 20.0  # seconds for a server thread to start or to stop


def serve(
    sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0, on_ready: Callable[[str], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then return; `on_ready` gets the base URL once requests are answered.

    Port 0 takes a free one. ConfigError where the port is not available.
    """
    listener = _listen(host, port)
    _Server(sandbox, listener, on_ready).run(sockets=[listener])


@contextlib.contextmanager
def running(sandbox: Sandbox, port: int = 0) -> Iterator[str]:
    """Serve in a daemon thread of this process within a `with` block; yields the base URL."""
    listener = _listen("127.0.0.1", port)
    ready = threading.Event()
    server = _Server(sandbox, listener, lambda _: ready.set())
    thread = threading.Thread(target=server.run, args=([listener],), name="quantx-sandbox", daemon=True)
    thread.start()
    try:
        if not ready.wait(_TIMEOUT):
            raise ConfigError("the sandbox did not start; see the log for the reason")
        yield server.url
    finally:
        server.should_exit = True
        thread.join(_TIMEOUT)
        listener.close()


class _Server(uvicorn.Server):
    """A uvicorn server that ends quietly on a signal and reports when it is ready."""

    def __init__(self, sandbox: Sandbox, listener: socket.socket, on_ready: Callable[[str], None] | None) -> None:
        fast = importlib.util.find_spec("httptools") is not None
        super().__init__(
            uvicorn.Config(
                sandbox,
                http="httptools" if fast else "h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # curl offers HTTP/2 with each request, and uvicorn warns of each
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,  # the application sends its own clock's
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        host, port = listener.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._market = sandbox.market
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        log.info("sandbox.ready", url=self.url, market=self._market.kind, symbols=len(self._market.symbols))
        if self._on_ready is not None:
            self._on_ready(self.url)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal; uvicorn would raise it again afterwards, which kills the caller."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(*_: Any) -> None:
            self.should_exit = True

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket, so that a port in use is an error before the server starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot listen on {host}:{port} ({reason}); choose another port, or 0 for a free one"
        ) from None
    listener.setblocking(False)
    return listener
