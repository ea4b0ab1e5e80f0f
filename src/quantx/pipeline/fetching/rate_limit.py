"""Turns at a vendor: each request waits for its slot of the fleet's quota and for the vendor to be open."""

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

_FRESH = 0.25  # seconds for which it is known that the vendor is open
_LOOK_AHEAD = 0.01  # seconds before a turn at which that must be known, and the time that the state's answer takes
_LATE_TURNS = 20  # in a row: then the tasks go back, and come again when the machine has time
_SAMPLES = 100
_DOUBT = 0.005  # seconds by which the state's time may be uncertain before it is asked for again
_UNKNOWN = 1.0
_QUESTIONS = 8


class StateTime:
    """Translates the state's instants to this process's monotonic seconds, from the answers of the state itself.

    Each answer with an instant in it was given between its question and its arrival. All of the last answers together
    leave little doubt, also where some of them were slow (Cristian, "Probabilistic clock synchronization", 1989).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)

    def note(self, now: datetime, asked: float, answered: float) -> None:
        """Learn that the state's time was `now` at some moment between two readings of our clock."""
        stamp = now.timestamp()
        with self._lock:
            self._samples.append((stamp - answered, stamp - asked))
            if max(low for low, _ in self._samples) > min(high for _, high in self._samples):
                self._samples = deque([self._samples[-1]], maxlen=_SAMPLES)  # a clock was set: forget

    def ask(self, state_now: Callable[[], datetime], runtime: Runtime) -> None:
        """Ask the state for its time until little doubt is left, or for a few times where its answers are slow."""
        for _ in range(_QUESTIONS):
            if self.doubt() <= _DOUBT:
                return
            asked = runtime.monotonic()
            self.note(state_now(), asked, runtime.monotonic())

    def doubt(self) -> float:
        """Return by how many seconds the state's time is uncertain; more than any wait where nothing is known."""
        with self._lock:
            if not self._samples:
                return _UNKNOWN
            return min(high for _, high in self._samples) - max(low for low, _ in self._samples)

    def span(self, at: datetime) -> tuple[float, float]:
        """Return between which of our seconds an instant of the state lies."""
        with self._lock:
            low, high = max(low for low, _ in self._samples), min(high for _, high in self._samples)
        return at.timestamp() - high, at.timestamp() - low


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
        time: StateTime,
        longest: float,
    ) -> None:
        self._quotas = quotas
        self._source = source
        self._quota = quota
        self._runtime = runtime
        self._time = time
        self._longest = longest  # seconds that a request may have to wait for its slot
        self._at_once = at_once
        self._lock = threading.Lock()  # never held while a port is asked
        self._unreserved = wanted
        self._slots: deque[tuple[datetime, float]] = deque()  # with the doubt that was reserved for
        self._known_at = -math.inf
        self._answer = 0.0  # seconds that the state's last answer took
        self._telling = 0  # threads that are telling the fleet of a refusal
        self.refusals = 0
        self.closed = False  # the vendor is left alone for long, or has no turns soon

    def take(self, retry: Retry) -> bool:
        """Wait for a turn; False where the vendor has none soon, or the worker is to stop.

        A vendor that is left alone for a short time has turns after that.
        """
        for _ in range(_LATE_TURNS):
            slot = self._next_slot(retry)
            if slot is None:
                return False
            start, latest = self._translated(*slot)
            if self._runtime.wait(start - self._look_ahead() - self._runtime.monotonic()):
                return False
            while self._is_open():
                if self._runtime.wait(start - self._runtime.monotonic()):
                    return False
                now = self._runtime.monotonic()
                if now > latest:
                    log.info("turn.late", source=self._source, seconds=round(now - start, 3))
                    break
                if now <= self._known_at + _FRESH:
                    return not self.closed
            if self.closed:
                return False
            with self._lock:  # others have the slots around now: take another one
                self._unreserved += 1
        return False

    def _look_ahead(self) -> float:
        """Return how long before its start a turn asks whether the vendor is open: the answer must be there by then."""
        return min(_LOOK_AHEAD + 1.5 * self._answer, _FRESH - _LOOK_AHEAD)

    def another(self) -> bool:
        """Want one turn more than was said: a request has a further page. False where the vendor is closed."""
        with self._lock:
            self._unreserved += 1
        return not self.closed

    def refuse(self, tell: Callable[[], None]) -> None:
        """Tell the fleet that the vendor has refused a request; until all know, no turn begins."""
        with self._lock:
            self._telling += 1
            self.refusals += 1
        try:
            tell()
        finally:
            with self._lock:
                self._telling -= 1
                self._known_at = -math.inf

    def _translated(self, slot: datetime, doubt: float) -> tuple[float, float]:
        """Return when a slot certainly has begun, and until when it may be used."""
        earliest, certain = self._time.span(slot)
        return certain, math.inf if self._quota is None else earliest + doubt + self._quota.tolerance

    def _next_slot(self, retry: Retry) -> tuple[datetime, float] | None:
        while not self.closed:
            count = 0
            with self._lock:
                if not self._telling:
                    if self._slots:
                        return self._slots.popleft()
                    count = min(self._unreserved, self._at_once)
                    self._unreserved -= count
            if count:
                self._reserve(count, retry)
            elif self._runtime.wait(0.005):  # another thread is reserving for this one, or telling
                return None
        return None

    def _reserve(self, count: int, retry: Retry) -> None:
        doubt = self._time.doubt()
        try:
            slots = retry.call(lambda: self._ask(count, doubt))
        except StateError:
            self.closed = True
            raise
        if slots is None:
            self.closed = True
            return
        with self._lock:
            self._unreserved += count - len(slots.starts)
            self._slots.extend((start, doubt) for start in slots.starts)

    def _ask(self, count: int, doubt: float) -> Slots | None:
        asked = self._runtime.monotonic()
        slots = self._quotas.reserve(self._source, self._quota, count, self._longest, doubt)
        if slots is not None:
            self._time.note(slots.reserved_at, asked, self._runtime.monotonic())
        return slots

    def _is_open(self) -> bool:
        """Tell whether the vendor may be asked soon; where it is left alone for long, give no more turns."""
        now = self._runtime.monotonic()
        if not self.closed and now + self._look_ahead() > self._known_at + _FRESH:
            refusals = self.refusals
            try:
                left_alone = self._quotas.closed_for(self._source)
            except StateError:
                self.closed = True  # nobody knows: the task goes back, and comes when the state does
                return False
            self._answer = self._runtime.monotonic() - now
            if left_alone > self._longest:
                self.closed = True
            with self._lock:
                if left_alone > 0 or self._telling or refusals != self.refusals:
                    return False
                self._known_at = now
        return not (self.closed or self._telling)
