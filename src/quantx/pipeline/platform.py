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
from quantx.state.database import Database


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
        _bind(location, database)
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


def _bind(location: LakeLocation, database: Database) -> None:
    """Refuse a state that speaks about another lake: it would call sessions covered that are not stored here."""
    lake_id = location.get_or_put(_LAKE_ID, str(ULID()).encode()).decode()
    remembered = database.rows("runs.bind_lake", id=lake_id)[0]["id"]
    if remembered != lake_id:
        raise ConfigError(
            f"the state in {database.shown_url} belongs to another lake than {location.url};"
            " point QUANTX_LAKE_URL to that lake, or QUANTX_STATE_URL to a new state, which learns this lake by asking again"
        )
