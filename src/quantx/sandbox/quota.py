"""A sliding-window quota, by which the sandbox's vendors count requests."""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Callable

from quantx.errors import ConfigError

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_SPEC = re.compile(r"([1-9][0-9]{0,6})/(s|min|h)")


class RequestQuota:
    """A number of requests in any window of some seconds; a refused request does not count."""

    def __init__(self, spec: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        match = _SPEC.fullmatch(spec.strip())
        if match is None:
            raise ConfigError(f"{spec[:20]!a} is not a quota; write it as in 5/s, 200/min or 2000/h")
        self._limit, self._seconds = int(match[1]), _SECONDS[match[2]]
        self._monotonic = monotonic
        self._admitted: deque[float] = deque()

    def admits(self) -> bool:
        """Return whether one more request may pass now, and count it if so."""
        now = self._monotonic()
        while self._admitted and self._admitted[0] <= now - self._seconds:
            self._admitted.popleft()
        if len(self._admitted) >= self._limit:
            return False
        self._admitted.append(now)
        return True


class BlockingQuota:
    """A quota whose excess blocks everything for some seconds; each request during a block begins them again."""

    def __init__(self, spec: str, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._quota = RequestQuota(spec, monotonic)
        self._seconds = seconds
        self._monotonic = monotonic
        self._blocked_until = -math.inf

    def admits(self) -> bool:
        """Return whether one more request may pass now, and count it if so."""
        now = self._monotonic()
        if now >= self._blocked_until and self._quota.admits():
            return True
        self._blocked_until = now + self._seconds
        return False
