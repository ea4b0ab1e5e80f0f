"""Workers in processes of their own: they load and connect, wait for the start signal, then drain the queue."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import LOGGED, environment, stretch
from benchmarks.prepared import prepared_providers
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.wiring import worker_of
from quantx.providers.registry import open_providers
from quantx.settings import load_settings

_READY = "ready"


class WorkerProcess:
    """A started worker; `go` sends its start signal."""

    def __init__(self, function: str = "benchmarks.fleet:work", **values: Any) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 — closed when the worker has ended
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.measure", function, json.dumps(values, default=str)],
            cwd=Path(__file__).parents[1],
            env=environment(**{LOGGED: "1"}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until it has loaded and connected everything."""
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != _READY:
            raise RuntimeError("a worker ended before it began")

    @property
    def alive(self) -> bool:
        """Return whether it is still running."""
        return self._process.poll() is None

    def go(self) -> None:
        """Send the start signal."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def peak_megabytes(self) -> float:
        """Return its peak resident memory so far."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)

    def kill(self) -> None:
        """Kill it, as an out-of-memory killer does."""
        self._process.kill()
        self._process.communicate()

    def events(self) -> list[dict[str, Any]]:
        """Return the events that an ended worker has logged, with their times (`at`, seconds of the system's clock)."""
        self._errors.seek(0)
        return [dict(json.loads(line)) for line in self._errors if line.startswith('{"at"')]

    def result(self) -> dict[str, Any]:
        """Wait for its end; return its counts, with `peak_mb`."""
        output, _ = self._process.communicate()
        self._errors.seek(0)
        text = self._errors.read()[-2000:]
        if self._process.returncode:
            raise RuntimeError(f"a worker ended with {self._process.returncode}: {text}")
        return dict(json.loads(output.splitlines()[-1]))


def wait_for_the_word() -> None:
    """Report that all is loaded, and wait for the start signal."""
    print(_READY, flush=True)
    sys.stdin.readline()


def work(settings: Mapping[str, Any], replies: str | None = None, *, waits: bool = True) -> dict[str, Any]:
    """Drain the queue; fetch from the settings' vendor, or from the prepared `replies` of a folder.

    `waits=False` is for one that replaces another: it begins at once, and bears with servers that are being restarted.
    """
    providers = prepared_providers(replies) if replies else open_providers
    with open_platform(load_settings(**settings), providers, retry_seconds=30) as platform:
        platform.providers["yahoo"].prepare()
        if waits:
            wait_for_the_word()
        with stretch() as measured:
            done = worker_of(platform).run()
    return {
        **vars(measured),
        "landed": done.landed,
        "failed": done.failed,
        "requests": done.requests,
        "rows": done.rows,
    }


def start_workers(count: int, function: str = "benchmarks.fleet:work", **values: Any) -> list[WorkerProcess]:
    """Start workers and return them when all wait for the start signal."""
    workers = [WorkerProcess(function, **values) for _ in range(count)]
    for worker in workers:
        worker.wait_until_ready()
    return workers


def let_go(workers: Sequence[WorkerProcess]) -> list[dict[str, Any]]:
    """Send all start signals, and return each worker's counts at its end."""
    for worker in workers:
        worker.go()
    return [worker.result() for worker in workers]
