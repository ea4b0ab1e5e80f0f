"""The retry policy of calls to the state, the queue and the lake during an outage."""

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
    """Repeats a call during an outage, for up to `seconds` or, where it is given, until the moment `until`.

    Only for calls that may be repeated although they have happened: the ports state which.
    """

    def __init__(self, runtime: Runtime, seconds: float, until: float | None = None) -> None:
        self._runtime = runtime
        self._seconds = seconds
        self._until = until

    def call(self, call: Callable[[], T]) -> T:
        """Return the call's result; raise its last error when the time is over or the worker must stop."""
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
