"""What all actors share: the time, the weather, and the one way in which operations happen or go wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.simulation.scheduler import Actor, Scheduler
from tests.simulation.weather import CALM, Weather

from quantx.errors import QuantxError

BEGIN = datetime(2024, 1, 12, 22, 0, tzinfo=UTC)  # a Friday, after New York's close


@dataclass
class SimClock:
    """A clock that goes with the simulation; an actor's may be wrong."""

    scheduler: Scheduler
    actor: Actor | None = None

    def now(self) -> datetime:
        skew = self.actor.skew if self.actor else 0.0
        return BEGIN + timedelta(seconds=self.scheduler.now + skew)


class Watch:
    """Sees what operations have done; a subclass has a method `<port>_<operation>` for each that it wants to see."""

    def operation_failed(self, actor: Actor, port: str, method: str) -> None:
        """See an operation that the caller does not know to have happened."""


@dataclass
class World:
    """One simulated world."""

    scheduler: Scheduler
    rng: random.Random
    weather: Weather
    watch: Watch = field(default_factory=Watch)
    garbage_messages: int = 0
    lose_role: Callable[[Actor], None] = lambda actor: None
    stop: Callable[[Actor], None] = lambda actor: None
    out_until: dict[type, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SimClock(self.scheduler)

    def calm(self) -> None:
        """Have nothing go wrong any more."""
        self.weather = CALM
        self.out_until.clear()

    def happens(self, trouble: str) -> bool:
        """Draw whether something goes wrong; draws nothing where it can't."""
        probability: float = getattr(self.weather, trouble)
        return probability > 0 and self.rng.random() < probability

    def may_lose_role(self, actor: Actor) -> None:
        """Perhaps break the connection by which the actor has just got a role."""
        if self.happens("role_lost"):
            self.scheduler.say("its connection breaks: the role is free")
            self.lose_role(actor)

    def operation(
        self,
        actor: Actor,
        port: str,
        method: str,
        call: Callable[[], Any],
        given: tuple[tuple[Any, ...], dict[str, Any]],
        error: type[QuantxError],
    ) -> Any:
        """Do what is asked of a port, unless the weather is against it."""
        name = f"{port}.{method}"
        fiber = self.scheduler.current
        if fiber is not None:
            fiber.idle = 0
        self._trouble(actor, name)
        if self.out_until.get(error, 0.0) <= self.scheduler.now and self.happens("outage"):
            self.out_until[error] = self.scheduler.now + self.rng.choice((1.0, 8.0, 30.0, 90.0))
            self.scheduler.say(f"outage: {error.__name__} until {self.out_until[error]:.1f}")
        if self.out_until.get(error, 0.0) > self.scheduler.now or self.happens("refused"):
            self.watch.operation_failed(actor, port, method)
            self.scheduler.say(f"{name}: refused")
            raise error(f"{name} was refused")
        result = call()
        seen = getattr(self.watch, f"{port}_{method}", None)
        if seen is not None:
            seen(actor, result, *given[0], **given[1])
        if self.scheduler.traced:
            self.scheduler.say(f"{name} -> {_short(result)}")
        self._trouble(actor, name)
        if self.happens("unknown"):
            self.watch.operation_failed(actor, port, method)
            self.scheduler.say(f"{name}: the answer is lost")
            raise error(f"the answer of {name} is lost")
        return result

    def _trouble(self, actor: Actor, name: str) -> None:
        """Let others go on, and perhaps let something happen to this actor."""
        fiber = self.scheduler.current
        if self.happens("kill"):
            self.scheduler.say(f"killed at {name}")
            self.scheduler.die()
        if self.happens("freeze"):
            actor.frozen_until = self.scheduler.now + self.rng.choice((0.5, 3.5, 9.0, 40.0))
            self.scheduler.say(f"suspended until {actor.frozen_until:.1f}")
        if self.happens("stop"):
            self.scheduler.say("told to stop")
            self.stop(actor)
        if self.happens("jump"):
            actor.skew = self.rng.choice((-7200.0, -600.0, 0.0, 600.0))
            self.scheduler.say(f"its clock is wrong by {actor.skew} s")
        beats = fiber is not None and fiber.name.startswith("beat")
        if self.happens("stall") or (beats and self.happens("slow_beat")):
            seconds = self.rng.choice((0.02, 0.3, 2.0, 5.0, 12.0))
            self.scheduler.say(f"{name} takes {seconds} s")
            self.scheduler.sleep(seconds)
        self.scheduler.point()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
