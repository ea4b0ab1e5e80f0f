"""The platform of a process that answers requests: opened by the first one, kept open, opened again after a failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quantx.errors import ConfigError, QuantxError, QueueError, RefusedStatement, StateError
from quantx.settings import Settings

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

Opener = Callable[[ExitStack], "Platform"]
_PAUSE = 15.0  # seconds after a failure in which pages don't wait for the database again


@dataclass
class _Opened:
    platform: Platform
    stack: ExitStack
    users: int = 0
    dropped: bool = False


class KeptPlatform:
    """A platform that many threads use. It is opened when it is used, never by a timer: an idle server may stop."""

    def __init__(self, opener: Opener, *, pause: float = _PAUSE) -> None:
        self._opener = opener
        self._pause = pause
        self._lock = threading.Lock()
        self._threads = futures.ThreadPoolExecutor(1, "open")
        self._opening: futures.Future[_Opened] | None = None
        self._not_before = 0.0  # monotonic
        self.reason = ""  # why there is no platform

    def begin(self) -> None:
        """Begin to open the platform, for the first use."""
        with self._lock:
            self._opening = self._opening or self._threads.submit(self._open)

    @contextmanager
    def use(self, wait: float, *, at_once: bool = False) -> Iterator[Platform | None]:
        """Yield the platform; None where it can't be opened within `wait` seconds, with the `reason`.

        After a failure it is opened again with the first use a while later; with `at_once` with this one. An outage
        inside of the block is raised, and the platform is opened anew.
        """
        opened = self._take(wait, at_once=at_once)
        if opened is None:
            yield None
            return
        try:
            yield opened.platform
        except (StateError, QueueError) as error:
            self.reason = str(error)
            if not isinstance(error, RefusedStatement):
                self._fail(opened, str(error))
            raise
        finally:
            self._leave(opened)

    def close(self) -> None:
        """Close the platform, after its last use."""
        with self._lock:
            opening, self._opening = self._opening, None
        if opening is not None and opening.exception() is None:
            opened = opening.result()
            opened.dropped = True
            self._close_unused(opened)
        self._threads.shutdown()

    def _take(self, wait: float, *, at_once: bool) -> _Opened | None:
        with self._lock:
            if self._opening is None:
                if not at_once and time.monotonic() < self._not_before:
                    return None
                self._opening = self._threads.submit(self._open)
            opening = self._opening
        if opening not in futures.wait([opening], wait).done:
            self.reason = "the database has not answered yet; load the page again in a few seconds"
            return None
        error = opening.exception()
        if isinstance(error, QuantxError):
            self._forget(opening, str(error))
            return None
        if error is not None:
            self._forget(opening, "an error of this program; the log has it")
            raise error
        opened = opening.result()
        with self._lock:
            if opened.dropped:
                return None
            opened.users += 1
            return opened

    def _open(self) -> _Opened:
        with ExitStack() as stack:
            platform = self._opener(stack)
            return _Opened(platform, stack.pop_all())
        raise AssertionError("the block returns or raises")

    def _forget(self, opening: futures.Future[_Opened], reason: str) -> None:
        with self._lock:
            if self._opening is opening:
                self._opening, self.reason = None, reason
                self._not_before = time.monotonic() + self._pause

    def _fail(self, opened: _Opened, reason: str) -> None:
        """Drop a platform whose server has stopped: its last user closes it, and the next use opens another one."""
        with self._lock:
            opened.dropped = True
            opening = self._opening
        if opening is not None and opening.done() and opening.exception() is None and opening.result() is opened:
            self._forget(opening, reason)

    def _leave(self, opened: _Opened) -> None:
        with self._lock:
            opened.users -= 1
        self._close_unused(opened)

    def _close_unused(self, opened: _Opened) -> None:
        with self._lock:
            unused = opened.dropped and opened.users == 0
        if unused:
            opened.stack.close()


def open_existing(settings: Settings, stack: ExitStack) -> Platform:
    """Open the platform of a lake and a state that exist: a page must create neither."""
    from quantx.pipeline.runtime.platform import open_platform
    from quantx.reader.lake import location_of

    location_of(settings).close()
    url = settings.state_url
    folder = None if "://" in url and not url.startswith("file://") else Path(url.removeprefix("file://")).expanduser()
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no state in {folder}; `quantx init` creates it, QUANTX_STATE_URL names another")
    return stack.enter_context(open_platform(settings))
