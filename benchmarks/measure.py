"""Measures a function in a process of its own: its time, its CPU time and its peak memory, without the preparation.

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]


@dataclass
class Stretch:
    """A stretch of work in this process."""

    seconds: float = 0.0
    user: float = 0.0  # CPU seconds of all threads


@contextmanager
def stretch() -> Iterator[Stretch]:
    """Measure the `with` block."""
    measured = Stretch()
    user, start = _user(), time.perf_counter()
    yield measured
    measured.seconds, measured.user = time.perf_counter() - start, _user() - user


def apart(function: str, **values: Any) -> dict[str, Any]:
    """Call `module:function` in a new process and return what it returns (a dict) and `peak_mb` of that process."""
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
    """Return the environment of a child: without the settings of whoever runs the benchmark.

    Python may keep its compiled modules; without them a start of the command takes twice as long.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("QUANTX_") and k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p), **more}


def peak_megabytes() -> float:
    """Return the largest memory that this process has had resident."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts the parent's memory before exec, too
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: bytes


def _user() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


if __name__ == "__main__":
    module, _, name = sys.argv[1].partition(":")
    result = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps({**result, "peak_mb": peak_megabytes()}))
