"""Time, waiting and concurrency of a worker: threads here, a scheduler with a seed in the simulator."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from typing import Protocol, TypeVar

from typing_extensions import override

T = TypeVar("T")

_TICK = 0.1
_LAST_CALL = 2.0  # seconds for a repeated call under way


class Runtime(Protocol):
    """Time, waiting and concurrency, as one worker sees them."""

    @property
    def stopping(self) -> bool:
        """Return whether the worker must stop."""
        ...

    def stop(self) -> None:
        """Stop the worker: waits end at once. A signal handler may call this."""
        ...

    def monotonic(self) -> float:
        """Return the seconds of a clock that only moves forwards."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait until the time is over or the worker must stop; return whether it must stop."""
        ...

    def together(self, calls: Sequence[Callable[[], T]], at_once: int, grace: float) -> list[T | None]:
        """Make all calls, up to `at_once` at a time, and return their results in order.

        When the worker must stop, a call that does not end within `grace` seconds is abandoned; its result is None.
        """
        ...

    def repeating(self, seconds: float, call: Callable[[], None]) -> AbstractContextManager[None]:
        """Make a call every `seconds` beside the block; the end of the block waits for the call under way.

        Where the worker must stop, that wait is short. An error of the call ends the repetition and is raised at the
        end of the block.
        """
        ...


class Threads(Runtime):
    """The runtime of real threads, which never keep a process alive."""

    def __init__(self) -> None:
        self._stopping = threading.Event()

    @override
    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @override
    def stop(self) -> None:
        self._stopping.set()

    @override
    def monotonic(self) -> float:
        return time.monotonic()

    @override
    def wait(self, seconds: float) -> bool:
        return self._stopping.wait(max(0.0, seconds))

    @override
    def together(self, calls: Sequence[Callable[[], T]], at_once: int, grace: float) -> list[T | None]:
        todo: queue.SimpleQueue[tuple[int, Callable[[], T]]] = queue.SimpleQueue()
        done: queue.SimpleQueue[tuple[int, T | None, BaseException | None]] = queue.SimpleQueue()
        for pair in enumerate(calls):
            todo.put(pair)

        def work() -> None:
            while True:
                try:
                    place, call = todo.get_nowait()
                except queue.Empty:
                    return
                try:
                    done.put((place, call(), None))
                except BaseException as error:  # noqa: BLE001 — raised below, in the caller's thread
                    done.put((place, None, error))

        for _ in range(min(at_once, len(calls))):
            # The context of the caller (log lines, traces) applies to its calls, too.
            threading.Thread(target=copy_context().run, args=(work,), name="call", daemon=True).start()
        results: list[T | None] = [None] * len(calls)
        left, grace_left = len(calls), grace
        while left and grace_left > 0:
            try:
                place, results[place], error = done.get(timeout=_TICK)
            except queue.Empty:
                grace_left -= _TICK if self.stopping else 0
                continue
            if error is not None:
                raise error
            left -= 1
        return results

    @override
    @contextmanager
    def repeating(self, seconds: float, call: Callable[[], None]) -> Iterator[None]:
        over, errors = threading.Event(), []

        def repeat() -> None:
            try:
                while not over.wait(seconds):
                    call()
            except BaseException as error:  # noqa: BLE001 — raised below, in the caller's thread
                errors.append(error)

        thread = threading.Thread(target=repeat, name="repeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            while thread.is_alive() and not self.stopping:
                thread.join(_TICK)
            thread.join(_LAST_CALL)
        if errors:
            raise errors[0]
