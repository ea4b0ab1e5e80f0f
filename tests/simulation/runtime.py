"""The Runtime of a simulated worker: fibers instead of threads, simulated seconds instead of real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from tests.simulation.scheduler import Actor, Fiber, Scheduler

T = TypeVar("T")

_EVER = 1e9  # seconds: another fiber ends such a sleep
_SPINS = 3  # waits without an operation after which each further one takes twice as long: a loop that only polls
_LONGEST_SPIN = 1.0
_SLOWEST = 1.0  # seconds: a fiber that idles or repeats calls more often costs steps and shows nothing


class SimRuntime:
    """A Runtime over the scheduler."""

    def __init__(self, scheduler: Scheduler, actor: Actor) -> None:
        self._scheduler = scheduler
        self._actor = actor
        self._stopping = False
        self._booted = scheduler.rng.uniform(0, 1e5)  # each machine counts its seconds from another moment

    @property
    def stopping(self) -> bool:
        return self._stopping

    def stop(self) -> None:
        self._stopping = True
        for fiber in self._actor.fibers:
            self._scheduler.wake(fiber)

    def monotonic(self) -> float:
        return self._scheduler.now + self._booted

    def wait(self, seconds: float) -> bool:
        fiber = self._scheduler.current
        if fiber is not None and not self._stopping and seconds > 0:
            if fiber.name == "main":
                seconds = max(seconds, _SLOWEST)
            fiber.idle += 1
            if fiber.idle > _SPINS and seconds < _LONGEST_SPIN:
                seconds = min(seconds * 2.0 ** (fiber.idle - _SPINS), _LONGEST_SPIN)
            self._scheduler.sleep(seconds)
        return self._stopping

    def together(self, calls: Sequence[Callable[[], T]], at_once: int, grace: float) -> list[T | None]:
        todo = list(enumerate(calls))[::-1]
        results: list[T | None] = [None] * len(calls)
        open_ = set(range(len(calls)))
        caller = self._scheduler.current

        def work() -> None:
            try:
                while todo:
                    place, call = todo.pop()
                    results[place] = call()
                    open_.discard(place)
            finally:
                if caller is not None:
                    self._scheduler.wake(caller)

        fibers = [self._scheduler.spawn(self._actor, f"call-{n}", work) for n in range(min(at_once, len(calls)))]
        end: float | None = None
        while open_:
            for fiber in fibers:
                if fiber.error is not None:
                    raise fiber.error
            if self._stopping:
                end = self._scheduler.now + grace if end is None else end
                if self._scheduler.now >= end:
                    break
            self._scheduler.sleep(_EVER if end is None else end - self._scheduler.now)
        return [result if place not in open_ else None for place, result in enumerate(results)]

    @contextmanager
    def repeating(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        over = False
        caller = self._scheduler.current

        def repeat() -> None:
            try:
                while not over:
                    self._scheduler.sleep(max(seconds, _SLOWEST))
                    if not over:
                        call()
            finally:
                if caller is not None:
                    self._scheduler.wake(caller)

        fiber = self._scheduler.spawn(self._actor, f"beat-{seconds:.1f}", repeat)
        try:
            yield
        finally:
            over = True
            self._join(fiber)
        if fiber.error is not None:
            raise fiber.error

    def _join(self, fiber: Fiber) -> None:
        while not fiber.ended and not self._actor.dead:
            self._scheduler.wake(fiber)
            self._scheduler.sleep(_EVER)
