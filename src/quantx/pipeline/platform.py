"""The one place that wires settings to adapters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from ulid import ULID

from quantx.core.model import Clock
from quantx.core.tables import TABLES
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.providers.protocol import Provider
from quantx.providers.registry import open_providers
from quantx.queues.postgres import PostgresQueue
from quantx.queues.protocol import TaskQueue
from quantx.settings import Settings, requests_per_second
from quantx.state.database import Database, Row


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant, aware and in UTC."""
        return datetime.now(UTC)


@dataclass(frozen=True)
class Platform:
    """Everything that a service needs, opened."""

    settings: Settings
    clock: Clock
    location: LakeLocation
    tables: Mapping[str, LakeTable]
    database: Database
    queue: TaskQueue
    providers: Mapping[str, Provider]
    quotas: Mapping[str, float | None]  # requests per second by source, None: unlimited


_LAKE_ID = "meta/lake_id"
_STATE_ID = "meta/state_id"  # the state that may write


@contextmanager
def open_platform(
    settings: Settings, providers: Callable[[Settings, Clock], Mapping[str, Provider]] = open_providers
) -> Iterator[Platform]:
    """Open the lake, the state and the queue that the settings name, and close them at the end."""
    if settings.queue_url != "postgresql":
        raise ConfigError(f"QUANTX_QUEUE_URL is {settings.queue_url!r}; the only queue so far is `postgresql`")
    location = open_location(settings.lake_url, settings)
    clock = SystemClock()
    database = Database(settings.state_url)
    try:
        confirm_lake(location, database)
        yield Platform(
            settings=settings,
            clock=clock,
            location=location,
            tables=open_tables(location, TABLES),
            database=database,
            queue=PostgresQueue(database),
            providers=providers(settings, clock),
            quotas={"yahoo": requests_per_second(settings.yfinance_quota)},
        )
    finally:
        database.close()


def confirm_lake(location: LakeLocation, database: Database) -> None:
    """Refuse to go on where this state and this lake do not belong together; ConfigError says what to do.

    A state that speaks about another lake would call sessions covered that are not stored there. Of two states on one
    lake each would take the other's rounds for its own: the newest one has the lake, an older one is refused.
    """
    fresh = not database.rows("runs.bound_lake")
    if not fresh and not location.has(_LAKE_ID):
        raise ConfigError(
            f"there is no lake in {location.url}, and the state in {database.shown_url} remembers one; bring it back, or"
            " remove that state as well: then all is asked for again"
        )
    lake_id = location.get_or_put(_LAKE_ID, str(ULID()).encode()).decode()
    rows: list[Row] = []
    while not rows:  # empty where another process bound the two at the same moment
        rows = database.rows("runs.bind_lake", id=lake_id, state_id=str(ULID()))
    bound = rows[0]
    if bound["id"] != lake_id:
        raise ConfigError(
            f"the state in {database.shown_url} belongs to another lake than {location.url};"
            " point QUANTX_LAKE_URL to that lake, or QUANTX_STATE_URL to a new state, which learns this lake by asking again"
        )
    if fresh:
        location.put(_STATE_ID, bound["state_id"].encode())
    elif location.get_or_put(_STATE_ID, bound["state_id"].encode()).decode() != bound["state_id"]:
        raise ConfigError(
            f"a newer state has taken over the lake {location.url}, and the one in {database.shown_url} does not know what it"
            " did; use the newer state, or remove this one: an empty state takes the lake over again"
        )
