"""Turns at a vendor: each request waits for its slot of the fleet's quota and for the vendor to be open."""

from __future__ import annotations

import threading
from collections import deque

from quantx.core.model import Quota
from quantx.errors import StateError
from quantx.pipeline.patience import Patience
from quantx.pipeline.runtime import Runtime
from quantx.state.protocol import Quotas

_LOOK_AHEAD = 0.01  # seconds before a turn at which the vendor must be open
_FRESH = 0.05  # seconds for which that is known


class Turns:
    """Hands out the turns of one batch of requests to one vendor; its threads share the reservations.

    Slots are reserved a few at a time, no more than there are requests: one that is not used is lost for the fleet.
    """

    def __init__(
        self,
        quotas: Quotas,
        source: str,
        quota: Quota | None,
        wanted: int,
        at_once: int,
        runtime: Runtime,
        longest: float,
    ) -> None:
        self._quotas = quotas
        self._source = source
        self._quota = quota
        self._runtime = runtime
        self._longest = longest  # seconds that a request may have to wait for its slot
        self._at_once = at_once
        self._lock = threading.Lock()  # never held while a port is asked
        self._unreserved = wanted
        self._starts: deque[float] = deque()
        self._checked_at = -1.0
        self._closed = False

    def take(self, patience: Patience) -> bool:
        """Wait for a turn; False where the vendor has none soon or is closed, or the worker is to stop."""
        while not self._closed:
            start = self._next_start(patience)
            if start is None:
                return False
            if self._runtime.wait(start - _LOOK_AHEAD - self._runtime.monotonic()) or self._is_closed(patience):
                return False
            if self._runtime.wait(start - self._runtime.monotonic()):
                return False
            if self._quota is None or self._runtime.monotonic() <= start + self._quota.tolerance:
                return not self._closed
            with self._lock:  # too late: others have the slots around now
                self._unreserved += 1
        return False

    def close(self) -> None:
        """Give no more turns: the vendor has refused a request."""
        self._closed = True

    def _next_start(self, patience: Patience) -> float | None:
        while not self._closed:
            with self._lock:
                if self._starts:
                    return self._starts.popleft()
                count = min(self._unreserved, self._at_once)
                self._unreserved -= count
            if count == 0:  # another thread is reserving for this one
                if self._runtime.wait(0.001):
                    return None
                continue
            self._reserve(count, patience)
        return None

    def _reserve(self, count: int, patience: Patience) -> None:
        slots = None
        try:
            slots = patience.insist(lambda: self._quotas.reserve(self._source, self._quota, count, self._longest))
        finally:
            if slots is None:
                self._closed = True
        if slots is not None:
            first = self._runtime.monotonic() + slots.wait
            with self._lock:
                self._unreserved += count - slots.count
                self._starts.extend(first + k * slots.gap for k in range(slots.count))

    def _is_closed(self, patience: Patience) -> bool:
        if self._runtime.monotonic() - self._checked_at > _FRESH:
            try:
                self._closed = self._closed or self._quotas.closed_for(self._source) > 0
            except (
                StateError
            ):  # asked without knowing: the reservation is valid, and an outage of the state is no closure
                return self._closed
            self._checked_at = self._runtime.monotonic()
        return self._closed
