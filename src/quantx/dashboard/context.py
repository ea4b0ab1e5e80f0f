"""What the pages read: the lake, its reports, and the state where the database answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

from quantx.dashboard.kept_platform import KeptPlatform, open_existing
from quantx.errors import QueueError, StateError
from quantx.lake.protocol import StoredTables
from quantx.lake.store import LakeLocation
from quantx.reader.lake import Lake, lake_of, location_of
from quantx.reader.stored import LakeTables
from quantx.settings import Settings

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

T = TypeVar("T")
_PAGE_WAIT, _ACTION_WAIT = 4.0, 30.0  # seconds for the database to answer


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Dashboard:
    """The parts of an installation that the pages need. Pages that only read use the lake and its reports.

    The lake and the platform are opened by their first use and kept open; nothing polls the database.
    """

    def __init__(self, settings: Settings, now: Callable[[], datetime] = _utc_now) -> None:
        self.settings = settings
        self.now = now  # aware and in UTC
        self._platform = KeptPlatform(partial(open_existing, settings))
        own = settings.dashboard_operator_client_id or settings.dashboard_operator_state_url
        self._operator = KeptPlatform(partial(open_existing, operator_settings(settings))) if own else self._platform

    @cached_property
    def lake(self) -> Lake:
        """The lake; each read sees its newest version. Raises ConfigError where there is none, LakeError in an outage.

        A failure is not kept: the next use tries again.
        """
        return lake_of(self.settings)

    @cached_property
    def location(self) -> LakeLocation:
        """The place of the lake, with its reports; raises as `lake`."""
        return location_of(self.settings)

    def begin(self) -> None:
        """Begin to open what the first page needs."""
        self._platform.begin()

    @cached_property
    def tables(self) -> StoredTables:
        """The tables of the lake as they are stored, also those that readers do not need; raises as `lake`."""
        return LakeTables(self.location)

    @contextmanager
    def platform(self) -> Iterator[Platform | None]:
        """Yield the open platform; None where the database does not answer, with the reason in `no_database`.

        Several requests share it. Where the database stops in the middle, StateError is raised from the block.
        """
        with self._platform.use(_PAGE_WAIT) as platform:
            yield platform

    def from_state(self, read: Callable[[Platform], T]) -> T | None:
        """Return what `read` returns; None where the database does not answer, or stops answering."""
        try:
            with self.platform() as platform:
                return None if platform is None else read(platform)
        except (StateError, QueueError):
            return None

    @contextmanager
    def operator(self) -> Iterator[Platform | None]:
        """Yield the platform for an action, which has the rights to write; None where the database does not answer."""
        with self._operator.use(_ACTION_WAIT, at_once=True) as platform:
            yield platform

    @property
    def no_database(self) -> str:
        """Why the last use of the platform gave none."""
        return self._platform.reason or self._operator.reason

    def close(self) -> None:
        """Close what is open."""
        self._platform.close()
        if self._operator is not self._platform:
            self._operator.close()


def operator_settings(settings: Settings) -> Settings:
    """Return the settings with the identity that acts for operators, where there is one of its own."""
    return settings.model_copy(
        update={
            "azure_client_id": settings.dashboard_operator_client_id or settings.azure_client_id,
            "state_url": settings.dashboard_operator_state_url or settings.state_url,
        }
    )
