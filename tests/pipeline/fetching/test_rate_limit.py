"""When requests start: at their slots, or at the end of a short back-off; never within one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from quantx.core.model import Quota
from quantx.pipeline.fetching.rate_limit import RateLimiter, StateTime
from quantx.pipeline.runtime.retry import Retry
from quantx.pipeline.runtime.threads import Runtime
from quantx.state.memory import MemoryState

T = TypeVar("T")
QUOTA = Quota(50, 1.0)  # a slot each 10 ms, which may be used up to 15 ms later


class OneThread(Runtime):
    """A runtime whose time passes only while it waits; it is the state's clock, too."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2024, 1, 12, tzinfo=UTC) + timedelta(seconds=self.seconds)

    @property
    def stopping(self) -> bool:
        return False

    def stop(self) -> None:
        raise AssertionError

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.seconds += max(0.0, seconds)
        return False

    def together(self, calls: Sequence[Callable[[], T]], at_once: int, grace: float) -> list[T | None]:
        raise AssertionError

    def repeating(self, seconds: float, call: Callable[[], None]) -> AbstractContextManager[None]:
        raise AssertionError


class Desk:
    def __init__(self) -> None:
        self.runtime = OneThread()
        state, time = MemoryState(self.runtime), StateTime()
        time.synchronize(state.now, self.runtime)
        self.quotas = state.quotas
        self.limiter = RateLimiter(
            self.quotas,
            "tape",
            quota=QUOTA,
            requests=10,
            at_once=5,
            runtime=self.runtime,
            time=time,
            longest_wait=60.0,
        )

    def start(self) -> float:
        """Return the seconds at which the next request starts."""
        assert self.limiter.acquire(Retry(self.runtime, 0))
        return self.runtime.seconds


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_requests_start_at_their_slots(desk: Desk) -> None:
    assert desk.limiter.seconds_to_slot() == 0  # none is reserved yet
    assert [desk.start() for _ in range(4)] == pytest.approx([0, 0.01, 0.02, 0.03])
    assert desk.limiter.seconds_to_slot() == pytest.approx(0.01)
    assert [desk.start() for _ in range(3)] == pytest.approx([0.04, 0.05, 0.06])


def test_a_back_off_of_one_slot_costs_one_slot(desk: Desk) -> None:
    """The slot at 20 ms is used at the end of the back-off, the later ones at their time."""
    starts = [desk.start()]
    desk.runtime.wait(0.005)
    desk.limiter.refuse(lambda: desk.quotas.refuse("tape", 0.02, 600.0, "429", age=0.005))
    starts += [desk.start() for _ in range(4)]
    assert starts == pytest.approx([0, 0.026, 0.03, 0.04, 0.05], abs=1e-6)


def test_after_a_refusal_that_another_worker_met_no_request_starts_before_its_end(desk: Desk) -> None:
    desk.start()
    desk.runtime.wait(0.3)  # the last answer about back-offs is old
    desk.quotas.close("tape", 0.5, "429")
    assert desk.start() >= 0.8


def test_after_a_refusal_for_long_no_slots_are_granted(desk: Desk) -> None:
    desk.start()
    desk.limiter.refuse(lambda: desk.quotas.close("tape", 600.0, "429"))
    assert not desk.limiter.acquire(Retry(desk.runtime, 0))
    assert desk.limiter.closed
    assert not desk.limiter.add_request()
