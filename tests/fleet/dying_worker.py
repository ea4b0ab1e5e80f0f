"""A worker on the real platform that kills itself with -9 at a marked step: python dying_worker.py MARK.

It imports what it needs, waits for a line on its standard input, and works. The mark is a call of one of its ports,
before or after the real call: nothing in the program knows of it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Mark:
    """The `n`-th call of a port's method that `counts`; the process ends before it or after it."""

    port: str  # as a path of attributes and keys from the platform
    method: str
    after: bool = True
    n: int = 1
    counts: Callable[[tuple[Any, ...], Any], bool] = lambda args, result: True
    slow: float = 0.0  # seconds that each fetch takes longer, so that there is a heartbeat before it ends


def _is_raw(args: tuple[Any, ...], result: Any) -> bool:
    return str(args[0]).startswith("raw/")


MARKS = {
    "received": Mark("queue", "receive", counts=lambda args, result: bool(result)),
    "fetched": Mark("providers.yahoo", "fetch", n=2),
    "raw object put": Mark("location", "put_new", counts=_is_raw),
    "landed in the state": Mark("state.tasks", "land"),
    "before the messages' delete": Mark("queue", "delete", after=False),
    "in a heartbeat": Mark("state.tasks", "extend", counts=lambda args, result: bool(result), slow=1.0),
    "normalized": Mark("", "normalize_round"),
    "revisions committed": Mark("tables.bars_1d_revisions", "commit"),
    "bars committed": Mark("tables.bars_1d", "commit"),
    "round recorded": Mark("state.rounds", "finish"),
    "report put": Mark("state.runs", "finish", after=False),
}


class Deadly:
    """A port, one method of which ends the process."""

    def __init__(self, real: Any, mark: Mark) -> None:
        self._real = real
        self._mark = mark
        self._left = mark.n
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        real, mark = getattr(self._real, name), self._mark
        if name != mark.method:
            return real

        def call(*args: Any, **named: Any) -> Any:
            if not mark.after:
                self._count()
            result = real(*args, **named)
            if mark.after and mark.counts(args, result):
                self._count()
            return result

        return call

    def _count(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Part:
    """An object with one other attribute."""

    def __init__(self, real: Any, **others: Any) -> None:
        self._real = real
        vars(self).update(others)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Slow:
    """A provider that takes its time, and has its answer when the call returns."""

    def __init__(self, real: Any, seconds: float) -> None:
        self._real = real
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def fetch(self, *args: Any) -> Any:
        time.sleep(self._seconds)
        return iter(list(self._real.fetch(*args)))


def marked(platform: Any, mark: Mark) -> Any:
    """Return the platform with the mark in it."""
    port, _, part = mark.port.partition(".")
    if mark.slow or mark.method == "fetch":
        platform = replace(platform, providers={n: Slow(p, mark.slow) for n, p in platform.providers.items()})
    real = getattr(platform, port)
    if not part:
        return replace(platform, **{port: Deadly(real, mark)})
    if isinstance(real, dict):
        return replace(platform, **{port: {**real, part: Deadly(real[part], mark)}})
    return replace(platform, **{port: Part(real, **{part: Deadly(getattr(real, part), mark)})})


def main(name: str) -> None:
    """Work, and die at the mark."""
    import quantx.providers.yahoo_session
    import quantx.queues.azure  # noqa: F401 — what is imported now is not waited for later
    from quantx.pipeline.curating import normalize
    from quantx.pipeline.runtime.platform import open_platform
    from quantx.pipeline.wiring import curator_of, worker_of
    from quantx.settings import load_settings

    sys.stdin.readline()
    with open_platform(load_settings()) as platform:
        mark = MARKS[name]
        if mark.port:
            worker_of(marked(platform, mark)).run()
        else:
            deadly = getattr(Deadly(normalize, mark), mark.method)
            worker_of(platform, curator=curator_of(platform, normalize=deadly)).run()


if __name__ == "__main__":
    main(sys.argv[1])
