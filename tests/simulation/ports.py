"""The ports of one simulated worker: at each operation, other workers may go on, and faults happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import obstore
from tests.simulation.scheduler import Actor
from tests.simulation.world import World

from quantx.core.model import FetchTask, StoredReply
from quantx.errors import LakeError, QuantxError, QueueError, StateError
from quantx.lake.memory import MemoryTable
from quantx.lake.store import LakeLocation
from quantx.queues.memory import MemoryQueue
from quantx.queues.protocol import Message, NotSent
from quantx.state.memory import MemoryState
from quantx.state.port import Hold, Role
from quantx.state.tasks.port import RawObject

_PARTS = {"rounds", "series", "quotas", "runs", "universes", "findings", "instruments", "gaps"}


class Port:
    """Passes each method on, as an operation of the world."""

    def __init__(self, world: World, actor: Actor, name: str, target: Any, error: type[QuantxError]) -> None:
        self._world = world
        self._actor = actor
        self._name = name
        self._target = target
        self._error = error

    def __getattr__(self, method: str) -> Callable[..., Any]:
        real = getattr(self._target, method)

        def call(*args: Any, **values: Any) -> Any:
            return self._world.operation(
                self._actor, self._name, method, lambda: real(*args, **values), (args, values), self._error
            )

        self.__dict__[method] = call
        return call


class SimTasks:
    """Tasks whose replies count as larger than they are: rounds then have bounds, and are worth their while early."""

    def __init__(self, world: World, port: Port) -> None:
        self._world = world
        self._port = port

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return getattr(self._port, method)  # type: ignore[no-any-return]

    def land(
        self, raw: RawObject, replies: Sequence[StoredReply], tasks: Sequence[FetchTask], requests: Sequence[int]
    ) -> set[int]:
        larger = [replace(reply, size=reply.size * self._world.scale) for reply in replies]
        landed: set[int] = self._port.land(raw, larger, tasks, requests)
        return landed


class SimState:
    """A State in which each operation may fail, last, or kill."""

    shown_url = "memory://"

    def __init__(self, world: World, actor: Actor, state: MemoryState) -> None:
        self._world = world
        self._actor = actor
        self._state = state
        self._whole = Port(world, actor, "state", state, StateError)
        for part in _PARTS:
            setattr(self, part, Port(world, actor, part, getattr(state, part), StateError))
        self.tasks = SimTasks(world, Port(world, actor, "tasks", state.tasks, StateError))

    def __getattr__(self, method: str) -> Callable[..., Any]:
        found: Callable[..., Any] = getattr(self._whole, method)
        return found

    @contextmanager
    def exclusive(self, role: Role) -> Iterator[Hold | None]:
        self._world.operation(self._actor, "state", f"exclusive {role}", lambda: None, ((), {}), StateError)
        with self._state.exclusive(role) as hold:
            if hold is not None:
                self._world.may_lose_role(self._actor)
            yield None if hold is None else SimHold(self._world, self._actor, hold)


class SimHold:
    """A role that may be lost."""

    def __init__(self, world: World, actor: Actor, hold: Hold) -> None:
        self._port = Port(world, actor, "hold", hold, StateError)

    def confirm(self) -> None:
        self._port.confirm()


class SimLocation(LakeLocation):
    """The object store in memory; `world` and `actor` are set after it was made, since the location is frozen."""

    world: World
    actor: Actor

    @classmethod
    def of(cls, world: World, actor: Actor, shared: LakeLocation) -> SimLocation:
        location = cls(shared.url, shared.store, {})
        object.__setattr__(location, "world", world)
        object.__setattr__(location, "actor", actor)
        return location

    def create(self, path: str, body: bytes) -> bool:
        created: bool = self._do("create", lambda: super(SimLocation, self).create(path, body), path, body)
        return created

    def paths(self, prefix: str) -> list[str]:
        found: list[str] = self._do("paths", lambda: super(SimLocation, self).paths(prefix), prefix)
        if prefix.startswith("meta/epochs/"):
            self.world.may_suspend_committer(self.actor)
        return found

    def put(self, path: str, body: bytes) -> None:
        self._do("put", lambda: super(SimLocation, self).put(path, body), path, body)

    def get(self, path: str) -> bytes:
        found: bytes = self._do("get", lambda: super(SimLocation, self).get(path), path)
        return found

    def has(self, path: str) -> bool:
        found: bool = self._do("has", lambda: super(SimLocation, self).has(path), path)
        return found

    def _do(self, method: str, call: Callable[[], Any], *args: Any) -> Any:
        return self.world.operation(self.actor, "store", method, call, (args, {}), LakeError)


class OverwritingLocation(SimLocation):
    """A mutant: raw objects replace what is there."""

    def create(self, path: str, body: bytes) -> bool:
        if not path.startswith("raw/"):
            return super().create(path, body)
        created: bool = self._do("create", lambda: bool(obstore.put(self.store, path, body)), path, body)
        return created


class SimTable:
    """A curated table whose operations may fail, last, or kill; reading and committing are operations."""

    def __init__(self, world: World, actor: Actor, table: MemoryTable) -> None:
        self.table = table.table
        self.url = table.url
        self._real = table
        self._port = Port(world, actor, table.table.name, table, LakeError)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return getattr(self._port, method)  # type: ignore[no-any-return]


class SimQueue:
    """A queue that delivers twice, out of order, or only a part of what was sent."""

    def __init__(self, world: World, actor: Actor, queue: MemoryQueue) -> None:
        self._world = world
        self._actor = actor
        self._queue = queue
        self._port = Port(world, actor, "queue", queue, QueueError)

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return getattr(self._port, method)  # type: ignore[no-any-return]

    def send(self, bodies: Sequence[str], delay: float = 0) -> None:
        world = self._world
        if world.happens("refused") and len(bodies) > 1:
            some = world.rng.sample(range(len(bodies)), world.rng.randrange(1, len(bodies)))
            self._queue.send([bodies[n] for n in some], delay)
            world.scheduler.say(f"queue.send: only {len(some)} of {len(bodies)} accepted")
            raise NotSent("the queue has not taken all", some)
        try:
            self._port.send(list(bodies), delay)
        except QueueError as error:
            raise NotSent(str(error)) from error
        if world.happens("twice"):
            self._queue.send(bodies[:1], delay)
        if world.happens("garbage_message"):
            world.garbage_messages += not self._actor.former  # the queue of the former state ends with it
            self._queue.send([world.rng.choice(("%%%", "e30=", "eyJ2Ijo5fQ=="))])

    def receive(self, most: int, visibility: float) -> list[Message]:
        stored = self._queue._messages
        if self._world.happens("twice"):  # roughly in the order of sending
            keys = list(stored)
            self._world.rng.shuffle(keys)
            self._queue._messages = {key: stored[key] for key in keys}
        received: list[Message] = self._port.receive(most, visibility)
        for message in received:
            if self._world.happens("twice") and message.id in self._queue._messages:
                self._queue._messages[message.id].visible_at = self._world.clock.now()
                self._world.scheduler.say(f"queue: message {message.id} is visible to others, too")
        return received
