"""One thread that runs all actors. A seed draws which actor goes on next, when time passes and which actor dies.

An actor is a process; its fibers (greenlets) are its threads. A fiber runs until it comes to a point: before and after
each operation on a port, and where it waits. Nothing else can come between, so that a seed gives one history.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

STEP = 0.0003  # seconds that a step takes on average


class Killed(BaseException):
    """The actor is dead: nothing that it does has an effect any more."""


class Broken(Exception):
    """An actor has ended with an error that none may end with."""


@dataclass(eq=False)
class Actor:
    """A process. `skew` is how wrong its clock is, `frozen_until` when it goes on after it was suspended."""

    name: str
    dead: bool = False
    skew: float = 0.0
    latency: float = 0.0  # seconds that a word to or from the state takes, more or less
    frozen_until: float = 0.0
    former: bool = False  # it works with a state from which another one has taken the lake over
    fibers: list[Fiber] = field(default_factory=list)
    on_death: Callable[[], None] = lambda: None


@dataclass(eq=False)
class Fiber:
    """A thread of an actor."""

    actor: Actor
    name: str
    greenlet: greenlet
    parent: Fiber | None  # the fiber that started it
    ended: bool = False
    result: Any = None
    error: BaseException | None = None
    turn: int = 0  # counts up with each wait: an earlier alarm is void
    asleep: bool = False
    idle: int = 0  # waits since its last operation


class Scheduler:
    """Runs fibers one at a time, in an order that the seed decides."""

    def __init__(self, seed: int, trace: Callable[[str], None] | None = None) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.steps = 0
        self.current: Fiber | None = None
        self._trace = trace
        self._hub = getcurrent()
        self._ready: list[Fiber] = []
        self._alarms: list[tuple[float, int, int, Fiber]] = []
        self._numbers = itertools.count()
        self._doomed: list[Actor] = []
        self._actors: dict[Actor, None] = {}

    @property
    def traced(self) -> bool:
        """Return whether the trace is read."""
        return self._trace is not None

    def say(self, text: str) -> None:
        """Add a line to the trace."""
        if self._trace is not None:
            name = f"{self.current.actor.name}/{self.current.name}" if self.current else "-"
            self._trace(f"{self.now:12.4f} {name:24} {text}")

    def spawn(self, actor: Actor, name: str, call: Callable[[], Any]) -> Fiber:
        """Start a fiber."""

        def run() -> None:
            try:
                fiber.result = call()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 — whoever waits for the fiber raises it
                fiber.error = error
            fiber.ended = True

        fiber = Fiber(actor, name, greenlet(run, parent=self._hub), self.current)
        actor.fibers.append(fiber)
        self._actors[actor] = None
        self._ready.append(fiber)
        return fiber

    def point(self) -> None:
        """Let others go on; raise Killed where the actor has died meanwhile."""
        fiber = self._me()
        self._ready.append(fiber)
        self._leave(fiber)

    def sleep(self, seconds: float, *, deep: bool = False) -> None:
        """Let time pass; shorter where another fiber wakes this one, unless its sleep is deep."""
        fiber = self._me()
        fiber.asleep = not deep
        self._set_alarm(fiber, self.now + max(0.0, seconds))
        self._leave(fiber)
        fiber.asleep = False

    def wake(self, fiber: Fiber) -> None:
        """End a fiber's sleep now."""
        if fiber.asleep:
            self._set_alarm(fiber, self.now)

    def die(self) -> None:
        """End the current actor here: this call does not return."""
        fiber = self._me()
        self._doomed.append(fiber.actor)
        self._leave(fiber)

    def kill(self, actor: Actor) -> None:
        """End another actor at the next step."""
        self._doomed.append(actor)

    def close(self) -> None:
        """End all actors."""
        while self._actors:
            self._doomed += self._actors
            self._bury()

    def run(self, over: Callable[[], bool], most_steps: int) -> None:
        """Run until it is over, nothing is left to do, or so many steps were made."""
        while self.steps < most_steps and not over():
            if self._doomed:
                self._bury()
            if self._alarms and self._alarms[0][0] <= self.now:
                self._ring()
            if not self._ready:
                if not self._alarms:
                    return
                self.now = max(self.now, self._alarms[0][0])
                continue
            place = int(self.rng.random() * len(self._ready))
            self._ready[place], self._ready[-1] = self._ready[-1], self._ready[place]
            fiber = self._ready.pop()
            if fiber.actor.dead or fiber.ended:
                continue
            if fiber.actor.frozen_until > self.now:
                self._set_alarm(fiber, fiber.actor.frozen_until)
                continue
            self.steps += 1
            self.now += self.rng.random() * 2 * STEP
            self.current = fiber
            fiber.greenlet.switch()
            self.current = None
        self._bury()

    def _me(self) -> Fiber:
        fiber = self.current
        if fiber is None or fiber.actor.dead:
            raise Killed
        return fiber

    def _leave(self, fiber: Fiber) -> None:
        self._hub.switch()
        if fiber.actor.dead:
            raise Killed

    def _set_alarm(self, fiber: Fiber, at: float) -> None:
        fiber.turn += 1
        heapq.heappush(self._alarms, (at, next(self._numbers), fiber.turn, fiber))

    def _ring(self) -> None:
        while self._alarms and self._alarms[0][0] <= self.now:
            _, _, turn, fiber = heapq.heappop(self._alarms)
            if fiber.turn == turn and not fiber.actor.dead:
                self._ready.append(fiber)

    def _bury(self) -> None:
        while self._doomed:
            actor = self._doomed.pop()
            if actor.dead:
                self._actors.pop(actor, None)
                continue
            actor.dead = True
            for fiber in actor.fibers:
                if fiber.greenlet:  # it has begun and not ended
                    self.current = fiber
                    fiber.greenlet.throw(Killed())
                fiber.ended = True
            self.current = None
            self._actors.pop(actor, None)
            actor.on_death()
