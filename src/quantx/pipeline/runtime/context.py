"""The opened parts of a planning process: the state, the queue, the lake's location and the vendors' capabilities.

It is light, so that a trigger starts quickly: it opens no tables, and imports no library for frames before it must.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from quantx.core.model import Clock
from quantx.lake.store import LakeLocation, open_location
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.roles import confirm_lake
from quantx.pipeline.runtime.threads import Runtime, Threads
from quantx.queues.open import open_queue
from quantx.queues.protocol import TaskQueue
from quantx.settings import Settings
from quantx.state.database import Database
from quantx.state.entra import identity_of_state
from quantx.state.port import State
from quantx.state.postgres import PostgresState, open_state

if TYPE_CHECKING:
    from quantx.azure_sign_in import AzureIdentity
    from quantx.providers.protocol import Provider

StateOpener = Callable[[str, "AzureIdentity | None"], PostgresState]
QueueOpener = Callable[[Settings, Database], TaskQueue]
ProviderOpener = Callable[[Settings, Clock], Mapping[str, "Provider"]]


class StateClock:
    """The state's clock: the same for all workers, also where a machine's clock is wrong or jumps."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.synchronize()

    def synchronize(self) -> None:
        """Read the state's time; until the next call, elapsed seconds are added to it."""
        self._at, self._read_at = self._state.now(), time.monotonic()

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        return self._at + timedelta(seconds=time.monotonic() - self._read_at)


@runtime_checkable
class Closeable(Protocol):
    """A part that holds connections of its own."""

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """The parts that services use to plan, send and report; fetching and curating need a platform."""

    settings: Settings
    clock: Clock
    location: LakeLocation
    state: State
    queue: TaskQueue
    providers: Mapping[str, Provider]  # for their capabilities
    runtime: Runtime = field(default_factory=Threads)


@contextmanager
def open_context(settings: Settings, *, retry_seconds: float = 0) -> Iterator[Context]:
    """Open what planning needs, and close it at the end; during an outage, retry for `retry_seconds`."""
    runtime = Threads()
    opened, context = Retry(runtime, retry_seconds).call(lambda: _open(settings, runtime))
    with opened:
        yield context


def _open(settings: Settings, runtime: Runtime) -> tuple[ExitStack, Context]:
    with ExitStack() as opened:
        context = open_parts(opened, settings, runtime)
        return opened.pop_all(), context
    raise AssertionError("the block returns or raises")


def registered_providers(settings: Settings, clock: Clock) -> Mapping[str, Provider]:
    """Return the providers of all vendors whose keys are given."""
    # Imported late: it loads libraries for frames, which reading a run does not need.
    from quantx.providers.registry import open_providers

    return open_providers(settings, clock)


def open_parts(
    opened: ExitStack,
    settings: Settings,
    runtime: Runtime,
    *,
    state_opener: StateOpener = open_state,
    queue_opener: QueueOpener = open_queue,
    provider_opener: ProviderOpener = registered_providers,
) -> Context:
    """Return the opened parts of a context; each part is closed with `opened`, also where a later one fails to open."""
    location = open_location(settings.lake_url, settings)
    opened.callback(location.close)
    identity = identity_of_state(settings)
    if identity is not None:
        opened.callback(identity.close)
    state = state_opener(settings.state_url, identity)
    opened.callback(state.close)
    confirm_lake(location, state)
    queue = queue_opener(settings, state.database)
    opened.callback(queue.close)
    clock = StateClock(state)
    providers = provider_opener(settings, clock)
    for provider in providers.values():
        if isinstance(provider, Closeable):
            opened.callback(provider.close)
    return Context(
        settings=settings,
        clock=clock,
        location=location,
        state=state,
        queue=queue,
        providers=providers,
        runtime=runtime,
    )
