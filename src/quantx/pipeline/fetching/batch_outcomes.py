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
# second that four workers share. But each landing makes an object in the raw zone.
_SOON, _ENOUGH, _LATEST = 0.5, 4, 10.0  # seconds after the first reply, then that many land; and when fewer do
# A slow quota has half a second and more from reply to reply: four to an object would fill the raw zone with small ones
# all day. So its batches land whole, or after a minute.
_FAST_GAP, _LATEST_OF_SLOW = 0.05, 60.0  # seconds between two requests of a quota of ten a second; of waiting


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
        self._enough, self._latest = (_ENOUGH, _LATEST) if gap <= _FAST_GAP else (len(tasks), _LATEST_OF_SLOW)
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
            longest = _SOON if len(self._waiting) >= self._enough else self._latest
            is_time = now >= self._since + longest or sum(self._sizes.values()) > self._most_bytes
            due = self._take() if is_time else []
        if due:
            self._landing.land(due, stopping=self._runtime.stopping)

    def land_waiting(self) -> None:
        """Land now what waits."""
        self._land_from(1)

    def land_in_pause(self) -> None:
        """Land what waits, in a pause of the quota, if it is enough for an object."""
        self._land_from(self._enough)

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
