"""Servers in processes of their own, and the counts of a sandbox among them."""

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
    """Run a function that serves and prints its URL in a process of its own; end it after the `with` block."""
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


def get_json(url: str, path: str) -> Any:
    """Return the JSON of a server at `path`."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def stats(url: str) -> dict[str, Any]:
    """Return the counts of a sandbox: total, handshake, by_status, by_symbol."""
    return dict(get_json(url, "/_sandbox/stats"))
