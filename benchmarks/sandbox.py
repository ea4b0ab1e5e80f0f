"""How many five-session windows a second the sandbox answers to a keep-alive client in another process."""

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
    """Ask the sandbox, then a server that does nothing but send a reply of the same size."""
    count, names = 300 if quick else 3000, symbols(SYMBOLS)
    with server("benchmarks.sandbox:serve_market") as url:
        asked = apart("benchmarks.client:ask", url=url, count=count, names=names)
    with server("benchmarks.client:serve_constant", size=asked["bytes"] // count) as url:
        floor = apart("benchmarks.client:ask", url=url, count=count, names=names)
    return Outcome(
        f"Sandbox: {count:,} windows of five sessions, {asked['bytes'] // count:,} bytes each, one keep-alive connection",
        (
            Line("requests/s", count / asked["seconds"], count / floor["seconds"], "≥ 1,000", digits=0, rate=True),
            Line("peak memory of the client, MB", asked["peak_mb"], floor["peak_mb"], digits=0),
        ),
        {"requests": count, "good": asked["good"]},
    )


def serve_market() -> None:
    """Serve an invented market."""
    serve(Sandbox(invented_market(SYMBOLS, _HISTORY), now=NOW), on_ready=lambda url: print(url, flush=True))
