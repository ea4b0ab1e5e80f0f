"""Servers in processes of their own, and what a sandbox among them has counted."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import environment


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


def ask(url: str, path: str) -> Any:
    """Return the JSON that a server has at `path`."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def stats(url: str) -> dict[str, Any]:
    """Return what a sandbox has counted: total, handshake, by_status, by_symbol."""
    return dict(ask(url, "/_sandbox/stats"))
