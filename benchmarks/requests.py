"""B1: how many five-session windows a second the sandbox answers to a keep-alive client in another process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.market import NOW, invented_market, symbols
from benchmarks.measure import apart, environment
from benchmarks.table import Line, Outcome
from quantx.sandbox import Sandbox, serve

SYMBOLS = 50
_HISTORY = date(2016, 1, 1)


def run(folder: Path, *, quick: bool) -> Outcome:
    """Ask the sandbox, then a server that does nothing but send a reply of the same size."""
    count, names = 300 if quick else 3000, symbols(SYMBOLS)
    with server("benchmarks.requests:serve_market") as url:
        asked = apart("benchmarks.client:ask", url=url, count=count, names=names)
    with server("benchmarks.client:serve_constant", size=asked["bytes"] // count) as url:
        floor = apart("benchmarks.client:ask", url=url, count=count, names=names)
    return Outcome(
        f"B1 sandbox: {count:,} windows of five sessions, {asked['bytes'] // count:,} bytes each, one keep-alive connection",
        (
            Line(
                "requests/s",
                f"{count / asked['seconds']:,.0f}",
                f"{count / floor['seconds']:,.0f}",
                f"{asked['seconds'] / floor['seconds']:.1f}",
                "≥ 1,000",
            ),
        ),
        {"requests": count, "good": asked["good"]},
    )


@contextmanager
def server(function: str, **values: Any) -> Iterator[str]:
    """Run a function that serves in a process of its own and prints its URL; ends it afterwards."""
    code = "import sys, json, importlib; m, _, f = sys.argv[1].partition(':');"
    code += "getattr(importlib.import_module(m), f)(**json.loads(sys.argv[2]))"
    command = [sys.executable, "-c", code, function, json.dumps(values)]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[1], env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = iter(process.stdout.readline, "")
            url = next((line.strip() for line in lines if line.startswith("http://")), None)
            if url is None:
                raise RuntimeError(f"{function} did not start")
            yield url
        finally:
            process.terminate()


def serve_market() -> None:
    """Serve an invented market."""
    serve(Sandbox(invented_market(SYMBOLS, _HISTORY), now=NOW), on_ready=lambda url: print(url, flush=True))
