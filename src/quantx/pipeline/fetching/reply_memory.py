"""The bytes of replies in a worker's memory: requests wait for room, and large objects are written in turn."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from quantx.core.model import Payload
from quantx.pipeline.runtime.threads import Runtime

_UNKNOWN = 8  # requests at a time to a vendor whose replies have no known size yet
_PAUSE = 0.01  # seconds between two checks whether there is room
_SMALL = 1_000_000  # bytes of an object that is written beside others


class ReplyMemory:
    """Counts the bytes of the replies that this worker has fetched, until they are stored; its threads share it.

    A request to a vendor counts with the largest of its replies so far. So `most` bytes are exceeded only by the first
    replies of a vendor, by the further pages of a reply, and by a single reply that is larger than that.
    """

    def __init__(self, most: int, runtime: Runtime) -> None:
        self._most = most
        self._runtime = runtime
        self._lock = threading.Lock()  # never held during a port's call
        self._held = 0  # of payloads, and expected from requests under way
        self._largest: dict[str, int] = {}  # reply so far, by source
        self._freed: deque[int] = deque()  # sizes of payloads that are gone; filled also within the lock
        self._writing = False

    @contextmanager
    def request(self, source: str, make_room: Callable[[], None]) -> Iterator[bool]:
        """Wait for room for the reply of a request, and count it within the block; False where the worker is to stop.

        `make_room` stores what waits in memory.
        """
        expected = None
        while (expected := self._reserved(source)) is None:
            make_room()
            if self._runtime.wait(_PAUSE):
                break
        try:
            yield expected is not None
        finally:
            with self._lock:
                self._held -= expected or 0

    def note(self, source: str, payload: Payload) -> None:
        """Count a payload until its last reference is gone."""
        size = len(payload.body)
        weakref.finalize(payload, self._freed.append, size).atexit = False
        with self._lock:
            self._held += size
            self._largest[source] = max(self._largest.get(source, 0), size)

    @contextmanager
    def writing(self, size: int) -> Iterator[None]:
        """Hold the turn of writing within the block, where the object is large: it takes some times its size."""
        mine = size >= _SMALL
        while mine and not self._took_turn():
            if self._runtime.wait(_PAUSE):
                mine = False  # the worker is to stop, and soon
        try:
            yield
        finally:
            if mine:
                self._writing = False

    def _reserved(self, source: str) -> int | None:
        """Reserve room for a reply and return its expected size; None where there is none."""
        with self._lock:
            while self._freed:
                self._held -= self._freed.popleft()
            expected = self._largest.get(source, self._most // _UNKNOWN)
            if self._held and self._held + expected > self._most:
                return None
            self._held += expected
            return expected

    def _took_turn(self) -> bool:
        with self._lock:
            took, self._writing = not self._writing, True
            return took
