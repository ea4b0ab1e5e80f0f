"""What to do while the state, the queue or the lake can't be reached: wait and ask again, for a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import structlog

from quantx.errors import DamagedObject, LakeError, QueueError, RefusedStatement, StateError
from quantx.pipeline.runtime.threads import Runtime

log = structlog.get_logger()
T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0  # seconds; doubles, with jitter


class Retry:
    """Repeats calls that an outage has stopped, each for up to `seconds` and none beyond `until`.

    Only calls that may be repeated although they have happened: the ports say so of theirs.
    """

    def __init__(self, runtime: Runtime, seconds: float, until: float | None = None) -> None:
        self._runtime = runtime
        self._seconds = seconds
        self._until = until

    def call(self, call: Callable[[], T]) -> T:
        """Return what the call returns; raise its last error where patience ends or the worker is to stop."""
        begun = self._runtime.monotonic()
        end = begun + self._seconds if self._until is None else self._until
        pause = _FIRST_PAUSE
        while True:
            try:
                return call()
            except (StateError, QueueError, LakeError) as error:
                now = self._runtime.monotonic()
                if now >= end or any(
                    isinstance(e, (DamagedObject, RefusedStatement)) for e in (error, error.__cause__)
                ):
                    raise
                log.warning("outage", error=str(error), seconds=round(now - begun, 1))
                if self._runtime.wait(min(pause * random.uniform(0.5, 1), end - now)):
                    raise
                pause = min(2 * pause, _LONGEST_PAUSE)
