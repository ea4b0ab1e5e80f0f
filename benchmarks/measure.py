"""Measures a function in a process of its own: time, CPU time and peak memory, without the preparation.

`python -m benchmarks.measure MODULE:FUNCTION JSON` calls the function with the JSON's values as keywords.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantx.cli import collect_rarely

_ROOT = Path(__file__).parents[1]
LOGGED = "BENCHMARK_EVENTS"  # set: a process writes its events to its standard error, with their times


@dataclass
class Stretch:
    """The cost of a block of work in this process."""

    seconds: float = 0.0
    cpu: float = 0.0  # seconds of all threads, the system's included


@contextmanager
def stretch() -> Iterator[Stretch]:
    """Measure the `with` block."""
    measured = Stretch()
    cpu, start = _cpu(), time.perf_counter()
    yield measured
    measured.seconds, measured.cpu = time.perf_counter() - start, _cpu() - cpu


inside = False  # call functions in this process instead: a quicker start, and no measure of memory


def apart(function: str, **values: Any) -> dict[str, Any]:
    """Call `module:function` in a new process and return its dict, with `peak_mb` and the logged `events`."""
    if inside:
        return {**_call(function, json.dumps(values, default=str)), "events": {}, "peak_mb": peak_megabytes()}
    return alone(function, **values)


def alone(function: str, **values: Any) -> dict[str, Any]:
    """Do the same, always in a new process: for code that leaves traces in its process, as yfinance's cache."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.measure", function, json.dumps(values, default=str)],
        cwd=_ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: without the settings of the caller.

    Python may keep its compiled modules; without them a start of the command takes twice as long.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("QUANTX_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **more}


def peak_megabytes(process: int | str = "self") -> float:
    """Return the peak resident memory of this process, or of one by its id, where the system has /proc."""
    status = Path(f"/proc/{process}/status")
    if status.exists():  # getrusage includes the parent's memory before exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: bytes


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _call(function: str, values: str) -> dict[str, Any]:
    module, _, name = function.partition(":")
    return dict(getattr(importlib.import_module(module), name)(**json.loads(values)))


def _count_events() -> Counter[str]:
    """Make the log count its events instead of printing them, as no process reads the pipe during the work."""
    import structlog

    seen: Counter[str] = Counter()

    def count(_: Any, __: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        seen[str(event["event"])] += 1
        if LOGGED in os.environ:
            sys.stderr.write(json.dumps({"at": time.time(), **event}, default=str) + "\n")
            sys.stderr.flush()
        raise structlog.DropEvent

    structlog.configure(processors=[count])
    return seen


if __name__ == "__main__":
    collect_rarely()  # as the command does
    events = _count_events()
    print(json.dumps({**_call(*sys.argv[1:3]), "events": events, "peak_mb": peak_megabytes()}))
