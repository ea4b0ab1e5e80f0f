"""How a worker waits and does things at the same time: threads here, a scheduler with a seed in the simulator."""

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
_LAST_CALL = 2.0  # seconds


class Runtime(Protocol):
    """Time, waiting and concurrency, as one worker sees them."""

    @property
    def stopping(self) -> bool:
        """Tell whether the worker is to stop."""
        ...

    def stop(self) -> None:
        """Have the worker stop: waits end at once. May be called from a signal's handler."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait, or shorter where the worker is to stop; return whether it is."""
        ...

    def together(self, calls: Sequence[Callable[[], T]], at_once: int, grace: float) -> list[T | None]:
        """Make all calls, up to `at_once` at a time, and return what they return, in order.

        When the worker is told to stop, calls that do not end within `grace` seconds are left behind: None.
        """
        ...

    def repeating(self, seconds: float, call: Callable[[], None]) -> AbstractContextManager[None]:
        """Make a call every so many seconds beside the block; the block's end waits for the call under way.

        It waits a short time only where the worker is to stop. An error of the call ends the repetition and is raised
        at the end of the block.
        """
        ...


class Threads(Runtime):
    """The real one. Its threads never keep a process from ending."""

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
            # What the caller has bound to its log lines and traces holds for its calls, too.
            threading.Thread(target=copy_context().run, args=(work,), name="call", daemon=True).start()
        results: list[T | None] = [None] * len(calls)
        left, patience = len(calls), grace
        while left and patience > 0:
            try:
                place, results[place], error = done.get(timeout=_TICK)
            except queue.Empty:
                patience -= _TICK if self.stopping else 0
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
