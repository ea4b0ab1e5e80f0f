"""Opening and closing: each part that was opened is closed once, also when opening fails half-way."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from quantx.errors import ConfigError, QueueError, StateError
from quantx.pipeline.runtime.context import Closeable, open_context, open_parts
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.runtime.threads import Threads
from quantx.providers.http import HttpSession
from quantx.providers.registry import open_providers
from quantx.queues.memory import MemoryQueue
from quantx.settings import Settings, load_settings
from quantx.state.memory import MemoryState

from ...azurite import Azurite


class SetClock:
    def now(self) -> datetime:
        return datetime(2024, 3, 1, tzinfo=UTC)


class Parts:
    """Openers of fakes; `opened` and `closed` list the names of the parts in order."""

    def __init__(self, failing: str | None = None, failing_close: str | None = None) -> None:
        self.opened: list[str] = []
        self.closed: list[str] = []
        self._failing = failing
        self._failing_close = failing_close

    def state(self, url: str, identity: object) -> Any:
        return self._part("state", MemoryState(SetClock()), database=None)

    def queue(self, settings: Settings, database: object) -> Any:
        return self._part("queue", MemoryQueue(SetClock()))

    def providers(self, settings: Settings, clock: object) -> Mapping[str, Any]:
        return {
            "tape": self._part("tape", type("Tape", (), {})()),
            "wire": self._part("wire", type("Wire", (), {})()),
            "nothing": object(),  # a vendor without connections has no `close`
        }

    def _part(self, name: str, part: Any, **attributes: object) -> Any:
        if name == self._failing:
            raise ConfigError(f"{name} can't be opened")
        self.opened.append(name)
        for attribute, value in attributes.items():
            setattr(part, attribute, value)
        part.close = lambda: self._close(name)
        return part

    def _close(self, name: str) -> None:
        self.closed.append(name)
        if name == self._failing_close:
            raise QueueError(f"{name} can't be closed")


def open_fakes(stack: ExitStack, parts: Parts) -> Any:
    return open_parts(
        stack,
        load_settings(lake_url="memory://"),
        Threads(),
        state_opener=parts.state,
        queue_opener=parts.queue,
        provider_opener=parts.providers,
    )


def test_each_part_is_closed_once_in_reverse_order() -> None:
    parts = Parts()
    with ExitStack() as stack:
        open_fakes(stack, parts)
        assert parts.opened == ["state", "queue", "tape", "wire"]
        assert parts.closed == []
    assert parts.closed == ["wire", "tape", "queue", "state"]


@pytest.mark.parametrize(
    ("failing", "closed"),
    [("state", []), ("queue", ["state"]), ("tape", ["queue", "state"])],
)
def test_parts_are_closed_when_a_later_one_fails_to_open(failing: str, closed: list[str]) -> None:
    parts = Parts(failing)
    with pytest.raises(ConfigError, match=f"{failing} can't be opened"), ExitStack() as stack:
        open_fakes(stack, parts)
    assert parts.closed == closed


def test_a_part_that_fails_to_close_does_not_keep_the_others_open() -> None:
    parts = Parts(failing_close="queue")
    with pytest.raises(QueueError, match="queue can't be closed"), ExitStack() as stack:
        open_fakes(stack, parts)
    assert parts.closed == ["wire", "tape", "queue", "state"]


def test_vendors_with_connections_of_their_own_close_them() -> None:
    keys = {f"{vendor}_api_key": "key-4-tests" for vendor in ("alpaca", "stooq", "alphavantage", "fmp")}
    providers = open_providers(load_settings(alpaca_api_secret="secret", **keys), SetClock())
    closeable = {source for source, provider in providers.items() if isinstance(provider, Closeable)}
    keyless = {"treasury", "ecb"}
    assert closeable == {"alpaca", "stooq", "alphavantage", "fmp"} | keyless  # Yahoo's belong to the threads that fetch
    session = HttpSession("a vendor", "http://127.0.0.1:1")
    session.prepare()
    client = session._client
    assert client is not None
    session.close()
    session.close()
    assert client.is_closed


def threads_of_queues() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("queue")]


@pytest.fixture
def settings(azurite: Azurite, empty_database_url: str, tmp_path: Path) -> Settings:
    return load_settings(
        lake_url=str(tmp_path / "lake"),
        state_url=empty_database_url,
        queue_url=f"az://wiring-{uuid.uuid4().hex[:12]}",
        azure_storage_connection_string=azurite.connection_string,
    )


@pytest.mark.parametrize("opening", [open_context, open_platform])
def test_a_queue_in_azure_and_the_state_are_closed(opening: Callable[..., Any], settings: Settings) -> None:
    assert threads_of_queues() == []
    with opening(settings) as opened:
        opened.queue.send(["a", "b"])
        assert threads_of_queues() != []
    assert threads_of_queues() == []
    with pytest.raises(QueueError):
        opened.queue.depth()
    with pytest.raises(StateError):
        opened.state.now()


def test_the_embedded_server_is_stopped_when_opening_fails(tmp_path: Path) -> None:
    def no_providers(settings: Settings, clock: object) -> Mapping[str, Any]:
        raise ConfigError("no vendor can be opened")

    settings = load_settings(lake_url=str(tmp_path / "lake"), state_url=str(tmp_path / "state"))
    with pytest.raises(ConfigError, match="no vendor"), open_platform(settings, no_providers):
        pass
    assert (tmp_path / "state" / "PG_VERSION").is_file()
    assert not (tmp_path / "state" / "postmaster.pid").exists()
