"""The sandbox's rate of five-session windows for a keep-alive client in another process."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from benchmarks.market import NOW, invented_market, symbols
from benchmarks.measure import apart
from benchmarks.servers import server
from benchmarks.table import Line, Outcome
from quantx.sandbox import Sandbox, serve

SYMBOLS = 50
_HISTORY = date(2016, 1, 1)


def run(folder: Path, *, quick: bool) -> Outcome:
    """Send requests to the sandbox, then to a server with a constant reply of the same size."""
    count, names = 300 if quick else 3000, symbols(SYMBOLS)
    with server("benchmarks.sandbox:serve_market") as url:
        served = apart("benchmarks.client:request_windows", url=url, count=count, names=names)
    with server("benchmarks.client:serve_constant", size=served["bytes"] // count) as url:
        floor = apart("benchmarks.client:request_windows", url=url, count=count, names=names)
    return Outcome(
        f"Sandbox: {count:,} windows of five sessions, {served['bytes'] // count:,} bytes each,"
        " one keep-alive connection",
        (
            Line("requests/s", count / served["seconds"], count / floor["seconds"], "≥ 1,000", digits=0, rate=True),
            Line("peak memory of the client, MB", served["peak_mb"], floor["peak_mb"], digits=0),
        ),
        {"requests": count, "good": served["good"]},
    )


def serve_market() -> None:
    """Serve an invented market."""
    serve(Sandbox(invented_market(SYMBOLS, _HISTORY), now=NOW), on_ready=lambda url: print(url, flush=True))
