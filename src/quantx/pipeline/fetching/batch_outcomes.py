"""The outcomes of a batch as they come, and when they land: what was fetched must not wait in memory for long."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

from quantx.core.model import FetchTask
from quantx.pipeline.fetching.landing import Landing
from quantx.pipeline.fetching.task_groups import FetchOutcome
from quantx.pipeline.runtime.threads import Runtime

# What has not landed when its worker dies is fetched again: a batch of 32 requests takes 5 seconds at a quota of 50 a
# second that four workers share. But each landing makes an object in the raw zone. A slow quota has seconds from reply
# to reply: landing as few of them would make one object of four replies all day.
_SOON = 0.5  # seconds after the first reply: then `few` or more of them land
_FAST_GAP = 0.05  # seconds between two requests: of ten a second
_FAST, _SLOW = (4, 10.0), (16, 60.0)  # few replies, and the seconds after which fewer land, by the quota


class BatchOutcomes:
    """Lands a batch's outcomes a few at a time, when one comes and it is time or there are more than `most_bytes`.

    The batch's threads share it. The rest lands at the end of the batch. `gap` is the longest of the vendors' seconds
    between two requests; 0 without a quota.
    """

    def __init__(
        self, tasks: Sequence[FetchTask], landing: Landing, runtime: Runtime, *, most_bytes: int, gap: float
    ) -> None:
        self._landing = landing
        self._runtime = runtime
        self._most_bytes = most_bytes
        self._few, self._latest = _FAST if gap <= _FAST_GAP else _SLOW
        self._lock = threading.Lock()  # never held during a port's call
        self._open = {task.id: task for task in tasks}
        self._waiting: list[FetchOutcome] = []
        self._sizes: dict[int, int] = {}  # of their pages, by identity: several tasks may share one
        self._since = math.inf  # our seconds of the first one that waits
        self._over = False

    def add(self, outcomes: Sequence[FetchOutcome]) -> None:
        """Add outcomes of tasks of the batch, and land those that wait if it is time."""
        now = self._runtime.monotonic()
        with self._lock:
            if self._over or not outcomes:  # over: the tasks of an abandoned call have gone back
                return
            for outcome in outcomes:
                self._open.pop(outcome.task.id, None)
            self._waiting += outcomes
            self._sizes |= {id(page): len(page.body) for outcome in outcomes for page in outcome.pages}
            self._since = min(self._since, now)
            longest = _SOON if len(self._waiting) >= self._few else self._latest
            is_time = now >= self._since + longest or sum(self._sizes.values()) > self._most_bytes
            due = self._take() if is_time else []
        if due:
            self._landing.land(due, stopping=self._runtime.stopping)

    def land_waiting(self) -> None:
        """Land now what waits."""
        self._land_from(1)

    def land_in_pause(self) -> None:
        """Land what waits in a pause of the quota, unless it is few."""
        self._land_from(self._few)

    def end(self) -> None:
        """Land the rest; tasks without an outcome go back."""
        with self._lock:
            self._over = True
            rest = self._take() + [FetchOutcome(task) for task in self._open.values()]
        self._landing.land(rest, stopping=self._runtime.stopping)

    def _land_from(self, least: int) -> None:
        with self._lock:
            due = self._take() if len(self._waiting) >= least else []
        if due:
            self._landing.land(due, stopping=self._runtime.stopping)

    def _take(self) -> list[FetchOutcome]:
        taken, self._waiting, self._sizes, self._since = self._waiting, [], {}, math.inf
        return taken
