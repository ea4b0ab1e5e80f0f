"""A context over a state in memory, whose time the tests move, with channels to servers of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from quantx.lake.store import open_location
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.threads import Threads
from quantx.queues.memory import MemoryQueue
from quantx.settings import Settings
from quantx.state.memory import MemoryState


@dataclass
class HandClock:
    """Stands still until it is moved."""

    instant: datetime = datetime(2024, 2, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def move(self, **by: float) -> None:
        self.instant += timedelta(**by)


class Waits(Threads):
    """A runtime whose waits move the clock, and take no time."""

    def __init__(self, clock: HandClock) -> None:
        super().__init__()
        self._clock, self._start = clock, clock.now()
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return (self._clock.now() - self._start).total_seconds()

    def wait(self, seconds: float) -> bool:
        if seconds > 0:
            self.waits.append(round(seconds, 3))
            self._clock.move(seconds=seconds)
        return False


@dataclass
class Lab:
    """A context and its parts."""

    folder: Path
    clock: HandClock = field(default_factory=HandClock)

    def __post_init__(self) -> None:
        self.state = MemoryState(self.clock)
        self.queue = MemoryQueue(self.clock)
        self.runtime = Waits(self.clock)
        self.opened = ExitStack()

    def context(self, **settings: Any) -> Context:
        values = {"lake_url": str(self.folder / "lake"), "state_url": str(self.folder), **settings}
        chosen = Settings(**values)
        location = open_location(chosen.lake_url, chosen)
        self.opened.callback(location.close)
        return Context(
            settings=chosen,
            clock=self.clock,
            location=location,
            state=self.state,
            queue=self.queue,
            providers={},
            runtime=self.runtime,
        )


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.opened.close()
