"""The one place that wires settings to adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from quantx.core.model import Clock, Quota
from quantx.core.quality.policy import Policy
from quantx.core.tables import TABLES
from quantx.lake.protocol import CuratedTable
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.runtime.context import Context, StateClock, confirm_lake
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime, Threads
from quantx.providers.protocol import Provider
from quantx.providers.registry import open_providers, quotas_of
from quantx.queues.open import open_queue
from quantx.settings import Settings
from quantx.state.entra import identity_of_state
from quantx.state.port import State
from quantx.state.postgres import open_state


@dataclass(frozen=True, kw_only=True)
class Platform(Context):
    """Everything that a service needs, opened."""

    tables: Mapping[str, CuratedTable]
    quotas: Mapping[str, Quota | None]  # by source; None: unlimited
    policy: Policy = field(default_factory=Policy)


@contextmanager
def open_platform(
    settings: Settings,
    providers: Callable[[Settings, Clock], Mapping[str, Provider]] = open_providers,
    *,
    retry_seconds: float = 0,
) -> Iterator[Platform]:
    """Open the lake, the state and the queue that the settings name, and close them at the end.

    Where one of them can't be reached, try again for `retry_seconds`.
    """
    runtime = Threads()
    state, platform = Retry(runtime, retry_seconds).call(lambda: _open(settings, providers, runtime))
    try:
        yield platform
    finally:
        state.close()


def _open(
    settings: Settings, providers: Callable[[Settings, Clock], Mapping[str, Provider]], runtime: Runtime
) -> tuple[State, Platform]:
    location = open_location(settings.lake_url, settings)
    state = open_state(settings.state_url, identity_of_state(settings))
    try:
        confirm_lake(location, state)
        clock = StateClock(state)
        return state, Platform(
            settings=settings,
            clock=clock,
            location=location,
            tables=open_tables(location, TABLES),
            state=state,
            queue=open_queue(settings, state.database),
            providers=providers(settings, clock),
            quotas=quotas_of(settings),
            runtime=runtime,
        )
    except BaseException:
        state.close()
        raise
