"""The platform of the dashboard: opened once, shared, opened again after an outage, and never awaited for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from quantx.dashboard.kept_platform import KeptPlatform
from quantx.errors import ConfigError, RefusedStatement, StateError


class Opener:
    """Opens platforms that are numbers; `fails` makes the next one fail, `gate` holds it back."""

    def __init__(self) -> None:
        self.opened, self.closed = 0, list[int]()
        self.fails: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, stack: ExitStack) -> Any:
        self.gate.wait(10)
        if self.fails is not None:
            raise self.fails
        self.opened += 1
        number = self.opened
        stack.callback(lambda: self.closed.append(number))
        return SimpleNamespace(number=number)


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def kept(opener: Opener) -> Iterator[KeptPlatform]:
    made = KeptPlatform(opener, pause=3600)
    yield made
    made.close()


def number(kept: KeptPlatform, wait: float = 5, *, at_once: bool = False) -> int | None:
    with kept.use(wait, at_once=at_once) as platform:
        return None if platform is None else platform.number  # type: ignore[attr-defined]


def failing(kept: KeptPlatform, error: Exception) -> Callable[[], None]:
    def use() -> None:
        with kept.use(5):
            raise error

    return use


def test_all_requests_share_one(kept: KeptPlatform, opener: Opener) -> None:
    assert opener.opened == 0  # nothing before the first use
    with kept.use(5) as first, kept.use(5) as second:
        assert first is second
    assert number(kept) == 1
    assert opener.closed == []
    kept.close()
    assert opener.closed == [1]


def test_a_failure_is_not_tried_again_at_once_but_by_an_action(kept: KeptPlatform, opener: Opener) -> None:
    opener.fails = StateError("it is stopped")
    assert number(kept) is None
    assert kept.reason == "it is stopped"
    opener.fails = None
    assert number(kept) is None  # the pause of pages
    assert number(kept, at_once=True) == 1
    assert number(kept) == 1


def test_an_outage_in_the_middle_opens_it_anew_and_closes_it_after_its_last_use(
    kept: KeptPlatform, opener: Opener
) -> None:
    with kept.use(5):
        with pytest.raises(StateError):
            failing(kept, StateError("the connection is lost"))()
        assert number(kept, at_once=True) == 2
        assert opener.closed == []  # this request still has it
    assert opener.closed == [1]


@pytest.mark.parametrize("error", [RefusedStatement("a bug"), ConfigError("a wrong form"), ValueError("a bug")])
def test_other_errors_leave_it_open(kept: KeptPlatform, opener: Opener, error: Exception) -> None:
    with pytest.raises(type(error)):
        failing(kept, error)()
    assert (number(kept), opener.closed) == (1, [])
    assert kept.reason == (str(error) if isinstance(error, StateError) else "")


def test_a_slow_database_holds_a_page_back_for_its_limit_only(kept: KeptPlatform, opener: Opener) -> None:
    opener.gate.clear()
    assert number(kept, wait=0.01) is None
    assert "has not answered yet" in kept.reason
    opener.gate.set()
    assert number(kept) == 1


def test_a_bug_while_opening_is_raised_and_not_kept(kept: KeptPlatform, opener: Opener) -> None:
    opener.fails = ValueError("a bug")
    with pytest.raises(ValueError, match="a bug"):
        number(kept)
    opener.fails = None
    assert number(kept, at_once=True) == 1
