"""One seed: triggers, workers that come and go, a storm and the calm after it, and then the rules."""

from __future__ import annotations

import base64
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, lru_cache

import ulid
from tests.simulation.ledger import Ledger
from tests.simulation.oracle import Expected, RawZone, rebuild
from tests.simulation.ports import SimLocation, SimQueue, SimState, SimTable
from tests.simulation.runtime import SimRuntime
from tests.simulation.scheduler import Actor, Broken, Fiber, Scheduler
from tests.simulation.vendor import SOURCE, Market, SimVendor, cheap_rows
from tests.simulation.weather import CALM, Weather, weather_of
from tests.simulation.world import BEGIN, SimClock, World

from quantx.core.model import Quota, Window
from quantx.core.tables import TABLES
from quantx.errors import ConfigError, LakeError, QueueError, StateError, TransientProviderError
from quantx.lake.memory import MemoryTable
from quantx.lake.store import open_location
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.pipeline.planning.plan import plan_backfill, plan_daily, plan_retry, send_outbox
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.pipeline.wiring import curator_of, worker_of
from quantx.queues.memory import MemoryQueue
from quantx.settings import Settings, load_settings
from quantx.state.memory import MemoryState
from quantx.state.values import UNFINISHED

_SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE", "FFF", "GGG", "HHH")
_NEXT_SESSION = 4 * 86400.0  # seconds to the evening of the next session, after a weekend and a holiday
_STORM = 25.0  # seconds after the last trigger
_MOST_STEPS = 60_000
_CANARY = "c4n4ry5ecret"


@dataclass(frozen=True)
class Scenario:
    """What a seed is about."""

    symbols: tuple[str, ...]
    workers: int
    quota: Quota | None
    width: int  # symbols that the vendor answers at once
    window: Window
    triggers: tuple[tuple[float, str], ...]  # when, and what is planned
    takeover: float | None = None  # when a newer state takes the lake over

    @classmethod
    def of(cls, rng: random.Random) -> Scenario:
        """Draw a scenario: a daily update and an overlapping backfill at least."""
        symbols = tuple(rng.sample(_SYMBOLS, rng.randint(3, 5)))
        start = rng.choice((date(2024, 1, 2), date(2024, 1, 4), date(2024, 1, 5)))
        window = Window(start, date(2024, 1, 12))
        triggers = [(0.0, "daily"), (rng.uniform(0, 4), "backfill")]
        if rng.random() < 0.5:  # two schedulers at once
            triggers.append((0.0, "daily"))
        if rng.random() < 0.5:
            triggers.append((rng.uniform(5, 15), "again"))
        if rng.random() < 0.4:
            triggers.append((rng.uniform(10, 25), "retry"))
        if rng.random() < 0.25:
            triggers += [(_NEXT_SESSION, "daily"), (_NEXT_SESSION + rng.uniform(0, 5), "again")]
        quota = rng.choice((None, Quota(2, 1.0), Quota(3, 1.0), Quota(5, 2.0)))
        takeover = rng.uniform(1, 25) if rng.random() < 0.2 else None
        workers, width = rng.randint(2, 4), rng.choice((1, 1, 3))
        return cls(symbols, workers, quota, width, window, tuple(sorted(triggers)), takeover)


@dataclass(frozen=True)
class Parts:
    """What a mutant puts in place of a part of the system."""

    state: Callable[[MemoryState], None] = lambda state: None
    location: type[SimLocation] = SimLocation
    table: type[MemoryTable] = MemoryTable
    weather: Weather | None = None  # in place of the seed's
    takeover: bool = False  # in each seed


class Fleet:
    """The simulation of one seed."""

    def __init__(self, seed: int, parts: Parts | None = None, trace: Callable[[str], None] | None = None) -> None:
        self.parts = parts or Parts()
        random.seed(seed)  # the pipeline's own jitter
        self.rng = random.Random(seed)
        self.scenario = Scenario.of(self.rng)
        if self.parts.takeover and self.scenario.takeover is None:
            self.scenario = replace(self.scenario, takeover=self.rng.uniform(1, 25))
        self.quota = self.scenario.quota
        self.scheduler = Scheduler(self.rng.randrange(2**32), trace)
        self.weather = self.parts.weather or weather_of(self.rng)
        self.world = World(self.scheduler, self.rng, self.weather)
        self.world.scale = self.rng.choice((1, 30_000))
        self.state = self._new_state()
        self.former: MemoryState | None = None  # before the take-over
        self.tables = {name: self.parts.table(table) for name, table in TABLES.items()}
        self.location = open_location("memory://")
        self.queue = MemoryQueue(self.world.clock)
        self.market = Market(self.rng, self.scenario.symbols, date(2024, 1, 2), date(2024, 1, 19))
        self.canary = _CANARY
        self.settings = base_settings().model_copy(
            update={"chunk_size": self.rng.randint(2, 4), "max_workers": self.rng.randint(1, 3)}
        )
        self.raw_zone = RawZone(self.location)
        self.ledger = Ledger(self.world, self.state, self.tables, self.raw_zone)
        self.world.watch = self.ledger
        self.world.lose_role = self._lose_roles
        self.world.stop = self._stop
        self._numbers = itertools.count(1)
        self._runtimes: dict[Actor, SimRuntime] = {}
        self._alive: dict[Actor, None] = {}  # in the order of their births: a set has none that a seed repeats
        self._broken: Broken | None = None
        self._next_patrol = 0.0
        self._supervisor: Fiber | None = None
        ulid.default_generator = ulid.ULIDGenerator(self._ulid_time, self._ulid_randomness, ulid.PureRandomPolicy())
        self._last_randomness = bytes(10)

    def run(self) -> None:
        """Live through the storm and the calm after it; Broken where an actor ends as none may."""
        for at, kind in self.scenario.triggers:
            self._start(
                f"trigger-{next(self._numbers)}", lambda actor, at=at, kind=kind: self._trigger(actor, at, kind)
            )
        if self.scenario.takeover is not None:
            confirm_lake(self.location, self.state)  # else a slow first worker would be the newest one
            self._start("trigger-takeover", self._take_over)
        self._supervisor = self.scheduler.spawn(Actor("supervisor"), "main", self._supervise)
        self.scheduler.spawn(Actor("weather"), "main", self._calm_down)
        self.scheduler.say(f"{self.scenario} {self.world.weather}")
        self.scheduler.run(self._is_over, _MOST_STEPS)
        left = ", ".join(self._left())
        self.scheduler.close()
        if left:
            raise Broken(f"it does not end: {left}")

    @cached_property
    def landed(self) -> dict[int, ReadReply]:
        """Return all replies that have landed in the state, by landing."""
        return self.raw_zone.landed(self.state.records.replies)

    @cached_property
    def expected(self) -> Expected:
        """Return what the tables must hold."""
        before = None
        if self.former is not None:
            bound, records = self.former.binding(), self.former.records
            last = self.tables["bars_1d"].committed_round(bound.state_id) if bound else 0
            before = rebuild(records, self.raw_zone.landed(records.replies), last=last)
        return rebuild(self.state.records, self.landed, before)

    def done(self) -> set[int]:
        """Return the tasks that are done."""
        return {task.id for task in self.state.records.tasks.values() if task.state == "done"}

    def decoded_messages(self) -> Iterator[str]:
        """Yield what the messages say."""
        return (base64.b64decode(body).decode() for body in self.ledger.sent)

    # ------------------------------------------------------------------------------------------------------- actors

    def _start(self, name: str, life: Callable[[Actor], None]) -> Actor:
        actor = Actor(name)
        self._alive[actor] = None

        def live() -> None:
            try:
                life(actor)
            except (StateError, QueueError, LakeError) as error:
                self.scheduler.say(f"ends with {type(error).__name__}: {error}")
            except ConfigError as error:
                self.scheduler.say(f"ends with ConfigError: {error}")
                if not actor.former:
                    self._broken = Broken(f"{actor.name} ended with {error!r}")
            except Exception as error:  # noqa: BLE001 — raised at the end of the seed
                self._broken = Broken(f"{actor.name} ended with {error!r}")
                self._broken.__cause__ = error
            finally:
                if not actor.dead:
                    self.scheduler.kill(actor)

        def bury() -> None:
            self._alive.pop(actor, None)
            # The database notices at once, or after a while, that the connection has ended.
            if self.world.happens("stall"):
                self.scheduler.spawn(Actor("tcp"), "main", lambda: self._notice_later(actor))
            else:
                self._lose_roles(actor)
            if self._supervisor is not None and actor.name.startswith("trigger"):
                self.scheduler.wake(self._supervisor)

        actor.on_death = bury
        self.scheduler.spawn(actor, "main", live)
        return actor

    def _notice_later(self, actor: Actor) -> None:
        self.scheduler.sleep(self.rng.uniform(1, 10))
        self._lose_roles(actor)

    def _lose_roles(self, actor: Actor) -> None:
        for state in (self.state, self.former):
            if state is not None:
                state.holder_died(actor)

    def _new_state(self) -> MemoryState:
        state = MemoryState(self.world.clock, actor=self._actor)
        self.parts.state(state)
        return state

    def _take_over(self, actor: Actor) -> None:
        """Have a new state, with a queue of its own, take the lake over while the workers of the former one go on."""
        self.scheduler.sleep(self.scenario.takeover or 0)
        self.scheduler.say("a newer state takes the lake over")
        self.former, self.state, self.queue = self.state, self._new_state(), MemoryQueue(self.world.clock)
        self.world.garbage_messages = 0
        self.ledger.begin_again(self.state)
        for each in self._runtimes:
            each.former = True
        platform = self._platform(actor)
        while True:
            try:
                confirm_lake(platform.location, platform.state)
                self._plan(platform, "backfill")
                return
            except (StateError, QueueError, LakeError) as error:
                self.scheduler.say(f"the take-over failed: {error}")
                self.scheduler.sleep(self.rng.uniform(1, 5))

    def _platform(self, actor: Actor) -> Platform:
        runtime = self._runtimes[actor] = SimRuntime(self.scheduler, actor)
        clock = SimClock(self.scheduler, actor)
        if self.world.happens("far"):
            actor.latency = self.rng.choice((0.01, 0.1))
        vendor = SimVendor(
            self.market,
            clock.now,
            self.world.clock.now,
            lambda symbols, window: self._asked(actor, symbols, window),
            lambda: self.world.operation(actor, "vendor", "answer", lambda: None, ((), {}), TransientProviderError),
            self.scenario.width,
        )
        return Platform(
            settings=self.settings,
            clock=clock,
            location=self.parts.location.of(self.world, actor, self.location),
            tables={name: SimTable(self.world, actor, table) for name, table in self.tables.items()},
            state=SimState(self.world, actor, self.state),
            queue=SimQueue(self.world, actor, self.queue),
            providers={SOURCE: vendor},
            quotas={SOURCE: self.quota},
            runtime=runtime,
        )

    def _trigger(self, actor: Actor, at: float, kind: str) -> None:
        self.scheduler.sleep(at)
        platform = self._platform(actor)
        for _ in range(4):
            try:
                self._plan(platform, kind)
                return
            except (StateError, QueueError) as error:
                self.scheduler.say(f"{kind} failed: {error}")
                self.scheduler.sleep(self.rng.uniform(1, 5))

    def _plan(self, platform: Platform, kind: str) -> None:
        scope = Scope(self.scenario.symbols)
        if kind == "retry":
            plan_retry(platform, None)
        elif kind == "daily":
            plan_daily(platform, scope, source=SOURCE, lookback=2)
        else:
            plan_backfill(platform, scope, self.scenario.window, source=SOURCE, again=kind == "again")

    def _work(self, actor: Actor) -> None:
        platform = self._platform(actor)
        confirm_lake(platform.location, platform.state)
        worker_of(platform, curator=curator_of(platform, normalize=cheap_rows)).run(
            time_budget=self.rng.choice((6.0, 20.0))
        )

    def _send(self, actor: Actor) -> None:
        """Do what any next trigger does first: a message that was sent may still be noted as waiting."""
        platform = self._platform(actor)
        send_outbox(platform.state.tasks, platform.queue, platform.runtime)

    def _supervise(self) -> None:
        """Keep workers running while there is something to do; look after what seems to wait from time to time."""
        while True:
            workers = sum(actor.name.startswith("worker") for actor in self._alive)
            has_work, left = self._has_work(), next(self._left(), "")
            if has_work:
                for _ in range(self.scenario.workers - workers):
                    self._start(f"worker-{next(self._numbers)}", self._work)
            elif left and not workers and self.scheduler.now >= self._next_patrol:
                life = self._send if [*self._left()] == ["outbox"] else self._work
                self._start(f"worker-{next(self._numbers)}", life)
                self._next_patrol = self.scheduler.now + self.rng.uniform(200, 900)
            if left:
                self.scheduler.sleep(self.rng.uniform(1, 4) if has_work or workers else 20)
            else:
                self.scheduler.sleep(1e7)

    def _calm_down(self) -> None:
        """End each storm some time after its last trigger; a trigger of the next session brings it back."""
        times = [at for at, _ in self.scenario.triggers]
        for at, following in zip(times, [*times[1:], math.inf], strict=True):
            if following - at <= _STORM:
                continue
            self.scheduler.sleep(at + _STORM - self.scheduler.now)
            weather = self.world.calm()
            self.scheduler.say("the storm is over")
            if following < math.inf:
                self.scheduler.sleep(following - self.scheduler.now)
                self.world.storm(weather)
                self.scheduler.say("the storm is back")

    def _stop(self, actor: Actor) -> None:
        self._runtimes[actor].stop()

    def _actor(self) -> Actor | None:
        return self.scheduler.current.actor if self.scheduler.current else None

    # ------------------------------------------------------------------------------------------------------- the end

    def _has_work(self) -> bool:
        waits = self.queue.depth().visible > 0 or bool(self.state.runs.ended())
        return waits or any(True for _ in self.state.records.waiting())

    def _left(self) -> Iterator[str]:
        """Yield what is left to do; nothing where all has ended."""
        states = self.state.tasks.count()
        if left := {state: states[state] for state in UNFINISHED if state in states}:
            yield f"tasks {left}"
        if (depth := self.queue.depth()).total:
            yield f"queue {depth.total}"
        if self.state.records.outbox:
            yield "outbox"
        if any(True for _ in self.state.records.waiting()):
            yield "landings"
        if self.state.runs.ended():
            yield "reports"

    def _is_over(self) -> bool:
        if self._broken is not None:
            raise self._broken
        return self.world.weather is CALM and not self._alive and not any(self._left())

    # ------------------------------------------------------------------------------------------------ vendor and ids

    def _asked(self, actor: Actor, symbols: Sequence[str], window: Window) -> str | None:
        if not actor.former:
            self.ledger.asks(actor, symbols, window)
        fiber = self.scheduler.current
        if fiber is not None and fiber.parent is not None:
            self.ledger.fetched.add(fiber.parent)
        world = self.world
        if world.happens("revised"):
            self.market.revise(symbols[0])
        trouble = None
        for kind in ("limited", "server_error", "garbage", "truncated", "empty", "unknown_symbol", "broken_adapter"):
            if world.happens(kind):
                trouble = kind
        if trouble == "limited":
            seconds = self.rng.choice(("", "", "0", "2", "15", "1e9"))
            if not seconds and not actor.former:
                self.ledger.is_refused(actor, symbols, window)
            trouble = f"limited:{seconds}" if seconds else trouble
        self.scheduler.say(
            f"asks the vendor for {','.join(symbols)} {window.start}..{window.end}: {trouble or 'answer'}"
        )
        world.operation(actor, "vendor", "ask", lambda: None, ((), {}), TransientProviderError)
        return trouble

    def _ulid_time(self) -> int:
        fiber = self.scheduler.current
        skew = fiber.actor.skew if fiber else 0.0
        seconds = self.scheduler.now + skew
        if self.world.weather.same_ulid:
            seconds //= 10  # machines that were cloned have coarse clocks, too
            seconds *= 10
        return int((BEGIN.timestamp() + seconds) * 1000)

    def _ulid_randomness(self, timestamp: int) -> bytes:
        """Draw; a fiber that is about to store a batch may draw the same as another one before it."""
        fiber = self.scheduler.current
        stores = fiber is not None and fiber in self.ledger.fetched
        if stores and self.world.happens("same_ulid"):
            return self._last_randomness
        drawn = self.rng.randbytes(10)
        if stores:
            self._last_randomness = drawn
        return drawn


@lru_cache(maxsize=1)
def base_settings() -> Settings:
    """Return the settings of all seeds, with a secret that must stay where it is."""
    secret = f"AccountName=sim;AccountKey={_CANARY}"
    return load_settings(lease_seconds=3, max_attempts=3, lake_url="memory://", azure_storage_connection_string=secret)
