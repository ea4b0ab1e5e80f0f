"""The rate limit: each request waits for its slot of the fleet's quota, and for the end of a vendor's back-off.

A vendor that refuses requests is in back-off: no worker of the fleet makes a request until it ends.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime

import structlog

from quantx.core.model import Quota
from quantx.errors import StateError
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime
from quantx.state.quotas.port import Quotas, Slots

log = structlog.get_logger()

_FRESH = 0.25  # seconds for which an answer about a vendor's back-off is used
_LOOK_AHEAD = 0.01  # seconds before a slot at which that answer must be there, beside the time that it takes
_LATE_SLOTS = 20  # missed in a row: then the tasks go back to the queue, until the machine has time
_PAUSE = 0.005  # seconds between two checks whether another thread is done
_ROUNDING = 0.001  # seconds after a back-off before a request starts: no error of rounding starts it earlier
_SAMPLES = 100
_UNCERTAIN = 0.005  # seconds by which the state's time may be uncertain before it is read again
_UNKNOWN = 1.0
_READINGS = 8


class StateTime:
    """Translates the state's instants to this process's monotonic seconds, by what the state has answered.

    The state took each instant between the question and the answer. All of the last answers together leave a small
    uncertainty, also where some of them were slow (Cristian, "Probabilistic clock synchronization", 1989).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def add(self, now: datetime, called: float, returned: float) -> None:
        """Add a sample: the state's time was `now` at some moment between two readings of our clock."""
        stamp = now.timestamp()
        with self._lock:
            self._samples.append((stamp - returned, stamp - called))
            if max(low for low, _ in self._samples) > min(high for _, high in self._samples):
                self._samples = deque([self._samples[-1]], maxlen=_SAMPLES)  # a clock was set: drop the samples

    def synchronize(self, state_now: Callable[[], datetime], runtime: Runtime) -> None:
        """Read the state's time until it is certain enough, or a few times where the answers are slow."""
        for _ in range(_READINGS):
            if self.uncertainty() <= _UNCERTAIN:
                return
            called = runtime.monotonic()
            self.add(state_now(), called, runtime.monotonic())

    def uncertainty(self) -> float:
        """Return by how many seconds the state's time is uncertain; without a sample, more than any wait."""
        with self._lock:
            if not self._samples:
                return _UNKNOWN
            return min(high for _, high in self._samples) - max(low for low, _ in self._samples)

    def span(self, at: datetime) -> tuple[float, float]:
        """Return between which of our seconds an instant of the state lies."""
        with self._lock:
            low, high = max(low for low, _ in self._samples), min(high for _, high in self._samples)
        return at.timestamp() - high, at.timestamp() - low


class RateLimiter:
    """Grants the slots of one batch of requests to one vendor; its threads share the reservations.

    Slots are reserved a few at a time, no more than there are requests: an unused slot is lost for the fleet.
    """

    def __init__(
        self,
        quotas: Quotas,
        source: str,
        *,
        quota: Quota | None,
        requests: int,
        at_once: int,
        runtime: Runtime,
        time: StateTime,
        longest_wait: float,
    ) -> None:
        self._quotas = quotas
        self._source = source
        self._quota = quota
        self._runtime = runtime
        self._time = time
        self._longest_wait = longest_wait  # seconds that a request may wait for its slot
        self._at_once = at_once
        self._lock = threading.Lock()  # never held during a port's call
        self._unreserved = requests
        self._slots: deque[tuple[datetime, float]] = deque()  # with the uncertainty at their reservation
        self._checked_at = -math.inf  # our seconds of the last answer about the vendor's back-off
        self._opens_at = -math.inf  # our seconds of its end, by that answer
        self._answer_seconds = 0.0  # that the state's last answer took
        self._reporting = 0  # threads that report a refusal to the fleet
        self.refusals = 0
        self.closed = False  # a long back-off, or no slot soon

    def acquire(self, retry: Retry) -> bool:
        """Wait for a slot. False where the vendor has none soon, or the worker is to stop.

        A vendor in a short back-off has slots after it.
        """
        for _ in range(_LATE_SLOTS):
            slot = self._next_slot(retry)
            if slot is None:
                return False
            begins = self._begins(*self._translated(*slot))
            if begins is not None:
                return begins
            with self._lock:  # the slots around now belong to others: take another one
                self._unreserved += 1
        return False

    def _begins(self, start: float, latest: float) -> bool | None:
        """Wait for a slot's start and for the end of a back-off; return whether the request may start now.

        None where that comes too late for the slot.
        """
        if self._runtime.wait(start - self._look_ahead() - self._runtime.monotonic()):
            return False
        while self._check_back_off():
            now = self._runtime.monotonic()
            begin = max(start, self._opens_at, now + _PAUSE if self._reporting else now)
            if begin <= latest and self._runtime.wait(begin - now):
                return False
            now = self._runtime.monotonic()
            if max(begin, now) > latest:
                log.info("slot.late", source=self._source, seconds=round(max(begin, now) - start, 3))
                return None
            if not self._reporting and self._opens_at - _ROUNDING <= now <= self._checked_at + _FRESH:
                return not self.closed
        return False

    def seconds_to_slot(self) -> float:
        """Return the seconds until the next slot that is reserved; 0 where none is."""
        with self._lock:
            slot = self._slots[0] if self._slots else None
        return 0.0 if slot is None else self._translated(*slot)[0] - self._runtime.monotonic()

    def add_request(self) -> bool:
        """Count one request more, for a further page. False where the vendor is closed."""
        with self._lock:
            self._unreserved += 1
        return not self.closed

    def refuse(self, report: Callable[[], float | None]) -> None:
        """Report to the fleet that the vendor has refused a request; no request starts before that is done.

        `report` returns the seconds of the back-off, None where they are to be read.
        """
        with self._lock:
            self._reporting += 1
            self.refusals += 1
        called, back_off = self._runtime.monotonic(), None
        try:
            back_off = report()
        finally:
            with self._lock:
                self._reporting -= 1
                self._note_answer(-math.inf if back_off is None else called, back_off or 0.0)

    def _look_ahead(self) -> float:
        """Return how long before a slot the back-off is checked: the answer must be there when the slot begins."""
        return min(_LOOK_AHEAD + 1.5 * self._answer_seconds, _FRESH - _LOOK_AHEAD)

    def _translated(self, slot: datetime, uncertainty: float) -> tuple[float, float]:
        """Return when a slot certainly has begun, and until when it may be used."""
        earliest, certain = self._time.span(slot)
        return certain, math.inf if self._quota is None else earliest + uncertainty + self._quota.tolerance

    def _next_slot(self, retry: Retry) -> tuple[datetime, float] | None:
        while not self.closed:
            count = 0
            with self._lock:
                if not self._reporting:
                    if self._slots:
                        return self._slots.popleft()
                    count = min(self._unreserved, self._at_once)
                    self._unreserved -= count
            if count:
                self._reserve(count, retry)
            elif self._runtime.wait(_PAUSE):  # another thread reserves for this one, or reports a refusal
                return None
        return None

    def _reserve(self, count: int, retry: Retry) -> None:
        uncertainty = self._time.uncertainty()
        try:
            slots = retry.call(lambda: self._call_reserve(count, uncertainty))
        except StateError:
            self.closed = True
            raise
        if slots is None:
            self.closed = True
            return
        with self._lock:
            self._unreserved += count - len(slots.starts)
            self._slots.extend((start, uncertainty) for start in slots.starts)

    def _call_reserve(self, count: int, uncertainty: float) -> Slots | None:
        called = self._runtime.monotonic()
        slots = self._quotas.reserve(self._source, self._quota, count, self._longest_wait, uncertainty)
        if slots is not None:
            self._time.add(slots.reserved_at, called, self._runtime.monotonic())
        return slots

    def _check_back_off(self) -> bool:
        """Read the vendor's back-off again where the last answer is old. False where no more slots are granted."""
        now = self._runtime.monotonic()
        if not self.closed and now + self._look_ahead() > self._checked_at + _FRESH:
            refusals = self.refusals
            try:
                back_off = self._quotas.closed_for(self._source)
            except StateError:
                self.closed = True  # unknown: the task goes back to the queue until the state answers
                return False
            self._answer_seconds = self._runtime.monotonic() - now
            with self._lock:
                if not self._reporting and refusals == self.refusals:
                    self._note_answer(now, back_off)
        return not self.closed

    def _note_answer(self, called_at: float, back_off: float) -> None:
        """Note the latest end of the vendor's back-off, by an answer that has just come to a call of `called_at`."""
        self._checked_at = called_at
        self._opens_at = self._runtime.monotonic() + back_off + _ROUNDING if back_off > 0 else -math.inf
        if back_off > self._longest_wait:
            self.closed = True
