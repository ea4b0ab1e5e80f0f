"""How many tasks a batch has: few at first, and more while batches end quickly."""

from __future__ import annotations

from quantx.queues.protocol import MOST_MESSAGES

_QUICK, _SLOW = 1.5, 4.0  # seconds of a batch; its messages are hidden again after a third of the lease, 5


class BatchSize:
    """The tasks of the next batch, up to `most`; the threads of a worker share it.

    A large batch is cheap: one raw object and one transaction for all of its tasks. But its tasks wait for the slowest,
    and if the worker dies, for the end of their leases. So only a batch that takes seconds at most grows.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._least = min(most, MOST_MESSAGES)
        self.tasks = self._least

    def note(self, tasks: int, seconds: float) -> None:
        """Note how long a batch took: a quick full one doubles the next, a slow one halves it."""
        if seconds > _SLOW:
            self.tasks = max(self.tasks // 2, self._least)
        elif seconds < _QUICK and tasks >= self.tasks:
            self.tasks = min(self.tasks * 2, self._most)
