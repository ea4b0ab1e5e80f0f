"""Copies that are written in the background, for the files that a process has read more than once."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable

from quantx.core.table import Table
from quantx.errors import LakeError
from quantx.lake.table_version import LiveFile

Build = Callable[[Table, LiveFile], object]
_TWICE = 2  # reads; a process that reads a file once, as a command does, ends before a copy would be of use
_IDLE = 5.0  # seconds after which the thread ends
_log = logging.getLogger("quantx.cache")
_running: weakref.WeakSet[BackgroundCopies] = weakref.WeakSet()


class BackgroundCopies:
    """One thread that writes copies; it starts with the first file, and ends where there is nothing to do."""

    def __init__(self, build: Build) -> None:
        self._build = build
        self._reads: Counter[tuple[str, str]] = Counter()
        self._queue: deque[tuple[Table, LiveFile]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._busy = False

    def note_read(self, table: Table, live: LiveFile) -> None:
        """Count a read of a file without a copy; the second one queues the copy."""
        key = (table.name, live.path)
        with self._changed:
            self._reads[key] += 1
            if self._reads[key] != _TWICE or self._stopped:
                return
            self._queue.append((table, live))
            self._changed.notify_all()
            if self._thread is None or not self._thread.is_alive():  # it has ended, or this process is a fork
                self._thread = threading.Thread(target=self._work, name="quantx-cache", daemon=True)
                self._thread.start()
                _running.add(self)

    def note_loss(self, table: Table, live: LiveFile) -> None:
        """Forget the reads of a file that has lost its copy: the second one from now queues another."""
        with self._changed:
            self._reads.pop((table.name, live.path), None)

    def wait(self, seconds: float) -> bool:
        """Wait until all queued copies are written; return whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, seconds)

    def stop(self) -> None:
        """End after the copy that is being written."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join()

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                self._build(*item)
            except LakeError as error:  # the query that needs the file reports it
                _log.debug("no copy of %s of the table %s: %s", item[1].path, item[0].name, error)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _next(self) -> tuple[Table, LiveFile] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopped, _IDLE)
            if not self._queue:
                self._thread = None
                return None
            self._busy = True
            return self._queue.popleft()


@atexit.register
def _stop_all() -> None:
    """Stop the threads before the interpreter ends: it would end them within native code."""
    for each in list(_running):
        each.stop()
