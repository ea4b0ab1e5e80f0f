"""What all actors share: the time, the weather, and the one way in which operations happen or go wrong."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from tests.simulation.scheduler import Actor, Scheduler
from tests.simulation.weather import CALM, Weather

from quantx.errors import LakeError, QuantxError, StateError

BEGIN = datetime(2024, 1, 12, 22, 0, tzinfo=UTC)  # a Friday, after New York's close

# How often others go on between an operation and its caller's next step. Between two operations they always do: this
# matters only where two threads of a worker share memory.
_LATE = 0.3
_CONNECTION = 3.0  # seconds of silence after which the database drops a connection


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


@dataclass
class World:
    """One simulated world."""

    scheduler: Scheduler
    rng: random.Random
    weather: Weather
    watch: Watch = field(default_factory=Watch)
    scale: int = 1  # bytes for which each byte of a reply counts
    garbage_messages: int = 0
    lose_role: Callable[[Actor], None] = lambda actor: None
    stop: Callable[[Actor], None] = lambda actor: None
    happened: Counter[str] = field(default_factory=Counter)
    out_until: dict[type, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock = SimClock(self.scheduler)
        self._set_troubles()

    def calm(self) -> Weather:
        """Have nothing go wrong any more; return the weather that was."""
        before = self.weather
        self.storm(CALM)
        self.out_until.clear()
        return before

    def storm(self, weather: Weather) -> None:
        """Have things go wrong as often as a weather says."""
        self.weather = weather
        self._set_troubles()

    def happens(self, trouble: str) -> bool:
        """Draw whether something goes wrong; draws nothing where it can't."""
        probability: float = getattr(self.weather, trouble)
        if probability == 0 or self.rng.random() >= probability:
            return False
        self.happened[trouble] += 1
        return True

    def may_lose_role(self, actor: Actor) -> None:
        """Perhaps break the connection by which the actor has just got a role."""
        if self.happens("role_lost"):
            self.scheduler.say("its connection breaks: the role is free")
            self.lose_role(actor)

    def may_suspend_committer(self, actor: Actor) -> None:
        """Perhaps suspend an actor that has just confirmed its role, for so long that its session ends."""
        if self.happens("suspended"):
            actor.frozen_until = self.scheduler.now + self.rng.choice((9.0, 40.0))
            self.scheduler.say(f"suspended before its commit until {actor.frozen_until:.1f}")
            self.lose_role(actor)
            self.scheduler.point()

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
        self.scheduler.point()
        self._travel(actor, error)
        if self.out_until.get(error, 0.0) <= self.scheduler.now and self.happens("outage"):
            self.out_until[error] = self.scheduler.now + self.rng.choice((1.0, 8.0, 30.0, 90.0))
            self.scheduler.say(f"outage: {error.__name__} until {self.out_until[error]:.1f}")
        if self.out_until.get(error, 0.0) > self.scheduler.now or self.happens("refused"):
            self.scheduler.say(f"{name}: refused")
            raise error(f"{name} was refused")
        result = call()
        seen = getattr(self.watch, f"{port}_{method}", None)
        if seen is not None and not (actor.former and error is not LakeError):  # of a former state, only the lake
            seen(actor, result, *given[0], **given[1])
        if self.scheduler.traced:
            self.scheduler.say(f"{name} -> {_short(result)}")
        self._trouble(actor, name)
        self._travel(actor, error)
        if self.rng.random() < _LATE:
            self.scheduler.point()
        if self.happens("unknown"):
            self.scheduler.say(f"{name}: the answer is lost")
            raise error(f"the answer of {name} is lost")
        return result

    def _travel(self, actor: Actor, error: type[QuantxError]) -> None:
        """Let the time pass that a far worker's question, or its answer, takes."""
        if actor.latency and error is StateError:
            self.scheduler.sleep(actor.latency * (0.5 + self.rng.random()), deep=True)

    def _set_troubles(self) -> None:
        kinds = ("kill", "freeze", "stop", "jump", "stall", "slow_beat")
        self._troubles = [(kind, p) for kind in kinds if (p := getattr(self.weather, kind)) > 0]

    def _next_trouble(self, *, beats: bool) -> str | None:
        """Draw what happens to an actor at a point."""
        if not self._troubles:
            return None
        drawn = self.rng.random()
        for kind, probability in self._troubles:
            if kind == "slow_beat" and not beats:
                continue
            if drawn < probability:
                self.happened[kind] += 1
                return kind
            drawn -= probability
        return None

    def _trouble(self, actor: Actor, name: str) -> None:
        """Perhaps let something happen to this actor."""
        fiber = self.scheduler.current
        trouble = self._next_trouble(beats=fiber is not None and fiber.name.startswith("beat"))
        if trouble == "kill":
            self.scheduler.say(f"killed at {name}")
            self.scheduler.die()
        elif trouble == "freeze":
            actor.frozen_until = self.scheduler.now + self.rng.choice((0.5, 3.5, 9.0, 40.0))
            self.scheduler.say(f"suspended until {actor.frozen_until:.1f}")
            if actor.frozen_until > self.scheduler.now + _CONNECTION:
                self.lose_role(actor)  # the database takes it for dead; it goes on all the same
        elif trouble == "stop":
            self.scheduler.say("told to stop")
            self.stop(actor)
        elif trouble == "jump":
            actor.skew = self.rng.choice((-7200.0, -600.0, 0.0, 600.0))
            self.scheduler.say(f"its clock is wrong by {actor.skew} s")
        elif trouble in ("stall", "slow_beat"):
            seconds = self.rng.choice((0.02, 0.3, 2.0, 5.0, 12.0))
            self.scheduler.say(f"{name} takes {seconds} s")
            self.scheduler.sleep(seconds, deep=True)


def _short(value: object) -> str:
    text = "rows" if isinstance(value, pl.LazyFrame) else repr(value)  # its repr is an address
    return text if len(text) <= 100 else f"{text[:97]}..."
